/** Readings in steps: as REST answered them, and as live events have added to them since. */

/** @typedef {{kind: string, start: number, end: number}} Span Unix ms. */
/** @typedef {{at: number, values: number[]}[]} Piece Points of a line, with a value for each label. */
/** @typedef {{at: number, readings: number, uncertain: number, sums: Record<string, number>}} Step */

export class Series {
  /**
   * @param {number} stepMs
   * @param {string[]} labels
   */
  constructor(stepMs, labels) {
    this.stepMs = stepMs;
    this.labels = labels;
    /** By number of the step since 1970. @type {Map<number, Step>} */
    this.steps = new Map();
    /** @type {Span[]} */
    this.spans = [];
  }

  /** @param {any} told As in docs/api.md, SingleDevice. */
  static fromRest(told) {
    const labels = Object.keys(told).flatMap((key) => (key.startsWith("timeseries_") ? [key.slice(11)] : []));
    const series = new Series(told.step_s * 1000, labels.sort());
    told.timestamps.forEach((/** @type {number} */ at, /** @type {number} */ i) => {
      const readings = told.readings_per_step[i];
      if (!readings) return;
      /** @type {Record<string, number>} */
      const sums = {};
      for (const label of labels) sums[label] = (told[`timeseries_${label}`][i] ?? 0) * readings;
      series.steps.set(Math.floor(at / series.stepMs), { at, readings, uncertain: told.uncertain_per_step[i], sums });
    });
    series.spans = told.spans.map((/** @type {any} */ span) => ({
      kind: span.kind,
      start: Date.parse(span.start),
      end: Date.parse(span.end),
    }));
    return series;
  }

  /** @param {{at: number, state: string, scores: Record<string, number>}} reading */
  add(reading) {
    const number = Math.floor(reading.at / this.stepMs);
    let step = this.steps.get(number);
    if (!step) {
      step = { at: number * this.stepMs, readings: 0, uncertain: 0, sums: {} };
      this.steps.set(number, step);
    }
    step.readings += 1;
    if (reading.state === "uncertain") step.uncertain += 1;
    for (const [label, score] of Object.entries(reading.scores)) {
      step.sums[label] = (step.sums[label] ?? 0) + score;
      if (!this.labels.includes(label)) this.labels = [...this.labels, label].sort();
    }
  }

  /** Forget steps before a time, so that a page that stays open for weeks does not grow. @param {number} ms */
  dropBefore(ms) {
    for (const [number, step] of this.steps) if (step.at + this.stepMs < ms) this.steps.delete(number);
  }

  /** @param {number} start @param {number} end @returns {Step[]} Those that touch a range, in order. */
  inside(start, end) {
    const found = [];
    for (const step of this.steps.values()) if (step.at + this.stepMs > start && step.at < end) found.push(step);
    return found.sort((one, other) => one.at - other.at);
  }

  /** @param {number} ms */
  stepAt(ms) {
    return this.steps.get(Math.floor(ms / this.stepMs));
  }

  /** @param {number} ms @returns {string | null} Kind of the span at a time; what says more stands first. */
  spanAt(ms) {
    const kinds = this.spans.filter((span) => span.start <= ms && ms < span.end).map((span) => span.kind);
    return KINDS.find((kind) => kinds.includes(kind)) ?? null;
  }

  /** Most readings of a step. */
  get most() {
    let most = 1;
    for (const step of this.steps.values()) most = Math.max(most, step.readings);
    return most;
  }
}

/** Kinds of spans: where two meet, the first one is shown. */
export const KINDS = ["paused", "offline", "missing", "uncertain", "silence"];

/**
 * Return the share of each label in a step, 0 to 1.
 * @param {Step} step
 * @param {string[]} labels
 */
export function shares(step, labels) {
  const total = labels.reduce((sum, label) => sum + (step.sums[label] ?? 0), 0) || 1;
  return labels.map((label) => (step.sums[label] ?? 0) / total);
}

/**
 * Return lines through steps: each point is the mean of what lies around it, in which near readings weigh more and each
 * reading counts once. A pause longer than `gapMs` breaks a line.
 * @param {Step[]} steps In order.
 * @param {string[]} labels
 * @param {number} widthMs Standard deviation of the weights.
 * @param {number} gapMs
 * @returns {Piece[]}
 */
export function smooth(steps, labels, widthMs, gapMs) {
  /** @type {Piece[]} */
  const pieces = [];
  let first = 0;
  steps.forEach((step, i) => {
    if (!i || step.at - steps[i - 1].at > gapMs) {
      pieces.push([]);
      first = i;
    }
    const sums = labels.map(() => 0);
    let weights = 0;
    const take = (/** @type {Step} */ other) => {
      const weight = other.readings * Math.exp(-0.5 * ((other.at - step.at) / widthMs) ** 2);
      weights += weight;
      shares(other, labels).forEach((share, place) => (sums[place] += weight * share));
    };
    for (let k = i; k >= first && step.at - steps[k].at <= 3 * widthMs; k--) take(steps[k]);
    for (let k = i + 1; k < steps.length && steps[k].at - step.at <= 3 * widthMs; k++) {
      if (steps[k].at - steps[k - 1].at > gapMs) break;
      take(steps[k]);
    }
    pieces[pieces.length - 1].push({ at: step.at, values: sums.map((sum) => sum / weights) });
  });
  return pieces;
}
