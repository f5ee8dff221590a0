/** The box beside the crosshair: when it is, what was heard then, and how surely. */

import { nameOf } from "../device_facts.js";
import { h, replace } from "../dom.js";
import { shares } from "./series.js";

/** @typedef {{title: string, rows: {label: string, colour: string, value: string}[], note: string, spoken: string}} Words */

/** @returns {HTMLElement} */
export function makeReadout() {
  return h("div", { class: "readout", hidden: true });
}

/**
 * Return a step's time in words: as exact as the step, with the zone where the clock shows it twice.
 * @param {import("../app.js").Context} ctx
 * @param {import("./scale.js").Offsets} offsets
 * @param {number} at
 * @param {number} stepMs
 */
export function stepTime({ clock }, offsets, at, stepMs) {
  /** @type {Intl.DateTimeFormatOptions} */
  const day = { weekday: "short", day: "numeric", month: "short" };
  if (stepMs >= 86_400_000) return clock.format(at, { ...day, year: "numeric" });
  /** @type {Intl.DateTimeFormatOptions} */
  const time = { hour: "2-digit", minute: "2-digit", ...(stepMs < 60_000 ? { second: "2-digit" } : {}) };
  const zone = offsets.isRepeated(at) ? ` ${offsets.name(at)}` : "";
  const until = stepMs > 1000 ? `–${clock.format(at + stepMs, time)}` : "";
  return `${clock.format(at, day)}, ${clock.format(at, time)}${until}${zone}`;
}

/**
 * Return what is to be said of the step at a time.
 * @param {import("../app.js").Context} ctx
 * @param {import("./series.js").Series} series
 * @param {Record<string, string>} colours
 * @param {import("./scale.js").Offsets} offsets
 * @param {number} ms
 * @returns {Words}
 */
export function stepWords(ctx, series, colours, offsets, ms) {
  const { t } = ctx;
  const step = series.stepAt(ms);
  const title = stepTime(ctx, offsets, Math.floor(ms / series.stepMs) * series.stepMs, series.stepMs);
  /** @type {{label: string, colour: string, value: string}[]} */
  const rows = [];
  let note = t(`span.${series.spanAt(ms) ?? "none"}`);
  if (step) {
    const parts = shares(step, series.labels);
    series.labels.forEach((label, place) => {
      rows.push({ label: nameOf(label, t), colour: colours[label], value: `${Math.round(100 * parts[place])} %` });
    });
    rows.reverse(); // as they are stacked
    note = t("chart.readings", { n: step.readings });
    if (step.uncertain) note += ` · ${t("chart.uncertain", { n: step.uncertain })}`;
  }
  const spoken = [title, ...rows.map(({ label, value }) => `${label} ${value}`), note].join(", ");
  return { title, rows, note, spoken };
}

/**
 * Show the box beside a crosshair, on the side that has room.
 * @param {HTMLElement} box
 * @param {Words} words
 * @param {number} x Of the crosshair, px.
 * @param {{x: number, width: number, top: number}} frame
 */
export function placeReadout(box, words, x, frame) {
  if (box.dataset.spoken !== words.spoken) {
    box.dataset.spoken = words.spoken;
    const rows = words.rows.map(({ label, colour, value }) =>
      h("div", { class: "row" }, h("i", { class: "swatch", style: { background: colour } }), h("span", {}, label), h("b", {}, value)),
    );
    replace(box, h("strong", {}, words.title), ...rows, h("small", {}, words.note));
  }
  box.hidden = false;
  const width = box.offsetWidth;
  const isRight = x + width + 16 < frame.x + frame.width || x - width - 14 < 0;
  const left = isRight ? Math.min(x + 14, frame.x + frame.width - width) : x - width - 14;
  box.style.setProperty("transform", `translate(${Math.round(Math.max(0, left))}px, ${frame.top + 6}px)`);
}
