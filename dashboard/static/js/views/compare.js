/** Up to six devices, or one and its previous period, on one axis under one crosshair. */

import { drawEmotions, makeLaneLegend } from "../charts/legend.js";
import { pickStep, stepName } from "../charts/scale.js";
import { Series } from "../charts/series.js";
import { TimeView } from "../charts/time_view.js";
import { Timeline } from "../charts/timeline.js";
import { nameOf } from "../device_facts.js";
import { h, replace, setAttribute, setText } from "../dom.js";
import { LENGTHS, RangeBar, parseRange, rangeQuery } from "../ranges.js";

/** @typedef {import("../ranges.js").Range} Range */
/** @typedef {{key: string, mac: string, shiftMs: number, chart: Timeline, view: TimeView, title: HTMLElement, element: HTMLElement,
 *   summary: any}} Row */

const MOST_DEVICES = 6;
const MOST_STEPS = 300;
const AGAIN_MS = 20_000;

/**
 * @param {HTMLElement} root
 * @param {import("../app.js").Context} ctx
 * @param {import("../app.js").Params} params
 * @returns {import("../app.js").View}
 */
export function mount(root, ctx, params) {
  const view = new CompareView(root, ctx, params);
  return { update: (changed) => view.show(changed), unmount: () => view.controller.abort() };
}

class CompareView {
  /**
   * @param {HTMLElement} root
   * @param {import("../app.js").Context} ctx
   * @param {import("../app.js").Params} params
   */
  constructor(root, ctx, params) {
    this.ctx = ctx;
    this.controller = new AbortController();
    this.loading = new AbortController();
    /** @type {string[]} */
    this.macs = [];
    this.withPrevious = false;
    this.mode = "steps";
    this.loadedAt = 0;
    /** @type {Range} */
    this.range = { name: "24h", start: 0, end: 0 };
    /** @type {Row[]} */
    this.rows = [];
    this.rowsController = new AbortController();
    this.rowsKey = "";
    this.choiceKey = "";
    this.ranges = new RangeBar(ctx, (range) => this.#go({ range }));
    this.#build(root);
    const { signal } = this.controller;
    ctx.fleet.addEventListener("list", () => this.#drawChoice(), { signal });
    ctx.live.addEventListener("reading", (event) => this.#take(/** @type {CustomEvent} */ (event).detail), { signal });
    const timer = setInterval(() => this.#tick(), 1_000);
    signal.addEventListener("abort", () => {
      clearInterval(timer);
      this.loading.abort();
      this.rowsController.abort();
    });
    this.show(params);
  }

  /** @param {HTMLElement} root */
  #build(root) {
    const { t } = this.ctx;
    this.chips = h("div", { class: "chips" });
    this.add = h("select", { "aria-label": t("compare.add"), onchange: () => this.#go({ macs: [...this.macs, this.add.value] }) });
    this.previous = h("button", { "aria-pressed": "false", onclick: () => this.#go({ previous: !this.withPrevious }) }, t("compare.previous"));
    this.modes = ["steps", "lines"].map((mode) =>
      h("button", { "aria-pressed": "false", dataset: { mode }, onclick: () => this.#go({ mode }) }, t(`chart.${mode}`)),
    );
    this.emotions = h("div", { class: "legend emotions" });
    this.list = h("div", { class: "compared live-data" });
    this.blank = h("div", { class: "blank", hidden: true }, h("strong", {}, t("compare.none")), h("p", {}, t("compare.none.do")));
    this.table = h("div", { class: "live-data" });
    this.tablePanel = h("section", { class: "panel", hidden: true }, h("h2", {}, t("compare.table")), this.table);
    this.charts = h(
      "section",
      { class: "panel", hidden: true },
      this.emotions,
      this.list,
      makeLaneLegend(this.ctx, this.controller.signal),
    );
    replace(
      root,
      h("div", { class: "compare-head" }, h("h1", {}, t("tab.compare")), this.chips, this.add, this.previous),
      h("div", { class: "device-bar toolbar" }, this.ranges.element, h("div", { class: "segments" }, this.modes)),
      h("div", { class: "panels" }, this.charts, this.tablePanel),
      this.blank,
    );
  }

  /** @param {{macs?: string[], range?: Range, mode?: string, previous?: boolean}} wanted */
  #go({ macs = this.macs, range = this.range, mode = this.mode, previous = this.withPrevious }) {
    const query = new URLSearchParams({
      devices: macs.join(","),
      ...rangeQuery(range),
      ...(mode === "lines" ? { view: "lines" } : {}),
      ...(previous && macs.length === 1 ? { previous: "1" } : {}),
    });
    this.ctx.go(`#/compare?${query}`);
  }

  /** @param {import("../app.js").Params} params */
  show({ query }) {
    const macs = (query.get("devices") ?? "").split(",").filter((mac) => /^[0-9a-f:]{17}$/.test(mac));
    this.macs = [...new Set(macs)].slice(0, MOST_DEVICES);
    this.withPrevious = query.get("previous") === "1" && this.macs.length === 1;
    this.mode = query.get("view") === "lines" ? "lines" : "steps";
    this.range = parseRange(query, this.ctx.live.now());
    this.ranges.show(this.range);
    for (const button of this.modes ?? []) setAttribute(button, "aria-pressed", String(button.dataset.mode === this.mode));
    setAttribute(this.previous, "aria-pressed", String(this.withPrevious));
    this.previous.hidden = this.macs.length !== 1;
    this.#drawChoice();
    this.#makeRows();
    this.#load();
  }

  #drawChoice() {
    const { t, fleet } = this.ctx;
    const name = (/** @type {string} */ mac) => fleet.devices.get(mac)?.name || mac;
    const key = JSON.stringify([this.macs, [...fleet.devices.values()].map((device) => device.name)]);
    if (key === this.choiceKey) return;
    this.choiceKey = key;
    replace(
      this.chips,
      this.macs.map((mac) =>
        h(
          "span",
          { class: "chip" },
          h("a", { href: `#/device/${mac}` }, name(mac)),
          h("button", { class: "plain", "aria-label": t("compare.remove", { name: name(mac) }), onclick: () => this.#go({ macs: this.macs.filter((other) => other !== mac) }) }, "×"),
        ),
      ),
    );
    const others = [...fleet.devices.values()].filter((device) => !this.macs.includes(device.mac_address));
    others.sort((one, other) => one.name.localeCompare(other.name));
    replace(
      this.add,
      h("option", { value: "" }, t("compare.add")),
      others.map((device) => h("option", { value: device.mac_address }, device.name || device.mac_address)),
    );
    this.add.value = "";
    this.add.disabled = this.macs.length >= MOST_DEVICES || !others.length;
    for (const row of this.rows) setText(row.title, this.#title(row));
  }

  /** @param {{mac: string, shiftMs: number}} row */
  #title({ mac, shiftMs }) {
    const { t, clock, fleet } = this.ctx;
    const name = fleet.devices.get(mac)?.name || mac;
    if (!this.withPrevious) return name;
    const [start, end] = [this.range.start - shiftMs, this.range.end - shiftMs].map((ms) => clock.full(ms));
    return `${shiftMs ? t("compare.before") : t("compare.this")}: ${start} – ${end}`;
  }

  /** Have a chart for each device; those that stay keep what they show. */
  #makeRows() {
    const length = this.range.end - this.range.start;
    const wanted = this.macs.map((mac) => ({ mac, shiftMs: 0 }));
    if (this.withPrevious) wanted.push({ mac: this.macs[0], shiftMs: length });
    const key = wanted.map(({ mac, shiftMs }) => `${mac} ${shiftMs ? 1 : 0}`).join();
    if (key !== this.rowsKey) {
      this.rowsKey = key;
      this.rowsController.abort();
      this.rowsController = new AbortController();
      const { signal } = this.rowsController;
      this.rows = wanted.map(({ mac, shiftMs }) => {
        const view = new TimeView(this.range.start - shiftMs, this.range.end - shiftMs);
        const chart = new Timeline(this.ctx, view, signal, { label: `${this.ctx.t("chart")}: ${mac}` });
        const title = h("h2");
        const element = h("section", { class: "compared-row" }, title, chart.element);
        return { key: `${mac}${shiftMs}`, mac, shiftMs, chart, view, title, element, summary: null };
      });
      for (const row of this.rows) this.#connect(row, signal);
      replace(this.list, this.rows.map((row) => row.element));
    }
    this.rows.forEach((row) => {
      row.shiftMs = row.shiftMs ? length : 0;
      row.chart.setMode(/** @type {"steps" | "lines"} */ (this.mode));
      row.view.show(this.range.start - row.shiftMs, this.range.end - row.shiftMs);
      setText(row.title, this.#title(row));
    });
    const isEmpty = !this.rows.length;
    this.blank.hidden = !isEmpty;
    this.charts.hidden = this.tablePanel.hidden = isEmpty;
  }

  /**
   * Let the crosshair and a zoom of one chart be those of all.
   * @param {Row} row
   * @param {AbortSignal} signal
   */
  #connect(row, signal) {
    row.view.addEventListener("cursor", () => {
      const { cursor, chosen } = row.view;
      for (const other of this.rows) {
        if (other === row) continue;
        const shift = row.shiftMs - other.shiftMs;
        other.view.chosen = chosen && [chosen[0] + shift, chosen[1] + shift];
        other.view.point(cursor === null ? null : cursor + shift);
      }
    }, { signal });
    row.view.addEventListener("zoom", (event) => {
      const { start, end } = /** @type {CustomEvent} */ (event).detail;
      for (const other of this.rows) other.view.choose(null);
      this.#go({ range: { name: "", start: start + row.shiftMs, end: end + row.shiftMs } });
    }, { signal });
    row.view.addEventListener("back", () => !this.range.name && history.back(), { signal });
  }

  /** @param {any} event */
  #take(event) {
    if (!this.range.name) return;
    for (const row of this.rows) {
      if (row.mac !== event.mac_address || row.shiftMs) continue;
      row.chart.series.add(event);
      row.chart.say();
      row.chart.draw();
    }
  }

  #tick() {
    if (document.hidden || !this.range.name || !this.rows.length) return;
    const now = this.ctx.live.now();
    const length = LENGTHS[this.range.name];
    if (now - this.range.end >= length / 1000 && !this.rows.some((row) => row.view.chosen)) {
      this.range = { ...this.range, start: now - length, end: now };
      this.ranges.range = this.range;
      for (const row of this.rows) row.view.show(this.range.start - row.shiftMs, this.range.end - row.shiftMs);
    }
    if (performance.now() - this.loadedAt > Math.max(AGAIN_MS, length / 300)) this.#load();
  }

  async #load() {
    this.loading.abort();
    this.loading = new AbortController();
    const { signal } = this.loading;
    this.loadedAt = performance.now();
    const length = this.range.end - this.range.start;
    const width = this.list.clientWidth || 900;
    const most = Math.max(60, Math.min(MOST_STEPS, Math.floor(width / 3)));
    const stepMs = pickStep(length, this.ctx.meta.steps_s, most);
    await Promise.all(
      this.rows.map(async (row) => {
        const times = { start: (this.range.start - row.shiftMs) / 1000, end: (this.range.end - row.shiftMs) / 1000 };
        try {
          const [told, summary] = await Promise.all([
            this.ctx.api.get(`/devices/${row.mac}`, { ...times, step: stepName(stepMs) }, signal),
            this.ctx.api.get(`/devices/${row.mac}/summary`, times, signal),
          ]);
          const series = Series.fromRest(told);
          row.summary = summary;
          row.chart.use(series);
          row.chart.say(...(series.steps.size ? [] : [h("p", {}, this.ctx.t("blank.device.past"))]));
        } catch (error) {
          if (!signal.aborted) row.chart.say(h("p", { role: "alert" }, /** @type {Error} */ (error).message));
        }
      }),
    );
    if (signal.aborted) return;
    drawEmotions(this.emotions, this.ctx, [...new Set(this.rows.flatMap((row) => row.chart.series.labels))].sort());
    this.#drawTable();
  }

  #drawTable() {
    const { t, clock } = this.ctx;
    const rows = this.rows.filter((row) => row.summary);
    const labels = [...new Set(rows.flatMap((row) => Object.keys(row.summary.labels)))].sort();
    const colours = this.ctx.theme.colours(labels);
    const cell = (/** @type {any} */ found, /** @type {string} */ label) => {
      if (!found?.count) return h("td", { class: "quiet" }, "–");
      const bar = h("span", { class: "fill", style: { "--part": String(found.share), "--colour": colours[label] } });
      return h("td", {}, h("span", { class: "measure" }, h("span", { class: "track-bar" }, bar), h("b", {}, `${Math.round(100 * found.share)} %`)));
    };
    replace(
      this.table,
      h(
        "div",
        { class: "scroll" },
        h(
          "table",
          { class: "winners compare-table" },
          h("thead", {}, h("tr", {}, h("th", { scope: "col" }, t("compare.device")), labels.map((label) => h("th", { scope: "col" }, nameOf(label, t))), [t("winners.confidence"), t("compare.uncertain"), t("compare.readings")].map((word) => h("th", { scope: "col", class: "number" }, word)))),
          h(
            "tbody",
            {},
            rows.map((row) =>
              h(
                "tr",
                {},
                h("th", { scope: "row" }, this.#title(row)),
                labels.map((label) => cell(row.summary.labels[label], label)),
                h("td", { class: "number" }, row.summary.overall.mean_confidence?.toFixed(2) ?? "–"),
                h("td", { class: "number" }, row.summary.uncertain.share === null ? "–" : `${Math.round(100 * row.summary.uncertain.share)} %`),
                h("td", { class: "number" }, row.summary.readings.toLocaleString(clock.language)),
              ),
            ),
          ),
        ),
      ),
    );
  }
}
