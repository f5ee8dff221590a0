/** The last hour of every device in minutes: asked from REST in one call, and kept going by live events. */

const MINUTE_MS = 60_000;
/** Minutes on a strip. */
export const MINUTES = 60;
/** How often late readings and what has not arrived are asked for, ms. */
const REFRESH_MS = 300_000;
/** The same while there are no live events. */
const POLL_MS = 20_000;

/** A span that ends so shortly before now still goes on, ms. */
const STILL_MS = 10_000;

/**
 * @typedef {object} Strip One device; each list has an entry for each of the last minutes, the last one is now.
 * @property {string[]} labels
 * @property {number[]} readings
 * @property {number[]} uncertain
 * @property {Record<string, number[]>} sums of the scores
 * @property {{kind: string, start: number, end: number}[]} off Unix ms; Infinity: until now
 */

export class Strips extends EventTarget {
  /**
   * Dispatches `strip` when one has changed (its `detail` is the MAC address), `all` when all have.
   * @param {import("./app.js").Context} ctx
   * @param {AbortSignal} signal Ends it.
   */
  constructor({ api, live, fleet }, signal) {
    super();
    this.api = api;
    this.live = live;
    this.fleet = fleet;
    this.signal = signal;
    /** Number of the newest minute since 1970. */
    this.minute = Math.floor(live.now() / MINUTE_MS);
    /** @type {Map<string, Strip>} By MAC address. */
    this.strips = new Map();
    /** @type {any[] | null} Live states while REST is asked; what it answers may lack them. */
    this.waiting = null;
    this.isWanted = false;
    this.isLoaded = false;
    this.readAt = 0;
    const options = { signal };
    live.addEventListener("reading", (event) => this.#take(/** @type {CustomEvent} */ (event).detail), options);
    live.addEventListener("status", (event) => this.#switch(/** @type {CustomEvent} */ (event).detail), options);
    for (const kind of ["missed", "opened"]) live.addEventListener(kind, () => this.read(), options);
    const timer = setInterval(() => this.#tick(), 1_000);
    signal.addEventListener("abort", () => clearInterval(timer));
    this.read();
  }

  /** Ask for all strips. */
  async read() {
    if (this.live.isStopped) return;
    this.isWanted = Boolean(this.waiting); // what is on its way may be older than what was just heard of
    if (this.waiting) return;
    this.readAt = performance.now();
    this.waiting = [];
    const minute = Math.floor(this.live.now() / MINUTE_MS);
    const query = { start: (minute - MINUTES + 1) * 60, end: (minute + 1) * 60, step: "1m", page_size: 1000 };
    try {
      let token = "";
      const found = new Map();
      do {
        const page = await this.api.get("/strips", { ...query, page_token: token || undefined }, this.signal);
        for (const strip of page.strips) found.set(strip.mac_address, fromRest(strip, this.live.now()));
        token = page.next_page_token;
      } while (token);
      this.strips = found;
      this.minute = minute;
      this.isLoaded = true;
      this.#turn();
      const meanwhile = this.waiting;
      this.waiting = null;
      for (const event of meanwhile) this.#switch(event);
      this.dispatchEvent(new CustomEvent("all"));
    } catch {
      // The header says what is away; the next tick tries again.
    }
    this.waiting = null;
    if (this.isWanted) this.read();
  }

  #tick() {
    if (document.hidden) return;
    if (this.#turn()) this.dispatchEvent(new CustomEvent("all"));
    const wait = !this.isLoaded ? 5_000 : this.fleet.isPolled() ? POLL_MS : REFRESH_MS;
    if (performance.now() - this.readAt > wait) this.read();
  }

  /** Begin a new minute on every strip if it is time; return whether it was. */
  #turn() {
    const minute = Math.floor(this.live.now() / MINUTE_MS);
    const count = Math.min(MINUTES, minute - this.minute);
    if (count <= 0) return false;
    this.minute = minute;
    for (const strip of this.strips.values()) {
      for (const column of [strip.readings, strip.uncertain, ...Object.values(strip.sums)]) {
        column.splice(0, count);
        column.push(...new Array(count).fill(0));
      }
    }
    return true;
  }

  /** @param {any} event */
  #take(event) {
    this.#turn();
    const place = MINUTES - 1 - (this.minute - Math.floor(event.at / MINUTE_MS));
    if (place < 0 || place >= MINUTES) return;
    const strip = this.of(event.mac_address);
    strip.readings[place] += 1;
    strip.uncertain[place] += event.state === "uncertain" ? 1 : 0;
    for (const [label, score] of Object.entries(event.scores)) {
      if (!strip.sums[label]) {
        strip.sums[label] = zeros();
        strip.labels = Object.keys(strip.sums).sort();
      }
      strip.sums[label][place] += /** @type {number} */ (score);
    }
    this.dispatchEvent(new CustomEvent("strip", { detail: event.mac_address }));
  }

  /** @param {any} event */
  #switch(event) {
    this.waiting?.push(event);
    const strip = this.of(event.mac_address);
    const now = this.live.now();
    const last = strip.off.at(-1);
    if (last && last.end > now) last.end = now;
    if (event.state !== "online") strip.off.push({ kind: event.state, start: now, end: Infinity });
    this.dispatchEvent(new CustomEvent("strip", { detail: event.mac_address }));
  }

  /**
   * The strip of a device; an empty one before anything is known.
   * @param {string} mac
   * @returns {Strip}
   */
  of(mac) {
    let strip = this.strips.get(mac);
    if (!strip) {
      strip = { labels: [], readings: zeros(), uncertain: zeros(), sums: {}, off: [] };
      this.strips.set(mac, strip);
    }
    return strip;
  }
}

function zeros() {
  return new Array(MINUTES).fill(0);
}

/**
 * @param {any} told As in docs/api.md, Strips.
 * @param {number} now
 * @returns {Strip}
 */
function fromRest(told, now) {
  const labels = Object.keys(told.scores).sort();
  const sums = Object.fromEntries(
    labels.map((label) => [
      label,
      told.scores[label].map((/** @type {number | null} */ mean, /** @type {number} */ i) => (mean ?? 0) * told.readings[i]),
    ]),
  );
  const off = told.off.map((/** @type {any} */ span) => ({
    kind: span.kind,
    start: Date.parse(span.start),
    end: Date.parse(span.end) > now - STILL_MS ? Infinity : Date.parse(span.end),
  }));
  return { labels, readings: told.readings, uncertain: told.uncertain, sums, off };
}

/**
 * Draw a strip: the height of a bar is how much was spoken in its minute, its colours are the shares of the emotions,
 * its pale upper part was uncertain, and patterns mark when the device was off.
 * @param {HTMLCanvasElement} canvas
 * @param {Strip} strip
 * @param {number} minute The newest minute.
 * @param {import("./palette.js").Theme} theme
 */
export function drawStrip(canvas, strip, minute, theme) {
  const ratio = Math.min(3, devicePixelRatio || 1);
  const [width, height] = [canvas.clientWidth, canvas.clientHeight].map((size) => Math.round(size * ratio));
  if (!width || !height) return;
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  pen.clearRect(0, 0, width, height);
  const step = width / MINUTES;
  const gap = Math.max(1, Math.round(ratio * 0.75));
  const base = height - Math.max(1, Math.round(ratio));
  pen.fillStyle = theme.token("--line");
  pen.fillRect(0, base, width, height - base);
  for (const span of strip.off) drawOff(pen, span, minute, step, height, ratio, theme);
  for (let i = 0; i < MINUTES; i++) {
    const count = strip.readings[i];
    if (!count) continue;
    const left = Math.round(i * step);
    const wide = Math.max(1, Math.round((i + 1) * step) - left - gap);
    const full = Math.max(2 * ratio, Math.min(1, count / 60) * (base - ratio));
    const pale = (full * strip.uncertain[i]) / count;
    const total = strip.labels.reduce((sum, label) => sum + strip.sums[label][i], 0) || 1;
    for (const [bottom, part, alpha] of [
      [base, full - pale, 1],
      [base - full + pale, pale, 0.34],
    ]) {
      pen.globalAlpha = alpha;
      let from = bottom;
      for (const label of strip.labels) {
        const to = from - (part * strip.sums[label][i]) / total;
        pen.fillStyle = theme.colour(label);
        pen.fillRect(left, Math.round(to), wide, Math.round(from) - Math.round(to));
        from = to;
      }
    }
    pen.globalAlpha = 1;
  }
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {{kind: string, start: number, end: number}} span
 * @param {number} minute
 * @param {number} step
 * @param {number} height
 * @param {number} ratio
 * @param {import("./palette.js").Theme} theme
 */
function drawOff(pen, span, minute, step, height, ratio, theme) {
  const place = (/** @type {number} */ ms) => (ms / MINUTE_MS - (minute - MINUTES + 1)) * step;
  const left = Math.max(0, place(span.start));
  const right = Math.min(MINUTES * step, place(span.end));
  if (right <= left) return;
  pen.save();
  pen.beginPath();
  pen.rect(left, 0, right - left, height);
  pen.clip();
  pen.fillStyle = theme.token("--sunk");
  pen.fillRect(left, 0, right - left, height);
  pen.strokeStyle = theme.token("--hatch");
  pen.lineWidth = ratio;
  pen.beginPath();
  hatch(pen, span.kind, left, right, height, 6 * ratio);
  pen.stroke();
  pen.restore();
}

/**
 * Add the lines of a pattern: paused has upright ones, offline slanted ones, nothing received crossed ones.
 * @param {CanvasRenderingContext2D} pen
 * @param {string} kind
 * @param {number} left
 * @param {number} right
 * @param {number} height
 * @param {number} every
 */
function hatch(pen, kind, left, right, height, every) {
  const first = Math.floor((left - height) / every) * every;
  for (let x = first; x < right + height; x += every) {
    if (kind === "paused") {
      pen.moveTo(x + 0.5, 0);
      pen.lineTo(x + 0.5, height);
    } else {
      pen.moveTo(x, height);
      pen.lineTo(x + height, 0);
      if (kind === "missing") {
        pen.moveTo(x, 0);
        pen.lineTo(x + height, height);
      }
    }
  }
}
