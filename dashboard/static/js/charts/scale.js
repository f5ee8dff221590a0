/** Time axes: which steps to ask for, and where ticks are, by the clock of the viewer's zone. Ticks are instants, so the
 *  night when clocks go back is not folded: a time that the clock shows twice names its zone. */

/** @typedef {{at: number, label: string, day: string, isMajor: boolean}} Tick */

const SECOND = 1_000;
const MINUTE = 60_000;
const HOUR = 3_600_000;
export const DAY = 86_400_000;
/** From this length on, steps are no shorter than a reading's window of three seconds. */
const CALM_MS = 2 * MINUTE;
const CALM_STEP_S = 5;
/** Every offset from UTC is a multiple of this. */
const QUARTER = 15 * MINUTE;
const STEPS = [
  ...[1, 2, 5, 10, 15, 30].map((n) => n * SECOND),
  ...[1, 2, 5, 10, 15, 30].map((n) => n * MINUTE),
  ...[1, 2, 3, 6, 12].map((n) => n * HOUR),
];
const DAYS = [1, 2, 4, 7, 14, 28, 56, 91, 182, 365, 730];

/**
 * Return the finest of REST's steps that keeps the points of a range few, ms.
 * @param {number} rangeMs
 * @param {number[]} stepsS As `/meta` gives them.
 * @param {number} most Points.
 */
export function pickStep(rangeMs, stepsS, most) {
  const least = rangeMs >= CALM_MS ? CALM_STEP_S : 1;
  const found = stepsS.find((step) => step >= least && rangeMs / (step * SECOND) <= most);
  return (found ?? Math.ceil(rangeMs / DAY / most) * 86_400) * SECOND;
}

/** @param {number} ms Such as `10s`, `5m`, `1h` or `1d`, as REST takes steps. */
export function stepName(ms) {
  for (const [unit, length] of /** @type {[string, number][]} */ ([["d", DAY], ["h", HOUR], ["m", MINUTE]])) {
    if (ms % length === 0) return `${ms / length}${unit}`;
  }
  return `${ms / SECOND}s`;
}

/** Offsets of a zone from UTC, remembered by quarters of an hour. */
export class Offsets {
  /** @param {string} zone */
  constructor(zone) {
    this.format = new Intl.DateTimeFormat("en", { timeZone: zone, timeZoneName: "longOffset" });
    this.names = new Intl.DateTimeFormat("en-GB", { timeZone: zone, timeZoneName: "short" });
    /** @type {Map<number, number>} */
    this.known = new Map();
  }

  /** @param {number} ms @returns {number} ms to add to UTC. */
  at(ms) {
    const quarter = Math.floor(ms / QUARTER);
    let offset = this.known.get(quarter);
    if (offset === undefined) {
      const text = this.format.formatToParts(quarter * QUARTER).find((part) => part.type === "timeZoneName")?.value ?? "";
      const [, sign, hours, minutes] = /GMT(?:([+-−])(\d\d):(\d\d))?/.exec(text) ?? [];
      offset = sign ? (sign === "+" ? 1 : -1) * (Number(hours) * 60 + Number(minutes)) * MINUTE : 0;
      this.known.set(quarter, offset);
    }
    return offset;
  }

  /** @param {number} ms Such as `CET`. */
  name(ms) {
    return this.names.formatToParts(ms).find((part) => part.type === "timeZoneName")?.value ?? "UTC";
  }

  /** @param {number} ms Whether the clock shows this time twice, before and after it goes back. */
  isRepeated(ms) {
    const here = this.at(ms);
    return [-1, 1].some((sign) => {
      const other = this.at(ms + sign * 2 * HOUR);
      const twin = ms + here - other;
      return other !== here && this.at(twin) === other;
    });
  }

  /**
   * Return the instant at which the zone's clock shows a time; of two the first, of none the one after the gap.
   * @param {number} local The time as if it was UTC, ms.
   */
  instant(local) {
    const candidates = [this.at(local - DAY / 2), this.at(local + DAY / 2)].map((offset) => local - offset);
    return candidates.find((at) => at + this.at(at) === local) ?? candidates[0];
  }
}

/**
 * Return the ticks of a range, at round times of the zone's clock.
 * @param {number} start
 * @param {number} end
 * @param {number} most Ticks.
 * @param {Offsets} offsets
 * @param {(ms: number, options: Intl.DateTimeFormatOptions) => string} format `Clock.format`
 * @returns {Tick[]}
 */
export function timeTicks(start, end, most, offsets, format) {
  const step = STEPS.find((each) => (end - start) / each <= most);
  return step ? within(start, end, step, offsets, format) : days(start, end, most, offsets, format);
}

/** @type {Intl.DateTimeFormatOptions} */
const DAY_NAME = { day: "numeric", month: "short" };

/**
 * @param {number} start
 * @param {number} end
 * @param {number} step
 * @param {Offsets} offsets
 * @param {(ms: number, options: Intl.DateTimeFormatOptions) => string} format
 */
function within(start, end, step, offsets, format) {
  const changes = offsets.at(start) !== offsets.at(end);
  const grain = step % QUARTER ? (QUARTER % step ? greatest(step, QUARTER) : step) : QUARTER;
  /** @type {Tick[]} */
  const found = [];
  /** @type {number | undefined} */
  let before;
  for (let at = Math.ceil(start / grain) * grain; at <= end; at += grain) {
    const offset = offsets.at(at);
    if ((at + offset) % step) continue;
    const isMidnight = (at + offset) % DAY === 0;
    /** @type {Intl.DateTimeFormatOptions} */
    const time = { hour: "2-digit", minute: "2-digit", ...(step < MINUTE ? { second: "2-digit" } : {}) };
    const names = changes && (before !== offset || offsets.isRepeated(at));
    before = offset;
    found.push({
      at,
      label: format(at, time) + (names ? ` ${offsets.name(at)}` : ""),
      day: isMidnight || !found.length ? format(at, { weekday: "short", ...DAY_NAME }) : "",
      isMajor: isMidnight,
    });
  }
  return found;
}

/**
 * @param {number} start
 * @param {number} end
 * @param {number} most
 * @param {Offsets} offsets
 * @param {(ms: number, options: Intl.DateTimeFormatOptions) => string} format
 */
function days(start, end, most, offsets, format) {
  const every = DAYS.find((each) => (end - start) / DAY / each <= most) ?? DAYS[DAYS.length - 1] * 4;
  /** @type {Tick[]} */
  const found = [];
  let year = "";
  for (let day = Math.floor((start + offsets.at(start)) / DAY); ; day++) {
    const at = offsets.instant(day * DAY);
    if (at > end) return found;
    if (at < start || day % every) continue;
    const now = format(at, { year: "numeric" });
    found.push({ at, label: format(at, DAY_NAME), day: now === year ? "" : now, isMajor: true });
    year = now;
  }
}

/** @param {number} a @param {number} b @returns {number} */
function greatest(a, b) {
  return b ? greatest(b, a % b) : a;
}
