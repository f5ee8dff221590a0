/** The overview: counts that filter, search, sort, groups, and a card for each device that is changed in place. */

import { hasFault, kindOf, makeNow, makeState, nameOf, sentence, updateNow, updateState } from "../device_facts.js";
import { coalesce, h, replace, setAttribute, setText } from "../dom.js";
import { MINUTES, Strips, drawStrip } from "../strips.js";

/** @typedef {import("../fleet.js").Device} Device */
/** @typedef {{element: HTMLAnchorElement, device: Device, state: HTMLElement, name: HTMLElement, now: HTMLElement,
 *   line: HTMLElement, canvas: HTMLCanvasElement, silent: HTMLElement, isVisible: boolean}} Card */

const FILTERS = ["listening", "paused", "offline", "attention"];
const SORTS = ["attention", "name", "heard", "speech"];
/** How often cards are changed, ms. */
const DRAW_MS = 300;
/** Cards change places on their own at most this often, and never under a pointer, ms. */
const SORT_MS = 5_000;
const SKELETONS = 8;
/** Sorts behind every name. */
const LAST = "\uffff";

/**
 * @param {HTMLElement} root
 * @param {import("../app.js").Context} ctx
 * @param {import("../app.js").Params} params
 * @returns {import("../app.js").View}
 */
export function mount(root, ctx, params) {
  const view = new Overview(root, ctx, params);
  return {
    update: (changed) => view.show(changed),
    unmount: () => view.controller.abort(),
  };
}

class Overview {
  /**
   * @param {HTMLElement} root
   * @param {import("../app.js").Context} ctx
   * @param {import("../app.js").Params} params
   */
  constructor(root, ctx, params) {
    this.ctx = ctx;
    this.controller = new AbortController();
    const { signal } = this.controller;
    this.strips = new Strips(ctx, signal);
    /** @type {Map<string, Card>} By MAC address. */
    this.cards = new Map();
    this.filter = "";
    this.search = "";
    this.sort = SORTS[0];
    this.grouped = false;
    /** MAC addresses of cards whose words are to be changed. @type {Set<string>} */
    this.changed = new Set();
    /** The same of those whose strips are. @type {Set<string>} */
    this.redrawn = new Set();
    this.sortedAt = 0;
    this.isUnderPointer = false;
    this.#build(root);
    this.observer = new IntersectionObserver((entries) => this.#seen(entries), { rootMargin: "300px" });
    this.draw = coalesce(() => this.#draw(), DRAW_MS);
    this.#listen(signal);
    this.show(params);
    this.#takeList();
  }

  /** @param {HTMLElement} root */
  #build(root) {
    const { t } = this.ctx;
    this.counts = FILTERS.map((name) =>
      h(
        "button",
        { class: `count ${name}`, "aria-pressed": "false", onclick: () => this.#set({ show: this.filter === name ? "" : name }) },
        h("b", {}, "–"),
        h("span", {}, t(`count.${name}`)),
      ),
    );
    this.searchField = h("input", {
      type: "search",
      placeholder: t("search"),
      "aria-label": t("search"),
      autocomplete: "off",
      spellcheck: "false",
      oninput: () => this.#set({ q: this.searchField.value.trim() }),
    });
    this.sortField = h(
      "select",
      { "aria-label": t("sort"), onchange: () => this.#set({ sort: this.sortField.value }) },
      SORTS.map((name) => h("option", { value: name }, t(`sort.${name}`))),
    );
    this.groupField = h(
      "button",
      { "aria-pressed": "false", onclick: () => this.#set({ group: this.grouped ? "" : "name" }) },
      t("group.name"),
    );
    this.legend = h("p", { class: "legend" });
    this.list = h("div", { class: "cards live-data" });
    this.blank = h("div", { class: "blank", hidden: true });
    this.tip = h("div", { class: "tip panel", hidden: true });
    replace(
      root,
      h("h1", { class: "hidden" }, t("tab.overview")),
      h(
        "div",
        { class: "bar" },
        h("div", { class: "counts", role: "group", "aria-label": t("counts") }, this.counts),
        h(
          "div",
          { class: "toolbar" },
          h("label", { class: "search" }, this.searchField, h("kbd", { "aria-hidden": "true" }, "/")),
          this.sortField,
          this.groupField,
        ),
      ),
      this.legend,
      this.list,
      this.blank,
      this.tip,
    );
    replace(this.list, Array.from({ length: SKELETONS }, () => h("div", { class: "card skeleton" })));
  }

  /** @param {AbortSignal} signal */
  #listen(signal) {
    const { fleet, live, theme } = this.ctx;
    const options = { signal };
    fleet.addEventListener("list", () => this.#takeList(), options);
    fleet.addEventListener("device", (event) => this.#mark(/** @type {CustomEvent} */ (event).detail.mac_address), options);
    this.strips.addEventListener("strip", (event) => this.#mark(/** @type {CustomEvent} */ (event).detail, true), options);
    this.strips.addEventListener("all", () => this.#markAll(), options);
    theme.addEventListener("change", () => this.#markAll(), options);
    live.addEventListener("state", () => this.#sayEmpty(), options);
    addEventListener("resize", () => this.#markAll(), options);
    addEventListener("keydown", (event) => this.#key(event), options);
    this.list.addEventListener("pointerenter", () => (this.isUnderPointer = true), options);
    this.list.addEventListener("pointerleave", () => this.#leave(), options);
    this.list.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => this.#point(event), options);
    const timer = setInterval(() => {
      for (const [mac, card] of this.cards) if (card.isVisible) this.changed.add(mac);
      this.draw();
    }, 1_000);
    signal.addEventListener("abort", () => {
      clearInterval(timer);
      this.observer.disconnect();
    });
  }

  /**
   * Take filter, search, sort and groups from the address, so that a link restores them.
   * @param {import("../app.js").Params} params
   */
  show({ query }) {
    this.filter = FILTERS.includes(query.get("show") ?? "") ? (query.get("show") ?? "") : "";
    this.search = query.get("q") ?? "";
    this.sort = SORTS.includes(query.get("sort") ?? "") ? (query.get("sort") ?? "") : SORTS[0];
    this.grouped = query.get("group") === "name";
    if (this.searchField.value.trim() !== this.search) this.searchField.value = this.search;
    this.sortField.value = this.sort;
    setAttribute(this.groupField, "aria-pressed", String(this.grouped));
    this.counts?.forEach((button, i) => setAttribute(button, "aria-pressed", String(FILTERS[i] === this.filter)));
    this.#arrange();
  }

  /** @param {Record<string, string>} changes Of the address. */
  #set(changes) {
    const query = new URLSearchParams(location.hash.split("?")[1]);
    for (const [name, value] of Object.entries(changes)) {
      if (value && !(name === "sort" && value === SORTS[0])) query.set(name, value);
      else query.delete(name);
    }
    this.ctx.go(query.size ? `#/?${query}` : "#/", { replace: true });
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const isTyping = /** @type {Element} */ (event.target).closest("input, textarea, select, dialog");
    if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      this.searchField.focus();
    } else if (event.key === "Escape" && document.activeElement === this.searchField) {
      this.#set({ q: "" });
      this.searchField.blur();
    }
  }

  #takeList() {
    const { fleet } = this.ctx;
    if (!fleet.isLoaded) return this.#sayEmpty();
    for (const [mac, card] of this.cards) {
      if (!fleet.devices.has(mac)) {
        this.observer.unobserve(card.element);
        card.element.remove();
        this.cards.delete(mac);
      }
    }
    for (const [mac, device] of fleet.devices) {
      const card = this.cards.get(mac);
      if (card) card.device = device;
      else this.cards.set(mac, this.#makeCard(device));
      this.#mark(mac);
    }
    this.#arrange({ onlyNew: true });
    this.#drawLegend();
  }

  /**
   * @param {Device} device
   * @returns {Card}
   */
  #makeCard(device) {
    const [state, now] = [makeState(), makeNow()];
    const name = h("strong", { class: "name" });
    const line = h("span", { class: "line" });
    const canvas = h("canvas", { class: "strip", role: "img" });
    const silent = h("span", { class: "silent", hidden: true, "aria-hidden": "true" }, this.ctx.t("strip.silent"));
    const element = h(
      "a",
      { class: "card", href: `#/device/${device.mac_address}`, dataset: { mac: device.mac_address } },
      h("span", { class: "head" }, name, now),
      h("span", { class: "facts" }, state, line),
      canvas,
      silent,
    );
    this.observer.observe(element);
    return { element, device, state, name, now, line, canvas, silent, isVisible: false };
  }

  /** @param {IntersectionObserverEntry[]} entries */
  #seen(entries) {
    for (const entry of entries) {
      const mac = /** @type {HTMLElement} */ (entry.target).dataset.mac ?? "";
      const card = this.cards.get(mac);
      if (!card) continue;
      card.isVisible = entry.isIntersecting;
      if (card.isVisible) this.#drawCard(card, true); // at once: nobody shall see an empty card come in
    }
  }

  /**
   * @param {string} mac
   * @param {boolean} [withStrip]
   */
  #mark(mac, withStrip = false) {
    this.changed.add(mac);
    if (withStrip) this.redrawn.add(mac);
    this.draw();
  }

  #markAll() {
    for (const mac of this.cards.keys()) this.#mark(mac, true);
  }

  /** Change the cards that have news and can be seen, and the counts. */
  #draw() {
    for (const mac of this.changed) {
      const card = this.cards.get(mac);
      if (card?.isVisible) this.#drawCard(card, this.redrawn.has(mac));
    }
    this.changed.clear();
    this.redrawn.clear();
    this.#count();
    if (performance.now() - this.sortedAt > SORT_MS && !this.isUnderPointer && !this.list.contains(document.activeElement)) {
      this.#arrange();
    }
  }

  /**
   * @param {Card} card
   * @param {boolean} withStrip
   */
  #drawCard({ device, state, name, now, line, canvas, silent }, withStrip) {
    const { ctx } = this;
    setText(name, device.name || device.mac_address);
    setAttribute(name, "title", device.name);
    updateState(state, device, ctx.t);
    updateNow(now, device, ctx);
    const [text, kind] = sentence(device, ctx);
    setText(line, text);
    setAttribute(line, "class", `line ${kind}`);
    if (!withStrip) return;
    const strip = this.strips.of(device.mac_address);
    drawStrip(canvas, strip, this.strips.minute, ctx.theme);
    const count = strip.readings.reduce((sum, each) => sum + each, 0);
    silent.hidden = !this.strips.isLoaded || count > 0 || strip.off.length > 0 || hasFault(device);
    setAttribute(canvas, "aria-label", ctx.t("strip.said", { n: count }));
  }

  #count() {
    const found = Object.fromEntries(FILTERS.map((name) => [name, 0]));
    for (const { device } of this.cards.values()) {
      found[kindOf(device)] += 1;
      if (hasFault(device)) found.attention += 1;
    }
    const number = new Intl.NumberFormat(this.ctx.clock.language);
    this.counts?.forEach((button, i) => {
      if (this.ctx.fleet.isLoaded) setText(button.firstChild, number.format(found[FILTERS[i]]));
      button.classList.toggle("none", !found[FILTERS[i]]);
    });
  }

  /**
   * Put the cards that fit filter and search into their order.
   * @param {{onlyNew?: boolean}} [how] onlyNew: known cards keep their places, because someone may be about to click one
   */
  #arrange({ onlyNew = false } = {}) {
    if (!this.ctx.fleet.isLoaded) return;
    this.groups = this.grouped ? groupsOf([...this.cards.values()].map(({ device }) => device.name)) : new Map();
    const found = [...this.cards.values()].filter((card) => this.#fits(card.device)).sort((a, b) => this.#compare(a, b));
    /** @type {Element[]} */
    const wanted = [];
    let group = null;
    for (const card of found) {
      const own = this.grouped ? (this.groups.get(card.device.name) ?? "") : null;
      if (own !== group && (own || group)) wanted.push(this.#heading(own ?? ""));
      group = own;
      wanted.push(card.element);
    }
    const shown = [...this.list.children];
    const isSame = wanted.length === shown.length && wanted.every((element, i) => element === shown[i]);
    const isSet = wanted.length === shown.length && wanted.every((element) => element.parentNode === this.list);
    if (!isSame && !(onlyNew && isSet)) {
      const kept = new Set(wanted);
      for (const element of shown) if (!kept.has(element)) element.remove();
      wanted.forEach((element, i) => {
        if (this.list.children[i] !== element) this.list.insertBefore(element, this.list.children[i] ?? null);
      });
    }
    this.sortedAt = performance.now();
    this.#sayEmpty(found.length);
    this.draw();
  }

  /** @type {Map<string, HTMLElement>} */
  headings = new Map();

  /** Groups by name. @type {Map<string, string>} */
  groups = new Map();

  /** @param {string} group */
  #heading(group) {
    const known = this.headings.get(group) ?? h("h2", { class: "group" }, group || this.ctx.t("group.others"));
    this.headings.set(group, known);
    return known;
  }

  /** @param {Device} device */
  #fits(device) {
    const isShown =
      !this.filter || (this.filter === "attention" ? hasFault(device) : kindOf(device) === this.filter);
    const text = `${device.name} ${device.mac_address} ${device.mac_address.replaceAll(":", "")} ${device.model}`;
    const words = this.search.toLocaleLowerCase().split(/\s+/);
    return isShown && words.every((word) => text.toLocaleLowerCase().includes(word));
  }

  /**
   * @param {Card} a
   * @param {Card} b
   */
  #compare(a, b) {
    const keys = [a, b].map(({ device }) => [
      this.groups.get(device.name) || LAST,
      this.#rank(device),
      device.name.toLocaleLowerCase(),
      device.mac_address,
    ]);
    for (let i = 0; i < keys[0].length; i++) {
      const [left, right] = [keys[0][i], keys[1][i]];
      if (left === right) continue;
      if (typeof left === "number" && typeof right === "number") return left - right;
      return String(left).localeCompare(String(right), this.ctx.clock.language, { numeric: true });
    }
    return 0;
  }

  /** @param {Device} device */
  #rank(device) {
    if (this.sort === "attention") {
      if (hasFault(device)) return 0;
      return { offline: 1, listening: 2, paused: 3 }[kindOf(device)];
    }
    if (this.sort === "heard") return -Math.floor((device.latest?.at ?? 0) / 60_000);
    if (this.sort === "speech") return -this.strips.of(device.mac_address).readings.reduce((sum, count) => sum + count, 0);
    return 0;
  }

  /** @param {number} [shown] */
  #sayEmpty(shown = this.list.querySelectorAll("a").length) {
    const { fleet, t } = this.ctx;
    if (!fleet.isLoaded && !fleet.error) return;
    const isEmpty = fleet.isLoaded ? shown === 0 : true;
    this.blank.hidden = !isEmpty;
    if (!isEmpty) return;
    if (!fleet.isLoaded) {
      replace(this.list);
      replace(this.blank, h("strong", {}, t("blank.away")), fleet.error?.message);
    } else if (!fleet.devices.size) {
      replace(this.blank, h("strong", {}, t("blank.none")), t("blank.none.do"));
    } else {
      const all = h("button", { onclick: () => this.#set({ show: "", q: "" }) }, t("blank.filtered.do"));
      replace(this.blank, h("strong", {}, t("blank.filtered")), all);
    }
  }

  #drawLegend() {
    const { t, fleet } = this.ctx;
    const labels = [...new Set([...fleet.devices.values()].flatMap((device) => device.labels))].sort();
    const key = labels.join();
    if (this.legend.dataset.key === key) return;
    this.legend.dataset.key = key;
    const swatch = (/** @type {string} */ kind) => h("i", { class: `swatch ${kind}`, "aria-hidden": "true" });
    replace(
      this.legend,
      h("span", { class: "what" }, t("legend.what")),
      labels.map((label) => {
        const mark = swatch("");
        mark.style.setProperty("background", `var(--emotion-${label}, var(--ink-3))`);
        return h("span", {}, mark, nameOf(label, t));
      }),
      h("span", {}, swatch("pale"), t("now.uncertain")),
      ["paused", "offline", "missing"].map((kind) => h("span", {}, swatch(kind), t(`off.${kind}`))),
    );
  }

  #leave() {
    this.isUnderPointer = false;
    this.tip.hidden = true;
  }

  /** @param {PointerEvent} event Over the list: tell the minute of a strip. */
  #point(event) {
    const canvas = /** @type {Element} */ (event.target);
    const card = canvas.classList.contains("strip") && this.cards.get(canvas.closest("a")?.dataset.mac ?? "");
    this.tip.hidden = !card || event.pointerType === "touch";
    if (!card || this.tip.hidden) return;
    const { t, clock } = this.ctx;
    const box = canvas.getBoundingClientRect();
    const place = Math.max(0, Math.min(MINUTES - 1, Math.floor(((event.clientX - box.left) / box.width) * MINUTES)));
    const at = (this.strips.minute - MINUTES + 1 + place) * 60_000;
    const strip = this.strips.of(card.device.mac_address);
    const count = strip.readings[place];
    const off = strip.off.find((span) => span.start < at + 60_000 && span.end > at);
    const shares = strip.labels.map((label) => [label, strip.sums[label][place] / (count || 1)]);
    const rows = count
      ? shares.map(([label, share]) => {
          const mark = h("i", { class: "swatch" });
          mark.style.setProperty("background", `var(--emotion-${label}, var(--ink-3))`);
          return h("span", {}, mark, nameOf(String(label), t), h("b", {}, `${Math.round(Number(share) * 100)} %`));
        })
      : [];
    const said = count ? t("strip.minute", { n: count, u: strip.uncertain[place] }) : t(off ? `off.${off.kind}` : "strip.silent");
    replace(this.tip, h("strong", {}, clock.minute(at)), rows, h("small", {}, said));
    const left = Math.min(event.clientX + 12, innerWidth - this.tip.offsetWidth - 12);
    const top = box.bottom + 8 + this.tip.offsetHeight > innerHeight ? box.top - 8 - this.tip.offsetHeight : box.bottom + 8;
    this.tip.style.setProperty("translate", `${Math.round(left)}px ${Math.round(top)}px`);
  }
}

/**
 * Return the group of each name: what stands before its first separator, or its first word; none if it is alone there.
 * @param {string[]} names
 * @returns {Map<string, string>}
 */
function groupsOf(names) {
  const prefixes = names.map((name) => {
    const [prefix] = name.split(/\s*[/:·|]\s*|\s+[-–—]\s+/);
    return prefix === name ? (name.split(/[\s\d_-]/)[0] ?? "") : prefix.trim();
  });
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const prefix of prefixes) counts.set(prefix, (counts.get(prefix) ?? 0) + 1);
  return new Map(names.map((name, i) => [name, (counts.get(prefixes[i]) ?? 0) > 1 ? prefixes[i] : ""]));
}
