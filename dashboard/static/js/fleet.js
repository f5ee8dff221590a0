/** The devices, as REST listed them and live events have changed them since. */

/**
 * @typedef {object} Device As in docs/api.md, Devices.
 * @property {string} mac_address
 * @property {string} name
 * @property {string} state online, offline, paused or unknown
 * @property {string[]} labels
 * @property {string} model
 * @property {string} version
 * @property {string} first_seen
 * @property {string | null} last_seen
 * @property {number} readings
 * @property {{at: number, state: string, scores: Record<string, number>, level_dbfs: number} | null} latest
 * @property {Concern[]} [concerns] what is wrong with it
 * @property {{strength: number, heard: number, wanted: number, learned_at: string | null} | null} [baseline]
 */
/** @typedef {{kind: string, is_fault?: boolean, amount?: number | null}} Concern */

/** How often the list is read anew, since health is no live event, ms. */
const REFRESH_MS = 60_000;
/** The same while there are no live events. */
const POLL_MS = 5_000;
/** Devices that are new within this time are listed together, ms. */
const MEET_MS = 300;

export class Fleet extends EventTarget {
  /**
   * Dispatches `list` when devices came or went, and `device` (its `detail` is the device) when one has changed.
   * @param {import("./api.js").Api} api
   * @param {import("./live.js").Live} live
   */
  constructor(api, live) {
    super();
    this.api = api;
    this.live = live;
    /** @type {Map<string, Device>} By MAC address. */
    this.devices = new Map();
    this.isLoaded = false;
    /** @type {Error | null} Why the list could not be read. */
    this.error = null;
    this.isReading = false;
    this.isWanted = false;
    this.readAt = 0;
    live.addEventListener("reading", (event) => this.#takeReading(/** @type {CustomEvent} */ (event).detail));
    live.addEventListener("status", (event) => this.#takeStatus(/** @type {CustomEvent} */ (event).detail));
    for (const kind of ["missed", "opened"]) live.addEventListener(kind, () => this.refresh());
  }

  start() {
    this.refresh();
    setInterval(() => {
      if (document.hidden) return;
      const wait = this.isPolled() || this.error ? POLL_MS : REFRESH_MS;
      if (performance.now() - this.readAt >= wait) this.refresh();
    }, 1_000);
  }

  /** Whether there are no live events, so that what is shown is asked for every few seconds. */
  isPolled() {
    return this.live.state === "reconnecting";
  }

  /** Read the list anew. */
  async refresh() {
    if (this.live.isStopped) return;
    if (this.isReading) {
      this.isWanted = true; // what is on its way may be older than what was just heard of
      return;
    }
    this.isReading = true;
    this.isWanted = false;
    this.readAt = performance.now();
    try {
      this.#replace(await this.api.devices());
      this.error = null;
    } catch (error) {
      this.error = /** @type {Error} */ (error);
    }
    this.isReading = false;
    this.dispatchEvent(new CustomEvent("list"));
    if (this.isWanted) this.#meet();
  }

  /** @param {Device[]} found */
  #replace(found) {
    for (const device of found) {
      const known = this.devices.get(device.mac_address);
      // A reading that came while the list was on its way is newer than the list.
      if (known?.latest && (!device.latest || known.latest.at > device.latest.at) && known.readings >= device.readings) {
        device.latest = known.latest;
      }
    }
    this.devices = new Map(found.map((device) => [device.mac_address, device]));
    this.isLoaded = true;
  }

  /** @param {any} event */
  #takeReading(event) {
    const device = this.devices.get(event.mac_address);
    if (!device) return this.#meet();
    device.readings += 1;
    if (!device.latest || event.at >= device.latest.at) {
      device.latest = { at: event.at, state: event.state, scores: event.scores, level_dbfs: event.level_dbfs };
    }
    this.dispatchEvent(new CustomEvent("device", { detail: device }));
  }

  /** @param {any} event */
  #takeStatus(event) {
    const device = this.devices.get(event.mac_address);
    if (!device) return this.#meet();
    const { state, name, labels, model } = event;
    Object.assign(device, { state, name, labels, model, last_seen: new Date(this.live.now()).toISOString() });
    this.dispatchEvent(new CustomEvent("device", { detail: device }));
  }

  /** Read the list soon, since it lacks a device; once for all that come together. */
  #meet() {
    this.meeting ??= setTimeout(() => {
      this.meeting = undefined;
      this.refresh();
    }, MEET_MS);
  }

  /** @type {ReturnType<typeof setTimeout> | undefined} */
  meeting;
}
