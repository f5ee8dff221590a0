/** Ranges of time in an address, and the bar that chooses them. */

import { DAY, Offsets } from "./charts/scale.js";
import { h, replace, setAttribute } from "./dom.js";

/** @typedef {{name: string, start: number, end: number}} Range A name is a length that ends now, and moves with it. */

/** @type {Record<string, number>} */
export const LENGTHS = { "5m": 300_000, "1h": 3_600_000, "24h": DAY, "7d": 7 * DAY, "30d": 30 * DAY };
const USUAL = "24h";

/**
 * Return the range of an address.
 * @param {URLSearchParams} query
 * @param {number} now
 * @returns {Range}
 */
export function parseRange(query, now) {
  const [start, end] = ["start", "end"].map((name) => Date.parse(query.get(name) ?? ""));
  if (start < end) return { name: "", start, end };
  const asked = query.get("range") ?? "";
  const name = asked in LENGTHS ? asked : USUAL;
  return { name, start: now - LENGTHS[name], end: now };
}

/**
 * Return the range as it stands in an address.
 * @param {Range} range
 * @returns {Record<string, string>}
 */
export function rangeQuery({ name, start, end }) {
  if (name) return { range: name };
  return { start: new Date(start).toISOString(), end: new Date(end).toISOString() };
}

/**
 * Return a range moved by its own length, one that ends now where it would reach beyond.
 * @param {Range} range
 * @param {number} direction -1 or 1
 * @param {number} now
 * @returns {Range}
 */
export function moved({ start, end }, direction, now) {
  const length = end - start;
  const known = Object.entries(LENGTHS).find(([, ms]) => Math.abs(ms - length) < ms / 50);
  if (direction > 0 && end + length >= now && known) return { name: known[0], start: now - known[1], end: now };
  const until = Math.min(now, end + direction * length);
  return { name: "", start: until - length, end: until };
}

export class RangeBar {
  /**
   * @param {import("./app.js").Context} ctx
   * @param {(range: Range) => void} choose
   */
  constructor(ctx, choose) {
    this.ctx = ctx;
    this.choose = choose;
    /** @type {Range} */
    this.range = { name: USUAL, start: 0, end: 0 };
    const { t } = ctx;
    this.buttons = Object.keys(LENGTHS).map((name) =>
      h("button", { "aria-pressed": "false", dataset: { range: name }, onclick: () => this.#preset(name) }, t(`range.${name}`)),
    );
    this.custom = h("button", { "aria-pressed": "false", onclick: () => this.#ask() }, t("range.custom"));
    this.live = h(
      "button",
      { class: "live-toggle", "aria-pressed": "false", onclick: () => this.#toggle() },
      h("span", { class: "dot", "aria-hidden": "true" }),
      t("range.live"),
    );
    const step = (/** @type {number} */ direction, /** @type {string} */ word, /** @type {string} */ sign) =>
      h("button", { class: "arrow", "aria-label": t(word), title: t(word), onclick: () => choose(moved(this.range, direction, ctx.live.now())) }, sign);
    this.later = step(1, "range.later", "›");
    this.words = h("span", { class: "range-words small quiet" });
    this.element = h(
      "div",
      { class: "ranges", role: "group", "aria-label": t("range") },
      h("div", { class: "segments" }, this.buttons, this.custom),
      h("div", { class: "steps" }, step(-1, "range.earlier", "‹"), this.later, this.live),
      this.words,
    );
  }

  /** @param {Range} range */
  show(range) {
    this.range = range;
    for (const button of this.buttons) setAttribute(button, "aria-pressed", String(button.dataset.range === range.name));
    setAttribute(this.custom, "aria-pressed", String(!range.name));
    setAttribute(this.live, "aria-pressed", String(Boolean(range.name)));
    this.later.disabled = Boolean(range.name);
    const { clock } = this.ctx;
    const isSameDay = clock.format(range.start, { dateStyle: "short" }) === clock.format(range.end, { dateStyle: "short" });
    const exact = range.end - range.start < 600_000;
    const end = exact ? clock.second(range.end) : isSameDay ? clock.minute(range.end) : clock.full(range.end);
    const start = exact ? `${clock.format(range.start, { day: "numeric", month: "short" })}, ${clock.second(range.start)}` : clock.full(range.start);
    this.words.textContent = range.name ? "" : `${start} – ${end}`;
    this.words.hidden = Boolean(range.name);
  }

  /** @param {string} name */
  #preset(name) {
    const now = this.ctx.live.now();
    this.choose({ name, start: now - LENGTHS[name], end: now });
  }

  /** Stand still, or go on with the present. */
  #toggle() {
    const { name, start, end } = this.range;
    const now = this.ctx.live.now();
    if (name) return this.choose({ name: "", start: now - LENGTHS[name], end: now });
    const length = end - start;
    const nearest = Object.entries(LENGTHS).reduce((one, other) =>
      Math.abs(Math.log(other[1] / length)) < Math.abs(Math.log(one[1] / length)) ? other : one,
    );
    this.#preset(nearest[0]);
  }

  /** Ask for a start and an end, by the viewer's clock. */
  #ask() {
    const { t, clock, live } = this.ctx;
    const offsets = new Offsets(clock.zone);
    const written = (/** @type {number} */ ms) => new Date(ms + offsets.at(ms)).toISOString().slice(0, 16);
    const [from, until] = [this.range.start, this.range.end].map((ms) =>
      h("input", { type: "datetime-local", value: written(ms), required: true, max: written(live.now() + 60_000) }),
    );
    const said = h("p", { class: "said", role: "alert" });
    const dialog = h(
      "dialog",
      { class: "custom-range", "aria-label": t("range.custom.title") },
      h(
        "form",
        {
          method: "dialog",
          onsubmit: (/** @type {SubmitEvent} */ event) => {
            const [start, end] = [from, until].map((field) => offsets.instant(Date.parse(`${field.value}Z`)));
            if (start < end) return this.choose({ name: "", start, end });
            event.preventDefault();
            replace(said, t("range.custom.wrong"));
          },
        },
        h("h2", {}, t("range.custom.title")),
        h("p", { class: "small quiet" }, t("range.custom.zone", { zone: clock.zone })),
        h("label", {}, h("span", {}, t("range.custom.start")), from),
        h("label", {}, h("span", {}, t("range.custom.end")), until),
        said,
        h(
          "div",
          { class: "buttons" },
          h("button", { type: "button", onclick: () => dialog.close() }, t("cancel")),
          h("button", { class: "primary" }, t("range.custom.show")),
        ),
      ),
    );
    dialog.addEventListener("close", () => dialog.remove());
    document.body.append(dialog);
    dialog.showModal();
  }
}
