/** One device: what was heard and when, how often each emotion won, the week, the signal and the events of a range. */

import { mountActions } from "../actions.js";
import { drawHistograms, drawWinners } from "../charts/bars.js";
import { drawEmotions, makeLaneLegend } from "../charts/legend.js";
import { DAY, pickStep, stepName } from "../charts/scale.js";
import { Series } from "../charts/series.js";
import { TimeView } from "../charts/time_view.js";
import { Timeline } from "../charts/timeline.js";
import { Tracks } from "../charts/tracks.js";
import { drawWeek } from "../charts/week.js";
import { baselineOf, makeNow, makeState, sentence, updateNow, updateState } from "../device_facts.js";
import { coalesce, h, replace, setAttribute, setText } from "../dom.js";
import { drawEvents } from "../event_list.js";
import { RangeBar, LENGTHS, parseRange, rangeQuery } from "../ranges.js";

/** @typedef {import("../ranges.js").Range} Range */

/** Most steps of a chart; a narrow one has fewer. */
const MOST_STEPS = 360;
/** The sums of a range that goes on are asked for again after this, ms, and after a hundredth of the range. */
const AGAIN_MS = 15_000;
const WEEKS_MS = 28 * DAY;
const EVENTS = 12;

/**
 * @param {HTMLElement} root
 * @param {import("../app.js").Context} ctx
 * @param {import("../app.js").Params} params
 * @returns {import("../app.js").View}
 */
export function mount(root, ctx, params) {
  const view = new DeviceView(root, ctx, params);
  return { update: (changed) => view.show(changed), unmount: () => view.controller.abort() };
}

class DeviceView {
  /**
   * @param {HTMLElement} root
   * @param {import("../app.js").Context} ctx
   * @param {import("../app.js").Params} params
   */
  constructor(root, ctx, params) {
    this.ctx = ctx;
    this.mac = (params.path[0] ?? "").toLowerCase();
    this.controller = new AbortController();
    const { signal } = this.controller;
    const now = ctx.live.now();
    /** @type {Range} */
    this.range = { name: "", start: now, end: now };
    this.mode = "steps";
    this.view = new TimeView(now - DAY, now);
    this.timeline = new Timeline(ctx, this.view, signal, { label: ctx.t("chart") });
    this.tracks = new Tracks(ctx, this.view, signal);
    /** Ends requests of a range that is no longer shown. */
    this.loading = new AbortController();
    this.loadedAt = 0;
    /** Entries of the history that are zooms. */
    this.zooms = 0;
    /** Whether anything came since the sums were read. */
    this.isOld = false;
    this.key = "";
    /** @type {ReturnType<typeof mountActions> | null} */
    this.mounted = null;
    this.ranges = new RangeBar(ctx, (range) => this.go({ range }));
    this.drawHead = coalesce(() => this.#drawHead(), 250);
    /** @type {HTMLAnchorElement} */
    this.compareLink = h("a");
    /** @type {HTMLAnchorElement} */
    this.csvLink = h("a");
    /** @type {HTMLAnchorElement} */
    this.pngLink = h("a");
    this.#build(root);
    this.#listen(signal);
    this.show(params);
  }

  get device() {
    return this.ctx.fleet.devices.get(this.mac);
  }

  /** @param {HTMLElement} root */
  #build(root) {
    const { t } = this.ctx;
    const { signal } = this.controller;
    this.name = h("h1", {}, this.mac);
    this.state = makeState();
    this.now = makeNow();
    this.facts = h("span", { class: "small quiet" });
    this.line = h("p", { class: "line small" });
    this.others = h("p", { class: "line small quiet others" });
    this.baseline = h("p", { class: "line small quiet baseline" });
    this.actions = h("div", { class: "device-actions" });
    const link = (/** @type {string} */ name, /** @type {boolean} */ download) =>
      h("a", { class: "button", download, dataset: { link: name } }, t(`device.${name}`));
    this.compareLink = link("compare", false);
    this.csvLink = link("csv", true);
    this.pngLink = link("png", true);
    const copy = h("button", { onclick: () => this.#copy() }, t("device.copy"));
    this.modes = ["steps", "lines"].map((mode) =>
      h("button", { "aria-pressed": "false", dataset: { mode }, onclick: () => this.go({ mode }) }, t(`chart.${mode}`)),
    );
    this.stepWords = h("small");
    this.emotions = h("div", { class: "legend emotions" });
    this.completeness = h("p", { class: "small quiet completeness" });
    this.winners = h("div", { class: "live-data" });
    this.winnersNote = h("small");
    this.histograms = h("div", { class: "histograms live-data" });
    this.week = h("div", { class: "live-data" });
    this.weekNote = h("small");
    this.events = h("div", { class: "live-data" });
    for (const place of [this.winners, this.histograms, this.week, this.events]) {
      replace(place, h("div", { class: "skeleton block" }));
    }
    this.main = h(
      "section",
      { class: "panel heard live-data" },
      h("header", {}, h("h2", {}, t("device.heard"), this.stepWords), h("div", { class: "segments" }, this.modes)),
      this.emotions,
      this.timeline.element,
      makeLaneLegend(this.ctx, signal),
      this.completeness,
      h("p", { class: "small quiet hint" }, t("chart.hint")),
    );
    const panel = (/** @type {string} */ name, /** @type {any} */ note, /** @type {any[]} */ ...content) =>
      h("section", { class: `panel ${name}` }, h("h2", {}, t(`device.${name}`), note), content);
    replace(
      root,
      h(
        "header",
        { class: "device-head" },
        h("a", { class: "back", href: "#/", "aria-label": t("tab.overview") }, "←"),
        this.name,
        this.state,
        this.now,
        this.facts,
        this.actions,
        this.line,
        this.others,
        this.baseline,
      ),
      h("div", { class: "device-bar toolbar" }, this.ranges.element, h("div", { class: "links" }, this.compareLink, this.csvLink, this.pngLink, copy)),
      h(
        "div",
        { class: "panels" },
        this.main,
        h(
          "div",
          { class: "column narrow" },
          panel("winners-panel", this.winnersNote, this.winners),
          panel("signal-panel", null, this.tracks.element),
        ),
        h(
          "div",
          { class: "column wide" },
          panel("week-panel", this.weekNote, this.week),
          panel("histograms-panel", h("small", {}, t("histogram.note")), this.histograms),
        ),
        panel("events-panel", h("small", {}, h("a", { href: `#/events?device=${this.mac}` }, t("events.all"))), this.events),
      ),
    );
  }

  /** @param {AbortSignal} signal */
  #listen(signal) {
    const { fleet, live } = this.ctx;
    const options = { signal };
    fleet.addEventListener("list", this.drawHead, options);
    fleet.addEventListener("device", (event) => /** @type {CustomEvent} */ (event).detail.mac_address === this.mac && this.drawHead(), options);
    live.addEventListener("reading", (event) => this.#take(/** @type {CustomEvent} */ (event).detail), options);
    live.addEventListener("status", (event) => {
      if (/** @type {CustomEvent} */ (event).detail.mac_address === this.mac && this.range.name) this.#load();
    }, options);
    live.addEventListener("missed", () => this.range.name && this.#load(), options);
    this.view.addEventListener("zoom", (event) => {
      const { start, end } = /** @type {CustomEvent} */ (event).detail;
      this.zooms += 1;
      this.go({ range: { name: "", start, end } });
    }, options);
    this.view.addEventListener("back", () => this.#zoomOut(), options);
    const timer = setInterval(() => this.#tick(), 1_000);
    signal.addEventListener("abort", () => {
      clearInterval(timer);
      this.loading.abort();
      this.mounted?.unmount();
    });
    this.drawHead();
  }

  /**
   * Show another range or another kind of chart, as an address that can be kept.
   * @param {{range?: Range, mode?: string}} wanted
   */
  go({ range = this.range, mode = this.mode }) {
    const query = new URLSearchParams({ ...rangeQuery(range), ...(mode === "lines" ? { view: "lines" } : {}) });
    this.ctx.go(`#/device/${this.mac}?${query}`);
  }

  /** Back to where a zoom began, else to twice the time. */
  #zoomOut() {
    const { start, end, name } = this.range;
    if (this.zooms) {
      this.zooms -= 1;
      return history.back();
    }
    if (name) return;
    const half = (end - start) / 2;
    const until = Math.min(this.ctx.live.now(), end + half);
    this.go({ range: { name: "", start: until - 4 * half, end: until } });
  }

  /** @param {import("../app.js").Params} params */
  show({ query }) {
    const key = query.toString();
    this.range = parseRange(query, this.ctx.live.now());
    const mode = query.get("view") === "lines" ? "lines" : "steps";
    const isSameRange = key.replace(/&?view=lines/, "") === this.key;
    this.key = key.replace(/&?view=lines/, "");
    this.mode = mode;
    this.timeline.setMode(mode);
    for (const button of this.modes ?? []) setAttribute(button, "aria-pressed", String(button.dataset.mode === mode));
    this.ranges.show(this.range);
    this.#link();
    if (isSameRange && this.loadedAt) return;
    this.view.point(null);
    this.view.show(this.range.start, this.range.end);
    this.#load();
  }

  /** Point the links to what is shown. */
  #link() {
    const { start, end } = this.range;
    const query = (/** @type {Record<string, string>} */ more) =>
      new URLSearchParams({ start: String(start / 1000), end: String(end / 1000), ...more });
    const path = `/api/v1/devices/${this.mac}`;
    const dark = String(this.ctx.theme.isDark);
    this.csvLink.href = `${path}?${query({ format: "csv" })}`;
    this.pngLink.href = `${path}/plots/timeline.png?${query({ tz: this.ctx.clock.zone, dark, width: "1600", dpi: "150" })}`;
    this.compareLink.href = `#/compare?${new URLSearchParams({ devices: this.mac, ...rangeQuery(this.range) })}`;
  }

  async #copy() {
    const { t, say } = this.ctx;
    try {
      await navigator.clipboard.writeText(location.href);
      say(t("device.copied"));
    } catch {
      prompt(t("device.copy"), location.href); // without https there is no clipboard
    }
  }

  /** @param {any} event */
  #take(event) {
    if (event.mac_address !== this.mac) return;
    this.isOld = true;
    this.timeline.series.add(event);
    if (!this.range.name) return;
    this.timeline.say();
    this.timeline.draw();
    drawEmotions(this.emotions, this.ctx, this.timeline.series.labels);
  }

  /** Move on with the present. */
  #tick() {
    if (document.hidden) return;
    this.drawHead();
    if (!this.range.name) return;
    const now = this.ctx.live.now();
    const length = LENGTHS[this.range.name];
    if (now - this.view.end >= length / 1200 && !this.view.chosen) {
      this.range = { ...this.range, start: now - length, end: now };
      this.view.show(this.range.start, this.range.end);
      this.timeline.series.dropBefore(now - 1.5 * length);
      this.ranges.range = this.range;
    }
    const wait = this.ctx.fleet.isPolled() ? 5_000 : Math.max(AGAIN_MS, length / 500);
    if (performance.now() - this.loadedAt > wait && (this.isOld || this.ctx.fleet.isPolled() || performance.now() - this.loadedAt > 60_000)) this.#load();
  }

  /** Ask for all of the range; what is shown stays until the answer is there. */
  async #load() {
    this.loading.abort();
    this.loading = new AbortController();
    const { signal } = this.loading;
    this.loadedAt = performance.now();
    this.isOld = false;
    const { start, end } = this.range;
    const length = end - start;
    const most = Math.max(60, Math.min(MOST_STEPS, Math.floor(this.timeline.plot.clientWidth / 3) || MOST_STEPS));
    const stepMs = pickStep(length, this.ctx.meta.steps_s, most);
    const [main, winners] = [this.main, this.winners].map((place) => /** @type {HTMLElement} */ (place));
    const times = { start: start / 1000, end: end / 1000 };
    const get = (/** @type {string} */ what, /** @type {any} */ query) => this.ctx.api.get(`/devices/${this.mac}${what}`, query, signal);
    const weekStart = (end - Math.max(length, WEEKS_MS)) / 1000;
    await Promise.all([
      this.#part(get("", { ...times, step: stepName(stepMs) }), (told) => this.#showSeries(told), main, signal),
      this.#part(get("/summary", times), (told) => this.#showSummary(told), winners, signal),
      this.#part(get("/rhythm", { start: weekStart, end: end / 1000, tz: this.ctx.clock.zone }), (told) => this.#showWeek(told), this.week, signal),
      this.#part(get("/completeness", times), (told) => this.#showCompleteness(told), this.completeness, signal),
      this.#part(get("/signal", times), (told) => this.tracks.use(told), this.tracks.element, signal),
      this.#part(
        this.ctx.api.get("/events", { ...times, page_size: 1000 }, signal),
        (told) => drawEvents(this.events, this.ctx, told.events.filter((/** @type {any} */ event) => event.mac_address === this.mac).slice(0, EVENTS), { withDevice: false }),
        this.events,
        signal,
      ),
    ]);
  }

  /**
   * Show an answer, or the sentence of what went wrong where it would be.
   * @param {Promise<any>} asked
   * @param {(told: any) => void} show
   * @param {HTMLElement} place
   * @param {AbortSignal} signal
   */
  async #part(asked, show, place, signal) {
    try {
      const told = await asked;
      if (!signal.aborted) show(told);
    } catch (error) {
      if (signal.aborted) return;
      const { message } = /** @type {Error} */ (error);
      if (place === this.main) this.timeline.say(h("p", { role: "alert" }, message));
      else if (place !== this.tracks.element) replace(place, h("p", { class: "small quiet", role: "alert" }, message));
    }
  }

  /** @param {any} told */
  #showSeries(told) {
    const { t, fleet } = this.ctx;
    const series = Series.fromRest(told);
    if (!series.labels.length) series.labels = told.labels;
    // A live reading that came while REST was asked is newer than its answer.
    const latest = fleet.devices.get(this.mac)?.latest;
    const known = [...series.steps.values()].at(-1)?.at ?? 0;
    if (this.range.name && latest && latest.at > Math.max(known + series.stepMs, this.range.start)) series.add(latest);
    this.timeline.use(series);
    drawEmotions(this.emotions, this.ctx, series.labels);
    setText(this.stepWords, t("chart.step", { step: t(`step.${stepName(series.stepMs).slice(-1)}`, { n: parseInt(stepName(series.stepMs), 10) }) }));
    this.timeline.say(...(series.steps.size ? [] : this.#why(told)));
  }

  /**
   * Return why a range is empty, and what to do.
   * @param {any} told
   * @returns {Node[]}
   */
  #why(told) {
    const { t, clock, live } = this.ctx;
    const latest = told.latest?.at ?? null;
    const now = live.now();
    const state = told.state === "online" ? "listening" : told.state;
    const since = told.last_seen ? clock.brief(Date.parse(told.last_seen), now) : "";
    const words = this.range.name ? t(`blank.device.${state}`, { since }) : t("blank.device.past");
    if (latest === null) return [h("p", {}, words)];
    const query = new URLSearchParams(rangeQuery({ name: "", start: latest - 3_000_000, end: latest + 600_000 }));
    return [
      h("p", {}, words),
      h("a", { class: "button", href: `#/device/${this.mac}?${query}` }, t("blank.device.show", { when: clock.brief(latest, now) })),
    ];
  }

  /** @param {any} told */
  #showSummary(told) {
    const { t } = this.ctx;
    const [winners, histograms] = [this.winners, this.histograms].map((place) => /** @type {HTMLElement} */ (place));
    const share = told.uncertain.share;
    setText(this.winnersNote, told.readings ? t("winners.note", { n: told.readings, u: Math.round(100 * (share ?? 0)) }) : "");
    if (told.readings) {
      drawWinners(winners, this.ctx, told);
      drawHistograms(histograms, this.ctx, told);
    } else {
      for (const place of [winners, histograms]) replace(place, h("p", { class: "small quiet" }, t("blank.range")));
    }
  }

  /**
   * Say in words how much of the range is heard, and why not all.
   * @param {any} told As in docs/api.md.
   */
  #showCompleteness(told) {
    const { t, clock } = this.ctx;
    if (told.ratio === null) return setText(this.completeness, "");
    const digits = { maximumFractionDigits: told.ratio > 0.999 && told.ratio < 1 ? 3 : 1 };
    const words = [t("complete.part", { part: (100 * told.ratio).toLocaleString(clock.language, digits) })];
    const causes = Object.entries(told.causes).filter(([cause]) => cause !== "not_yet");
    const gaps = causes.reduce((sum, [, found]) => sum + found.gaps, 0);
    words.push(gaps ? t("complete.gaps", { n: gaps }) : t(told.ratio < 1 ? "complete.soon" : "complete.none"));
    if (gaps) words.push(causes.map(([cause, { gaps: n }]) => t(`complete.${cause}`, { n })).join(", "));
    setText(this.completeness, `${words.slice(0, 2).join("; ")}${words[2] ? `: ${words[2]}` : ""}`);
  }

  /** @param {any} told */
  #showWeek(told) {
    drawWeek(this.week, this.ctx, told);
    const days = Math.round((Date.parse(told.end) - Date.parse(told.start)) / DAY);
    setText(this.weekNote, this.ctx.t("week.note", { n: days, zone: this.ctx.clock.zone.replace("_", " ") }));
  }

  #drawHead() {
    const { device } = this;
    const { t, fleet } = this.ctx;
    if (device) {
      this.mounted ??= mountActions(/** @type {HTMLElement} */ (this.actions), this.ctx, device);
      this.mounted.update(device);
    }
    if (!device) {
      if (fleet.isLoaded) setText(this.line, t("device.unknown"));
      return;
    }
    setText(this.name, device.name || device.mac_address);
    document.title = `${device.name || device.mac_address} · moodwire`;
    updateState(/** @type {HTMLElement} */ (this.state), device, t);
    updateNow(/** @type {HTMLElement} */ (this.now), device, this.ctx);
    setText(this.facts, `${device.model} · ${device.mac_address}`);
    const [words, kind] = sentence(device, this.ctx);
    setText(this.line, words);
    setAttribute(this.line, "class", `line small ${kind || "quiet"}`);
    const others = (device.concerns ?? []).slice(1).filter(({ kind }) => kind !== "baseline").map((concern) => t(`concern.${concern.kind}`, { n: concern.amount ?? 0 }));
    setText(this.others, others.join(" · "));
    setText(this.baseline, baselineOf(device, this.ctx));
  }
}
