/** Events and alerts of all devices: what is raised now, what happened, each with a link to its moment. */

import { nameOf } from "../device_facts.js";
import { arrange, coalesce, h, replace, setAttribute } from "../dom.js";
import { drawEvents, momentLink } from "../event_list.js";

const PAGE = 60;
const KINDS = ["online", "offline", "paused", "model", "erased"];
/** Alerts are asked for again after this, ms. */
const AGAIN_MS = 15_000;

/**
 * @param {HTMLElement} root
 * @param {import("../app.js").Context} ctx
 * @param {import("../app.js").Params} params
 * @returns {import("../app.js").View}
 */
export function mount(root, ctx, params) {
  const view = new EventsView(root, ctx, params);
  return { update: (changed) => view.show(changed), unmount: () => view.controller.abort() };
}

class EventsView {
  /**
   * @param {HTMLElement} root
   * @param {import("../app.js").Context} ctx
   * @param {import("../app.js").Params} params
   */
  constructor(root, ctx, params) {
    this.ctx = ctx;
    this.controller = new AbortController();
    /** @type {any[]} The newest first. */
    this.events = [];
    this.token = "";
    this.kind = "";
    this.mac = "";
    const { t, fleet, live } = ctx;
    const { signal } = this.controller;
    this.kinds = KINDS.map((kind) =>
      h("button", { "aria-pressed": "false", dataset: { kind }, onclick: () => this.#go({ kind: this.kind === kind ? "" : kind }) }, t(`event.${kind}`)),
    );
    this.devices = h("select", { "aria-label": t("events.device"), onchange: () => this.#go({ mac: this.devices.value }) });
    this.list = h("div", {}, h("div", { class: "skeleton block" }));
    this.more = h("button", { hidden: true, onclick: () => this.#read(false) }, t("events.more"));
    this.raised = h("ol");
    this.alerts = h("div", { class: "live-data" }, h("div", { class: "skeleton block short" }));
    replace(
      root,
      h("h1", {}, t("tab.events")),
      h("section", { class: "panel alerts-panel" }, h("h2", {}, t("alerts")), this.alerts),
      h(
        "section",
        { class: "panel" },
        h("header", {}, h("h2", {}, t("events.title"), h("small", {}, t("events.note"))), h("div", { class: "toolbar" }, h("div", { class: "segments" }, this.kinds), this.devices)),
        this.list,
        this.more,
      ),
    );
    const again = coalesce(() => this.#read(true), 2_000);
    live.addEventListener("status", again, { signal });
    live.addEventListener("missed", again, { signal });
    fleet.addEventListener("list", () => this.#drawDevices(), { signal });
    const timer = setInterval(() => !document.hidden && this.#readAlerts(), AGAIN_MS);
    signal.addEventListener("abort", () => clearInterval(timer));
    this.show(params);
    this.#readAlerts();
  }

  /** @param {{kind?: string, mac?: string}} wanted */
  #go({ kind = this.kind, mac = this.mac }) {
    const query = new URLSearchParams({ ...(mac ? { device: mac } : {}), ...(kind ? { kind } : {}) });
    this.ctx.go(`#/events?${query}`);
  }

  /** @param {import("../app.js").Params} params */
  show({ query }) {
    this.kind = KINDS.includes(query.get("kind") ?? "") ? (query.get("kind") ?? "") : "";
    this.mac = query.get("device") ?? "";
    for (const button of this.kinds) setAttribute(button, "aria-pressed", String(button.dataset.kind === this.kind));
    this.#drawDevices();
    this.#read(true);
  }

  #drawDevices() {
    const devices = [...this.ctx.fleet.devices.values()].sort((one, other) => one.name.localeCompare(other.name));
    const named = [["", this.ctx.t("events.device")], ...devices.map(({ mac_address: mac, name }) => [mac, name || mac])];
    const options = named.map(([value, name]) => ({ key: `${value} ${name}`, make: () => h("option", { value }, name) }));
    arrange(this.devices, options);
    this.devices.value = this.mac;
  }

  /**
   * Read pages until one has something to show, or nothing is left.
   * @param {boolean} isFirst Begin with the newest.
   */
  async #read(isFirst) {
    const { signal } = this.controller;
    if (isFirst) {
      this.events = [];
      this.token = "";
    }
    const reading = (this.reading = {});
    /** @type {any[]} */
    const found = [];
    try {
      do {
        const query = { page_size: this.kind || this.mac ? 1000 : PAGE, page_token: this.token || undefined };
        const page = await this.ctx.api.get("/events", query, signal);
        if (this.reading !== reading) return;
        found.push(...page.events.filter((/** @type {any} */ event) => (!this.kind || event.kind === this.kind) && (!this.mac || event.mac_address === this.mac)));
        this.token = page.next_page_token;
      } while (this.token && found.length < PAGE);
    } catch (error) {
      if (!signal.aborted) replace(this.list, h("p", { role: "alert" }, /** @type {Error} */ (error).message));
      return;
    }
    this.events.push(...found);
    this.more.hidden = !this.token;
    drawEvents(this.list, this.ctx, this.events, { withDevice: true });
  }

  async #readAlerts() {
    const { signal } = this.controller;
    try {
      this.#drawAlerts(await this.ctx.api.get("/alerts", {}, signal));
    } catch (error) {
      if (!signal.aborted) replace(this.alerts, h("p", { role: "alert" }, /** @type {Error} */ (error).message));
    }
  }

  /** @param {any} told As in docs/api.md. */
  #drawAlerts({ running, rules, alerts }) {
    const { t, clock, live } = this.ctx;
    const now = live.now();
    const labels = new Map(rules.map((/** @type {any} */ rule) => [rule.name, rule.label]));
    const items = alerts.map((/** @type {any} */ alert) => {
      const at = Date.parse(alert.changed_at ?? alert.raised_at);
      const mean = alert.mean === null ? "" : `${nameOf(labels.get(alert.rule) ?? "", t)} ${Math.round(100 * alert.mean)} %`;
      const make = () => h(
        "li",
        { class: alert.raised ? "raised" : "" },
        h(
          "a",
          { href: momentLink(alert.mac_address, at) },
          h("time", { datetime: alert.changed_at }, clock.brief(at, now)),
          h("span", { class: "mark", "aria-hidden": "true" }, alert.raised ? "▲" : "✓"),
          h("strong", {}, alert.name || alert.mac_address),
          h("span", { class: "what" }, t(alert.raised ? "alert.raised" : "alert.cleared", { rule: alert.rule }), mean ? h("small", { class: "quiet" }, ` ${mean}`) : null),
        ),
      );
      return { key: JSON.stringify([alert, clock.brief(at, now)]), make };
    });
    const key = JSON.stringify([running, rules, items.length > 0]);
    if (this.alerts.dataset.key === key) return items.length ? arrange(this.raised, items) : undefined;
    this.alerts.dataset.key = key;
    this.raised = h("ol", { class: "events wide" });
    arrange(this.raised, items);
    const said = rules.map((/** @type {any} */ rule) =>
      h("li", {}, h("b", {}, rule.name), " ", t("alert.rule", { emotion: nameOf(rule.label, t), above: Math.round(100 * rule.above), below: Math.round(100 * rule.below), n: rule.over_minutes, least: rule.least_readings, device: rule.device })),
    );
    replace(
      this.alerts,
      items.length ? this.raised : h("p", { class: "small quiet" }, t(running ? "alerts.none" : "alerts.off")),
      said.length ? h("details", { class: "rules small" }, h("summary", {}, t("alerts.rules", { n: said.length })), h("ul", {}, said)) : null,
      items.length && !running ? h("p", { class: "small quiet" }, t("alerts.off")) : null,
    );
  }
}
