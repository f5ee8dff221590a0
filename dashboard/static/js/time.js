/** Times as people read them: in the viewer's zone and language. */

/** @param {string} zone Whether the browser knows a time zone such as `Europe/Berlin`. */
export function isZone(zone) {
  try {
    new Intl.DateTimeFormat("en", { timeZone: zone });
    return true;
  } catch {
    return false;
  }
}

/** The browser's own time zone. */
export function ownZone() {
  return Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
}

export class Clock {
  /**
   * @param {string} zone
   * @param {string} language
   */
  constructor(zone, language) {
    this.zone = zone;
    this.language = language;
    /** @type {Map<string, Intl.DateTimeFormat>} */
    this.formats = new Map();
    this.now = new Intl.RelativeTimeFormat(language, { numeric: "auto" }).format(0, "second");
    this.relative = new Intl.RelativeTimeFormat(language, { numeric: "always", style: "short" });
  }

  /**
   * Return Unix ms as `Intl.DateTimeFormat` writes it with these options, in the zone.
   * @param {number} ms
   * @param {Intl.DateTimeFormatOptions} options
   */
  format(ms, options) {
    const key = JSON.stringify(options);
    let format = this.formats.get(key);
    if (!format) {
      format = new Intl.DateTimeFormat(this.language, { timeZone: this.zone, hourCycle: "h23", ...options });
      this.formats.set(key, format);
    }
    return format.format(ms);
  }

  /** @param {number} ms Such as `14:05`. */
  minute(ms) {
    return this.format(ms, { hour: "2-digit", minute: "2-digit" });
  }

  /** @param {number} ms Such as `14:05:09`. */
  second(ms) {
    return this.format(ms, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  }

  /** @param {number} ms Such as `30 Nov 2026, 14:05`. */
  full(ms) {
    return this.format(ms, { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" });
  }

  /**
   * Return a time as short as it can be told from now: `14:05`, `Sun 14:05`, `3 Nov 14:05` or `3 Nov 2025`.
   * @param {number} ms
   * @param {number} now
   */
  brief(ms, now) {
    const day = { day: "numeric", month: "short", year: "numeric" };
    const [then, today] = [ms, now].map((at) => this.format(at, /** @type {any} */ (day)));
    if (then === today) return this.minute(ms);
    if (now - ms < 6 * 86_400_000) return this.format(ms, { weekday: "short", hour: "2-digit", minute: "2-digit" });
    if (now - ms < 300 * 86_400_000) {
      return this.format(ms, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
    }
    return then;
  }

  /**
   * Return how long ago a time was, in its largest unit: `12 sec. ago`.
   * @param {number} ms
   * @param {number} now
   */
  ago(ms, now) {
    const seconds = Math.max(0, Math.floor((now - ms) / 1000));
    if (seconds >= 2 * 86_400) return this.relative.format(-Math.floor(seconds / 86_400), "day");
    if (seconds >= 3_600) return this.relative.format(-Math.floor(seconds / 3_600), "hour");
    if (seconds >= 60) return this.relative.format(-Math.floor(seconds / 60), "minute");
    return seconds < 3 ? this.now : this.relative.format(-seconds, "second");
  }

  /** @param {number} ms The zone's offset from UTC at a time, ms. */
  offset(ms) {
    const format = new Intl.DateTimeFormat("en", { timeZone: this.zone, timeZoneName: "longOffset" });
    const text = format.formatToParts(ms).find((part) => part.type === "timeZoneName")?.value ?? "GMT";
    const [, sign, hours, minutes] = /GMT(?:([+-])(\d\d):(\d\d))?/.exec(text) ?? [];
    return sign ? (sign === "-" ? -1 : 1) * (Number(hours) * 60 + Number(minutes)) * 60_000 : 0;
  }
}
