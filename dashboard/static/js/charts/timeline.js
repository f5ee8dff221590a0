/** What was heard over time: the share of each emotion as stacked steps or smoothed lines, and a lane that says what else
 *  there was. Drawn on two canvases, so that a crosshair costs no drawing of the rest. */

import { nameOf } from "../device_facts.js";
import { coalesce, h, replace, setAttribute, setText } from "../dom.js";
import { fit, onResize, pattern } from "./paint.js";
import { makeReadout, placeReadout, stepTime, stepWords } from "./readout.js";
import { Offsets, timeTicks } from "./scale.js";
import { Series, shares, smooth } from "./series.js";

/** @typedef {import("./time_view.js").TimeView} TimeView */
/** @typedef {{x: number, width: number, top: number, bottom: number, lane: number, laneHeight: number}} Frame */

const LANE = 20;
const TICKS = 36;
/** A drag shorter than this is a click, px. */
const DRAG = 5;
const FONT = 11.5;
/** Least time between two drawings while live events come, ms. */
const DRAW_MS = 200;

export class Timeline {
  /**
   * @param {import("../app.js").Context} ctx
   * @param {TimeView} view
   * @param {AbortSignal} signal Ends it.
   * @param {{label: string}} options What the chart is called for those who do not see it.
   */
  constructor(ctx, view, signal, { label }) {
    this.ctx = ctx;
    this.view = view;
    this.series = new Series(60_000, []);
    this.mode = "steps";
    /** Share at the top of the axis. */
    this.top = 1;
    this.offsets = new Offsets(ctx.clock.zone);
    /** Where the mouse is on the canvas, px. @type {number | null} */
    this.pointerX = null;
    /** Where a drag began, px. @type {number | null} */
    this.dragX = null;
    /** @type {Record<string, string>} */
    this.colours = {};
    this.base = h("canvas", { class: "base", "aria-hidden": "true" });
    this.above = h("canvas", { class: "above", "aria-hidden": "true" });
    this.readout = makeReadout();
    this.blank = h("div", { class: "chart-blank", hidden: true });
    this.plot = h(
      "div",
      { class: "plot", tabindex: "0", role: "slider", "aria-label": label, "aria-valuenow": "0" },
      this.base,
      this.above,
    );
    this.caption = h("figcaption", { class: "small quiet" });
    this.rows = h("div", { class: "scroll", tabindex: "0" });
    this.table = h("details", { class: "as-table small", ontoggle: () => this.#drawTable() }, h("summary", {}, ctx.t("chart.table")), this.rows);
    const box = h("div", { class: "plot-box" }, this.plot, this.blank, this.readout);
    this.element = h("figure", { class: "timeline" }, box, this.caption, this.table);
    this.draw = coalesce(() => this.#draw(), DRAW_MS);
    this.drawNow = coalesce(() => this.#draw());
    this.drawAbove = coalesce(() => this.#drawAbove());
    onResize(this.plot, this.drawNow, signal);
    ctx.theme.addEventListener("change", this.drawNow, { signal });
    view.addEventListener("range", this.drawNow, { signal });
    view.addEventListener("cursor", this.drawAbove, { signal });
    this.#listen(signal);
  }

  /** @param {Series} series */
  use(series) {
    this.series = series;
    this.drawNow();
  }

  /** @param {"steps" | "lines"} mode */
  setMode(mode) {
    this.mode = mode;
    this.drawNow();
  }

  /**
   * Say why there is nothing to see, or nothing.
   * @param {(Node | string)[]} words
   */
  say(...words) {
    this.blank.hidden = !words.length;
    if (words.length) replace(this.blank, ...words);
  }

  /** @returns {Frame} */
  get frame() {
    const { clientWidth: width, clientHeight: height } = this.plot;
    const isNarrow = width < 520;
    const x = isNarrow ? 42 : 46;
    const right = this.mode === "lines" && !isNarrow ? 96 : 10;
    const lane = height - TICKS - LANE;
    return { x, width: Math.max(1, width - x - right), top: 8, bottom: lane - 8, lane, laneHeight: LANE };
  }

  /** @param {number} ms @param {Frame} frame */
  #place(ms, frame) {
    return frame.x + ((ms - this.view.start) / (this.view.end - this.view.start)) * frame.width;
  }

  /** @param {number} x @param {Frame} frame */
  #time(x, frame) {
    const part = Math.min(1, Math.max(0, (x - frame.x) / frame.width));
    return this.view.start + part * (this.view.end - this.view.start);
  }

  /** @param {AbortSignal} signal */
  #listen(signal) {
    const options = { signal };
    const { plot, view } = this;
    const at = (/** @type {PointerEvent} */ event) => event.clientX - plot.getBoundingClientRect().left;
    plot.addEventListener(
      "pointerdown",
      (/** @type {PointerEvent} */ event) => {
        if (event.button) return;
        this.pointerX = at(event);
        if (event.pointerType === "mouse") {
          this.dragX = this.pointerX;
          plot.setPointerCapture(event.pointerId);
        }
        view.point(this.#time(this.pointerX, this.frame));
      },
      options,
    );
    plot.addEventListener(
      "pointermove",
      (/** @type {PointerEvent} */ event) => {
        this.pointerX = at(event);
        const ms = this.#time(this.pointerX, this.frame);
        if (this.dragX !== null && Math.abs(this.pointerX - this.dragX) > DRAG) {
          const from = this.#time(this.dragX, this.frame);
          view.choose([Math.min(from, ms), Math.max(from, ms)]);
        }
        view.point(ms);
      },
      options,
    );
    const end = () => {
      this.dragX = null;
      const { chosen } = view;
      if (chosen) view.zoom(...this.#whole(chosen));
    };
    plot.addEventListener("pointerup", end, options);
    plot.addEventListener("pointercancel", () => ((this.dragX = null), view.choose(null)), options);
    plot.addEventListener(
      "pointerleave",
      (/** @type {PointerEvent} */ event) => {
        if (event.pointerType !== "mouse" || this.dragX !== null) return;
        this.pointerX = null;
        view.point(null);
      },
      options,
    );
    plot.addEventListener("dblclick", () => view.dispatchEvent(new CustomEvent("back")), options);
    plot.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.#key(event), options);
    plot.addEventListener("blur", () => this.pointerX === null && view.point(null), options);
  }

  /**
   * Widen a part to whole steps, and to a few of them.
   * @param {[number, number]} chosen
   * @returns {[number, number]}
   */
  #whole([start, end]) {
    const { stepMs } = this.series;
    const least = Math.max(4_000, Math.min(stepMs, (this.view.end - this.view.start) / 50));
    const middle = (start + end) / 2;
    const half = Math.max(end - start, least) / 2;
    return [middle - half, middle + half];
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const { view, series } = this;
    const length = view.end - view.start;
    const stride = Math.max(series.stepMs, length / 400) * (event.shiftKey ? 10 : 1);
    const from = view.cursor ?? view.end - stride;
    /** @type {Record<string, () => void>} */
    const keys = {
      ArrowLeft: () => view.point(Math.max(view.start, from - stride)),
      ArrowRight: () => view.point(Math.min(view.end - 1, from + stride)),
      Home: () => view.point(view.start),
      End: () => view.point(view.end - 1),
      Enter: () => view.zoom(...this.#whole([from - length / 8, from + length / 8])),
      "+": () => view.zoom(...this.#whole([from - length / 4, from + length / 4])),
      "-": () => view.dispatchEvent(new CustomEvent("back")),
      Escape: () => (view.choose(null), view.point(null)),
    };
    const act = keys[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.pointerX = null;
    act();
  }

  #draw() {
    const surface = fit(this.base);
    if (!surface) return;
    const { pen, width } = surface;
    const frame = this.frame;
    const { theme, t } = this.ctx;
    const token = (/** @type {string} */ name) => theme.token(name);
    setAttribute(this.plot, "aria-valuemin", String(Math.round(this.view.start)));
    setAttribute(this.plot, "aria-valuemax", String(Math.round(this.view.end)));
    this.colours = this.ctx.theme.colours(this.series.labels);
    const steps = this.series.inside(this.view.start, this.view.end);
    pen.font = `${FONT}px ${token("--font")}`;
    const pieces = this.mode === "lines" ? this.#pieces(steps) : [];
    const highest = Math.max(0, ...pieces.flatMap((piece) => piece.flatMap((point) => point.values)));
    this.top = this.mode === "lines" && highest < 0.48 ? 0.5 : 1;
    this.#drawGrid(pen, frame, token);
    pen.save();
    pen.beginPath();
    pen.rect(frame.x, 0, frame.width, this.plot.clientHeight);
    pen.clip();
    if (this.mode === "lines") this.#drawLines(pen, frame, pieces);
    else this.#drawSteps(pen, frame, steps, surface.ratio);
    this.#drawLane(pen, frame, steps, token);
    pen.restore();
    if (this.mode === "lines" && width >= 520) this.#nameLines(pen, frame, pieces, token);
    this.#caption(steps, t);
    if (this.pointerX !== null) this.view.point(this.#time(this.pointerX, frame));
    this.#drawAbove();
  }

  /**
   * @param {CanvasRenderingContext2D} pen
   * @param {Frame} frame
   * @param {(name: string) => string} token
   */
  #drawGrid(pen, frame, token) {
    const height = frame.bottom - frame.top;
    pen.lineWidth = 1;
    pen.strokeStyle = token("--line");
    pen.fillStyle = token("--ink-2");
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    for (const quarter of [0, 0.25, 0.5, 0.75, 1]) {
      const part = quarter * this.top;
      const y = Math.round(frame.bottom - quarter * height) + 0.5;
      pen.beginPath();
      pen.moveTo(frame.x, y);
      pen.lineTo(frame.x + frame.width, y);
      pen.stroke();
      if (quarter % 0.5 === 0) pen.fillText(`${part * 100} %`, frame.x - 8, y);
    }
    const most = Math.max(2, Math.floor(frame.width / (this.view.end - this.view.start < 90_000 ? 92 : 76)));
    const { clock } = this.ctx;
    const ticks = timeTicks(this.view.start, this.view.end, most, this.offsets, (ms, options) => clock.format(ms, options));
    pen.textBaseline = "alphabetic";
    const under = frame.lane + frame.laneHeight;
    let dayEnd = -Infinity;
    for (const { at, label, day, isMajor } of ticks) {
      const x = Math.round(this.#place(at, frame)) + 0.5;
      pen.strokeStyle = token(isMajor ? "--line-strong" : "--line");
      pen.beginPath();
      pen.moveTo(x, frame.top);
      pen.lineTo(x, under + 4);
      pen.stroke();
      const half = pen.measureText(label).width / 2;
      const shown = Math.min(frame.x + frame.width + 8 - half, Math.max(frame.x - 20 + half, x));
      pen.textAlign = "center";
      pen.fillStyle = token(isMajor && day ? "--ink" : "--ink-2");
      pen.fillText(label, shown, under + 17);
      if (!day) continue;
      pen.fillStyle = token("--ink-3");
      const wide = pen.measureText(day).width;
      const left = Math.min(frame.x + frame.width - wide, Math.max(0, shown - wide / 2));
      if (left > dayEnd + 8) {
        pen.textAlign = "left";
        pen.fillText(day, left, under + 32);
        dayEnd = left + wide;
      }
    }
  }

  /**
   * @param {CanvasRenderingContext2D} pen
   * @param {Frame} frame
   * @param {import("./series.js").Step[]} steps
   * @param {number} ratio
   */
  #drawSteps(pen, frame, steps, ratio) {
    const { labels, stepMs } = this.series;
    const height = frame.bottom - frame.top;
    const sharp = (/** @type {number} */ px) => Math.round(px * ratio) / ratio;
    const wide = (stepMs / (this.view.end - this.view.start)) * frame.width;
    const gap = wide > 7 ? 1 : 0;
    for (const step of steps) {
      const left = sharp(this.#place(step.at, frame));
      const right = Math.max(sharp(this.#place(step.at + stepMs, frame)), left + 1 / ratio);
      pen.globalAlpha = 1 - (0.62 * step.uncertain) / step.readings;
      let y = frame.bottom;
      shares(step, labels).forEach((share, place) => {
        const next = place === labels.length - 1 ? frame.top : y - share * height;
        pen.fillStyle = this.colours[labels[place]];
        pen.fillRect(left, sharp(next), Math.max(1 / ratio, right - left - gap), sharp(y) - sharp(next));
        y = next;
      });
    }
    pen.globalAlpha = 1;
  }

  /** @param {import("./series.js").Step[]} steps */
  #pieces(steps) {
    const length = this.view.end - this.view.start;
    return smooth(steps, this.series.labels, Math.max(length / 90, this.series.stepMs * 0.6), Math.max(length / 24, this.series.stepMs * 1.5));
  }

  /**
   * @param {CanvasRenderingContext2D} pen
   * @param {Frame} frame
   * @param {import("./series.js").Piece[]} pieces
   */
  #drawLines(pen, frame, pieces) {
    const { labels, stepMs } = this.series;
    const height = (frame.bottom - frame.top) / this.top;
    pen.lineJoin = pen.lineCap = "round";
    pen.lineWidth = 2.25;
    for (const piece of pieces) {
      labels.forEach((label, place) => {
        pen.strokeStyle = pen.fillStyle = this.colours[label];
        const points = piece.map(({ at, values }) => [
          this.#place(at + stepMs / 2, frame),
          frame.bottom - values[place] * height,
        ]);
        pen.beginPath();
        if (points.length === 1) pen.arc(points[0][0], points[0][1], 2.5, 0, 7);
        points.forEach(([x, y], i) => {
          if (!i) return pen.moveTo(x, y);
          const [fromX, fromY] = points[i - 1]; // half-way between two points the line is straight
          pen.quadraticCurveTo(fromX, fromY, (fromX + x) / 2, (fromY + y) / 2);
          if (i === points.length - 1) pen.lineTo(x, y);
        });
        if (points.length === 1) pen.fill();
        else pen.stroke();
      });
    }
  }

  /**
   * Write the name of each line at its end, apart from the others.
   * @param {CanvasRenderingContext2D} pen
   * @param {Frame} frame
   * @param {import("./series.js").Piece[]} pieces
   * @param {(name: string) => string} token
   */
  #nameLines(pen, frame, pieces, token) {
    const last = pieces.at(-1)?.at(-1);
    if (!last) return;
    const height = (frame.bottom - frame.top) / this.top;
    const ends = this.series.labels
      .map((label, place) => ({ label, y: frame.bottom - last.values[place] * height }))
      .sort((one, other) => one.y - other.y);
    const gap = Math.min(16, (frame.bottom - frame.top) / Math.max(1, ends.length - 1));
    ends.forEach((end, i) => (end.y = Math.max(end.y, i ? ends[i - 1].y + gap : frame.top)));
    for (let i = ends.length - 1; i >= 0; i--) {
      ends[i].y = Math.min(ends[i].y, i === ends.length - 1 ? frame.bottom : ends[i + 1].y - gap);
    }
    pen.textAlign = "left";
    pen.textBaseline = "middle";
    for (const { label, y } of ends) {
      pen.fillStyle = this.colours[label];
      pen.fillRect(frame.x + frame.width + 8, y - 1.5, 10, 3);
      pen.fillStyle = token("--ink");
      pen.fillText(nameOf(label, this.ctx.t), frame.x + frame.width + 23, y);
    }
  }

  /**
   * @param {CanvasRenderingContext2D} pen
   * @param {Frame} frame
   * @param {import("./series.js").Step[]} steps
   * @param {(name: string) => string} token
   */
  #drawLane(pen, frame, steps, token) {
    const { lane: y, laneHeight: height } = frame;
    const { stepMs, spans } = this.series;
    pen.fillStyle = token("--sunk");
    pen.fillRect(frame.x, y, frame.width, height);
    const colours = { ground: token("--sunk"), line: token("--line-strong"), ink: token("--ink-3") };
    for (const kind of ["silence", "uncertain", "missing", "offline", "paused"]) {
      for (const span of spans) {
        if (span.kind !== kind) continue;
        const left = Math.max(frame.x, this.#place(span.start, frame));
        const right = Math.min(frame.x + frame.width, this.#place(span.end, frame));
        if (right > left) pattern(pen, kind, { x: left, y, width: Math.max(1, right - left), height }, colours);
      }
    }
    const accent = token("--accent");
    const full = stepMs / 1000; // a device classifies a window each second
    for (const step of steps) {
      const left = this.#place(step.at, frame);
      const wide = Math.max(1, this.#place(step.at + stepMs, frame) - left);
      const sure = step.readings - step.uncertain;
      const tall = height * (0.3 + 0.7 * Math.min(1, Math.sqrt(step.readings / full)));
      pen.fillStyle = token("--sunk");
      pen.fillRect(left, y, wide, height);
      pen.fillStyle = accent;
      pen.globalAlpha = sure ? 1 : 0.3;
      pen.fillRect(left, y + height - tall, wide, tall);
      pen.globalAlpha = 1;
      if (step.uncertain * 2 > step.readings) {
        const box = { x: left, y, width: wide, height };
        pattern(pen, "uncertain", box, colours);
      }
    }
  }

  /**
   * Say the whole range in a sentence.
   * @param {import("./series.js").Step[]} steps
   * @param {import("../i18n.js").Translate} t
   */
  #caption(steps, t) {
    const { labels } = this.series;
    const sums = labels.map((label) => steps.reduce((sum, step) => sum + (step.sums[label] ?? 0), 0));
    const readings = steps.reduce((sum, step) => sum + step.readings, 0);
    const uncertain = steps.reduce((sum, step) => sum + step.uncertain, 0);
    if (!readings) return setText(this.caption, "");
    const total = sums.reduce((one, other) => one + other, 0) || 1;
    const parts = labels.map((label, place) => `${nameOf(label, t)} ${Math.round((100 * sums[place]) / total)} %`);
    setText(
      this.caption,
      t("chart.caption", { shares: parts.join(", "), n: readings, u: Math.round((100 * uncertain) / readings) }),
    );
  }

  /** Show the steps as a table while it is open, for those who do not see the chart; focus and scroll position stay. */
  #drawTable() {
    const { t } = this.ctx;
    if (!this.table.open) return;
    const { labels, stepMs } = this.series;
    const head = [t("chart.table.time"), ...labels.map((label) => nameOf(label, t)), t("compare.readings"), t("compare.uncertain")];
    const rows = this.series.inside(this.view.start, this.view.end).map((step) =>
      h(
        "tr",
        {},
        h("th", { scope: "row" }, stepTime(this.ctx, this.offsets, step.at, stepMs)),
        shares(step, labels).map((share) => h("td", {}, `${Math.round(100 * share)} %`)),
        h("td", {}, step.readings),
        h("td", {}, step.uncertain),
      ),
    );
    const table = h(
      "table",
      {},
      h("thead", {}, h("tr", {}, head.map((words) => h("th", { scope: "col" }, words)))),
      h("tbody", {}, rows),
    );
    replace(this.rows, table);
  }

  #drawAbove() {
    const surface = fit(this.above);
    if (!surface) return;
    const { pen } = surface;
    const frame = this.frame;
    const { theme } = this.ctx;
    const { cursor, chosen } = this.view;
    const under = frame.lane + frame.laneHeight;
    if (chosen) {
      const [left, right] = chosen.map((ms) => this.#place(ms, frame));
      pen.fillStyle = theme.token("--accent");
      pen.globalAlpha = 0.16;
      pen.fillRect(left, frame.top, right - left, under - frame.top);
      pen.globalAlpha = 1;
      pen.fillRect(left, frame.top, 1.5, under - frame.top);
      pen.fillRect(right - 1.5, frame.top, 1.5, under - frame.top);
    }
    if (cursor === null || cursor < this.view.start || cursor > this.view.end) {
      this.readout.hidden = true;
      return;
    }
    const x = Math.round(this.#place(cursor, frame)) + 0.5;
    pen.strokeStyle = theme.token("--ink");
    pen.lineWidth = 1;
    pen.beginPath();
    pen.moveTo(x, frame.top - 4);
    pen.lineTo(x, under + 4);
    pen.stroke();
    const words = stepWords(this.ctx, this.series, this.colours, this.offsets, cursor);
    placeReadout(this.readout, words, x, frame);
    setAttribute(this.plot, "aria-valuenow", String(Math.round(cursor)));
    setAttribute(this.plot, "aria-valuetext", words.spoken);
  }
}
