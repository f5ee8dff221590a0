/** How well a device hears, over time: level, clipping and distance of speech from the background, under one crosshair. */

import { coalesce, h, replace, setText } from "../dom.js";
import { fit, onResize } from "./paint.js";

/** @typedef {{key: string, low: number, high: number, unit: string, digits: number, scale?: number}} Track */

/** Without low and high, the values decide. @type {Track[]} */
const TRACKS = [
  { key: "level_dbfs", low: NaN, high: NaN, unit: "dBFS", digits: 0 },
  { key: "snr_db", low: 0, high: 40, unit: "dB", digits: 0 },
  { key: "clipping", low: 0, high: 0.02, unit: "%", digits: 2, scale: 100 },
];
/** Clipping above this is shown as a fault: speech is distorted by then. */
const CLIPPED = 0.005;

export class Tracks {
  /**
   * @param {import("../app.js").Context} ctx
   * @param {import("./time_view.js").TimeView} view
   * @param {AbortSignal} signal
   */
  constructor(ctx, view, signal) {
    this.ctx = ctx;
    this.view = view;
    /** @type {any} As in docs/api.md, Signal. */
    this.data = null;
    this.rows = TRACKS.map((track) => {
      const canvas = h("canvas", { "aria-hidden": "true" });
      const value = h("b");
      const element = h("div", { class: "track" }, h("span", { class: "what" }, ctx.t(`signal.${track.key}`)), value, canvas);
      return { track, canvas, value, element };
    });
    this.note = h("p", { class: "small quiet" });
    this.element = h("div", { class: "tracks" }, this.rows.map((row) => row.element), this.note);
    const draw = coalesce(() => this.draw(), 200);
    onResize(this.element, draw, signal);
    ctx.theme.addEventListener("change", draw, { signal });
    view.addEventListener("range", draw, { signal });
    view.addEventListener("cursor", coalesce(() => this.draw()), { signal });
  }

  /** @param {any} data */
  use(data) {
    this.data = data;
    this.draw();
    const { t } = this.ctx;
    const sum = (/** @type {number[]} */ values) => values.reduce((one, other) => one + other, 0);
    const [windows, silent, dropped] = ["windows", "silent", "dropped"].map((key) => sum(data[key]));
    replace(
      this.note,
      windows ? t("signal.listened", { n: windows, s: Math.round((100 * silent) / windows) }) : t("signal.nothing"),
      dropped ? ` · ${t("signal.dropped", { n: dropped })}` : "",
    );
  }

  draw() {
    if (!this.data) return;
    const { theme, clock } = this.ctx;
    const { start, end, cursor } = this.view;
    const { timestamps, step_s: stepS } = this.data;
    const stepMs = stepS * 1000;
    for (const { track, canvas, value } of this.rows) {
      /** @type {(number | null)[]} */
      const values = this.data[track.key];
      const known = values.filter((each, i) => each !== null && timestamps[i] + stepMs > start && timestamps[i] < end);
      const under = cursor === null ? null : values[timestamps.findIndex((/** @type {number} */ at) => at <= cursor && cursor < at + stepMs)];
      const mean = known.length ? known.reduce((/** @type {number} */ sum, each) => sum + (each ?? 0), 0) / known.length : null;
      const shown = cursor === null ? mean : (under ?? null);
      const scaled = shown === null ? "–" : (shown * (track.scale ?? 1)).toLocaleString(clock.language, { maximumFractionDigits: track.digits });
      setText(value, shown === null ? "–" : `${scaled.replace("-", "−")} ${track.unit}`);
      const surface = fit(canvas);
      if (!surface) continue;
      const { pen, width, height } = surface;
      const [low, high] = bounds(track, /** @type {number[]} */ (known));
      const x = (/** @type {number} */ ms) => ((ms - start) / (end - start)) * width;
      const y = (/** @type {number} */ each) => height - 3 - ((each - low) / (high - low)) * (height - 6);
      pen.strokeStyle = theme.token("--line");
      pen.beginPath();
      pen.moveTo(0, height - 0.5);
      pen.lineTo(width, height - 0.5);
      pen.stroke();
      pen.lineWidth = 1.5;
      pen.lineJoin = "round";
      pen.strokeStyle = theme.token(track.key === "clipping" && known.some((each) => (each ?? 0) > CLIPPED) ? "--bad" : "--accent");
      pen.beginPath();
      let isDown = false;
      values.forEach((each, i) => {
        if (each === null) return void (isDown = false);
        const [left, right, top] = [x(timestamps[i]), x(timestamps[i] + stepMs), y(each)];
        if (isDown) pen.lineTo(left, top);
        else pen.moveTo(left, top);
        pen.lineTo(right, top);
        isDown = true;
      });
      pen.stroke();
      if (cursor === null || cursor < start || cursor > end) continue;
      pen.strokeStyle = theme.token("--ink");
      pen.lineWidth = 1;
      pen.beginPath();
      pen.moveTo(Math.round(x(cursor)) + 0.5, 0);
      pen.lineTo(Math.round(x(cursor)) + 0.5, height);
      pen.stroke();
    }
  }
}

/**
 * Return the lowest and the highest value of a track's axis.
 * @param {Track} track
 * @param {number[]} known
 */
function bounds(track, known) {
  if (!Number.isNaN(track.low)) return [track.low, Math.max(track.high, ...known)];
  const low = Math.floor((Math.min(0, ...known) - 1) / 10) * 10;
  const high = Math.ceil((Math.max(low, ...known) + 1) / 10) * 10;
  return [low, Math.max(high, low + 20)];
}
