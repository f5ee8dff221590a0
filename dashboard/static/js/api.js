/** REST through the dashboard's own origin: JSON, errors as sentences, abort, and one rule for retries. */

/** How long a request may take before it counts as failed, ms. */
const TIMEOUT_MS = 20_000;
/** A read that found the service away is tried once more after this pause, ms; a write never is. */
const RETRY_MS = 1_000;

/** Responses that early.js has asked for before the modules were there, by path. @type {Map<string, Promise<Response>>} */
const early = /** @type {any} */ (globalThis).moodwireEarly ?? new Map();

/**
 * Fetch JSON, or take what was asked for early; that only once, because it grows old.
 * @param {string} target
 * @param {RequestInit} [options]
 * @returns {Promise<Response>}
 */
export function fetchOnce(target, options = { headers: { Accept: "application/json" } }) {
  const found = early.get(target);
  early.delete(target);
  return found ?? fetch(target, options);
}

/** A request that failed; the message is one sentence for people. */
export class ApiError extends Error {
  /**
   * @param {number} status 0 where there was no response.
   * @param {string} detail
   */
  constructor(status, detail) {
    super(detail);
    this.name = "ApiError";
    this.status = status;
  }
}

export class Api {
  /** @param {{csrf: string, onLoggedOut: () => void, sentence: (key: string) => string}} options */
  constructor({ csrf, onLoggedOut, sentence }) {
    this.csrf = csrf;
    this.onLoggedOut = onLoggedOut;
    this.sentence = sentence;
  }

  /**
   * Return the JSON of a GET request below `/api/v1`.
   * @param {string} path Such as `/devices`; encode what is not ours with `encodeURIComponent`.
   * @param {Record<string, string | number | undefined>} [query] Entries that are undefined are left out.
   * @param {AbortSignal} [signal] A view aborts what it no longer needs.
   * @returns {Promise<any>}
   */
  async get(path, query = {}, signal) {
    const target = withQuery(`/api/v1${path}`, query);
    try {
      return await this.#ask("GET", target, undefined, signal);
    } catch (error) {
      const isAway = error instanceof ApiError && [0, 502, 503].includes(error.status);
      if (!isAway || signal?.aborted) throw error;
      await pause(RETRY_MS, signal);
      return this.#ask("GET", target, undefined, signal);
    }
  }

  /**
   * Send JSON and return JSON; never sent twice.
   * @param {string} path
   * @param {unknown} body
   * @returns {Promise<any>}
   */
  post(path, body) {
    return this.#ask("POST", `/api/v1${path}`, body);
  }

  /**
   * @param {string} path
   * @returns {Promise<any>}
   */
  delete(path) {
    return this.#ask("DELETE", `/api/v1${path}`);
  }

  /** End the session. */
  async logOut() {
    await this.#ask("POST", "/logout");
  }

  /**
   * All devices, page by page.
   * @param {AbortSignal} [signal]
   * @returns {Promise<import("./fleet.js").Device[]>}
   */
  async devices(signal) {
    const found = [];
    let token = "";
    do {
      const page = await this.get("/devices", { page_size: 1000, page_token: token || undefined }, signal);
      found.push(...page.devices);
      token = page.next_page_token;
    } while (token);
    return found;
  }

  /**
   * @param {string} method
   * @param {string} target
   * @param {unknown} [body]
   * @param {AbortSignal} [signal]
   */
  async #ask(method, target, body, signal) {
    const limit = AbortSignal.timeout(TIMEOUT_MS);
    /** @type {Record<string, string>} */
    const headers = { Accept: "application/json" };
    if (method !== "GET") headers["X-CSRF-Token"] = this.csrf;
    if (body !== undefined) headers["Content-Type"] = "application/json";
    let response;
    let text;
    try {
      response = await fetchOnce(target, {
        method,
        headers,
        body: body === undefined ? undefined : JSON.stringify(body),
        signal: signal ? AbortSignal.any([signal, limit]) : limit,
      });
      text = await response.text();
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new ApiError(0, this.sentence("error.away"));
    }
    const isJson = (response.headers.get("content-type") ?? "").includes("json");
    const found = isJson && text ? JSON.parse(text) : null;
    if (response.ok) return found;
    if (response.status === 401) this.onLoggedOut();
    throw new ApiError(response.status, found?.detail ?? this.sentence("error.status").replace("{n}", String(response.status)));
  }
}

/**
 * Return a path with a query.
 * @param {string} path
 * @param {Record<string, string | number | undefined>} query
 */
export function withQuery(path, query) {
  const found = Object.entries(query).filter(([, value]) => value !== undefined);
  return found.length ? `${path}?${new URLSearchParams(found.map(([name, value]) => [name, String(value)]))}` : path;
}

/**
 * @param {number} ms
 * @param {AbortSignal} [signal]
 */
function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}
