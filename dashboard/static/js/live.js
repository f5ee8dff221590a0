/**
 * Live events: one stream for the page, handed to whoever listens, and how far it can be trusted.
 *
 * Read with fetch rather than EventSource, which hides heartbeats, status codes and how long nothing has come.
 */

/** @typedef {"connecting" | "live" | "behind" | "reconnecting" | "loggedOut"} LiveState */
/** @typedef {{at: number, rest: string, store?: string, ingest?: string, live: string, silent_s?: number}} Pulse */

/** The server sends a pulse every 3 s; after a longer silence the page is behind, ms. */
const BEHIND_MS = 5_500;
/** Live events send a heartbeat every 15 s; a longer silence of theirs, which the pulse tells, is behind, ms. */
const HEARTBEAT_MS = 18_000;
/** Silence after which the stream is opened anew, ms. */
const SILENT_MS = 30_000;
/** For so long nobody is told that a page that opens is not connected yet, ms. */
const PATIENT_MS = 3_000;
const RETRY_MS = [500, 1_000, 2_000, 4_000, 8_000];
/** An event that was stored this long ago is late, ms. */
const LATE_MS = 4_000;

export class Live extends EventTarget {
  /**
   * Dispatches `reading`, `status` (their `detail` is the event's data, see docs/api.md), `opened` (what was read before
   * the stream began may lack what happened until then), `missed` (ask REST anew), and `state` when `state`, `behindS` or `pulse` has changed.
   */
  constructor() {
    super();
    /** @type {LiveState} */
    this.state = "connecting";
    /** How far behind it is, whole seconds. */
    this.behindS = 0;
    /** @type {Pulse | null} How the server is. */
    this.pulse = null;
    this.lastId = "";
    this.heardAt = performance.now();
    this.lateMs = 0;
    /** The server's clock less ours, ms. */
    this.clockMs = 0;
    this.tries = 0;
    this.isOpen = false;
    this.isStopped = false;
    /** @type {AbortController | null} */
    this.connection = null;
  }

  start() {
    this.#run();
    setInterval(() => this.#look(), 1_000);
    addEventListener("online", () => this.connection?.abort());
    addEventListener("pagehide", () => this.connection?.abort());
  }

  /** Stop for good, because nobody is logged in. */
  logOut() {
    this.isStopped = true;
    this.connection?.abort();
    this.#set("loggedOut", 0);
  }

  /** The server's clock, Unix ms. */
  now() {
    return Date.now() + this.clockMs;
  }

  async #run() {
    let isFirst = true;
    while (!this.isStopped) {
      this.connection = new AbortController();
      try {
        await this.#read(this.connection.signal, isFirst);
        isFirst = false;
      } catch {
        // The state says it; the next try may succeed.
      }
      this.isOpen = false;
      this.#look();
      const wait = RETRY_MS[Math.min(this.tries, RETRY_MS.length - 1)] * (0.75 + Math.random() / 2);
      this.tries += 1;
      if (!this.isStopped) await new Promise((resolve) => setTimeout(resolve, wait));
    }
  }

  /**
   * @param {AbortSignal} signal
   * @param {boolean} isFirst
   */
  async #read(signal, isFirst) {
    /** @type {Record<string, string>} */
    const headers = this.lastId ? { "Last-Event-ID": this.lastId } : {};
    const response = await fetch("/live", { signal, headers, cache: "no-store" });
    if (response.status === 401) return this.logOut();
    if (!response.ok || !response.body) throw new Error(`status ${response.status}`);
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    if (!isFirst && !this.lastId) this.dispatchEvent(new CustomEvent("missed"));
    let text = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      this.heardAt = performance.now();
      this.isOpen = true;
      this.tries = 0;
      const events = (text + value).split("\n\n");
      text = events.pop() ?? "";
      for (const event of events) this.#take(event);
      this.#look();
    }
  }

  /** @param {string} text One event as in the HTML Living Standard, section 9.2. */
  #take(text) {
    let kind = "message";
    let data = "";
    for (const line of text.split("\n")) {
      if (line.startsWith("id: ")) this.lastId = line.slice(4);
      else if (line.startsWith("event: ")) kind = line.slice(7);
      else if (line.startsWith("data: ")) data += line.slice(6);
    }
    if (!data) return;
    const detail = JSON.parse(data);
    if (kind === "pulse") {
      const hasBegun = detail.live === "ok" && this.pulse?.live !== "ok";
      this.pulse = detail;
      if (hasBegun) this.dispatchEvent(new CustomEvent("opened"));
      this.clockMs = detail.at - Date.now();
      this.dispatchEvent(new CustomEvent("pulse", { detail }));
      return;
    }
    if (kind === "reading" || kind === "status") {
      this.lateMs = Math.max(0, this.now() - Number(this.lastId.split("-")[0]));
    }
    this.dispatchEvent(new CustomEvent(kind, { detail }));
  }

  #look() {
    if (this.isStopped) return;
    const silentMs = performance.now() - this.heardAt;
    if (this.isOpen && silentMs > SILENT_MS) this.connection?.abort();
    const upstreamMs = (this.pulse?.silent_s ?? 0) * 1000;
    const behindMs = Math.max(
      silentMs > BEHIND_MS ? silentMs : 0,
      upstreamMs > HEARTBEAT_MS ? upstreamMs : 0,
      this.lateMs > LATE_MS ? this.lateMs : 0,
    );
    const isAway = !this.isOpen || this.pulse?.live === "away";
    if (this.state === "connecting" && !this.isOpen && !this.tries && silentMs < PATIENT_MS) return;
    this.#set(isAway ? "reconnecting" : behindMs ? "behind" : "live", Math.round(behindMs / 1000));
  }

  /**
   * @param {LiveState} state
   * @param {number} behindS
   */
  #set(state, behindS) {
    const key = JSON.stringify([state, behindS, this.pulse?.rest, this.pulse?.store, this.pulse?.ingest]);
    if (key === this.key) return;
    this.key = key;
    this.state = state;
    this.behindS = behindS;
    this.dispatchEvent(new CustomEvent("state"));
  }

  /** @type {string | undefined} */
  key;
}
