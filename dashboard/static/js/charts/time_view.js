/** The range of time that the charts of a view share, and their common crosshair. */

export class TimeView extends EventTarget {
  /**
   * Dispatches `range` when the range has changed, `cursor` when the crosshair has, and `zoom` when a viewer chose a part
   * (its `detail` has start and end).
   * @param {number} start Unix ms.
   * @param {number} end
   */
  constructor(start, end) {
    super();
    this.start = start;
    this.end = end;
    /** Time under the crosshair, Unix ms. @type {number | null} */
    this.cursor = null;
    /** Part that is being chosen. @type {[number, number] | null} */
    this.chosen = null;
  }

  /** @param {number} start @param {number} end */
  show(start, end) {
    if (start === this.start && end === this.end) return;
    this.start = start;
    this.end = end;
    this.dispatchEvent(new CustomEvent("range"));
  }

  /** @param {number | null} ms */
  point(ms) {
    if (ms === this.cursor) return;
    this.cursor = ms;
    this.dispatchEvent(new CustomEvent("cursor"));
  }

  /** @param {[number, number] | null} chosen */
  choose(chosen) {
    this.chosen = chosen;
    this.dispatchEvent(new CustomEvent("cursor"));
  }

  /** @param {number} start @param {number} end */
  zoom(start, end) {
    this.chosen = null;
    this.dispatchEvent(new CustomEvent("zoom", { detail: { start: Math.round(start), end: Math.round(end) } }));
  }
}
