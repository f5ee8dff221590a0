/** The shell: session, header with its honest state, router, and what every view gets. */

import { Api, fetchOnce } from "./api.js";
import { h, replace, setAttribute, setText } from "./dom.js";
import { Fleet } from "./fleet.js";
import { language, load } from "./i18n.js";
import { Live } from "./live.js";
import { Theme } from "./palette.js";
import { Clock, isZone, ownZone } from "./time.js";

/**
 * @typedef {object} Context What every view gets.
 * @property {Api} api REST
 * @property {Live} live live events and how far they can be trusted
 * @property {Fleet} fleet the devices
 * @property {Meta} meta names and colours from REST
 * @property {Theme} theme colours of emotions now; dispatches `change` when charts must be drawn anew
 * @property {import("./i18n.js").Translate} t words
 * @property {Clock} clock times in the viewer's zone and language
 * @property {{name: string, role: string, expires_at: number}} session whose it is
 * @property {boolean} isOperator whether actions are offered
 * @property {boolean} isKiosk shown on a wall: no header, no actions
 * @property {(hash: string, how?: {replace?: boolean}) => void} go show another view, such as `#/device/aa:bb…`
 * @property {(text: string, kind?: "good" | "bad") => void} say a sentence that goes away by itself
 */
/** @typedef {{emotions: Record<string, any>, spans: Record<string, any>, steps_s: number[], other_colours: {colour: string, colour_dark: string}[],
 *   most_points: number, notice: string}} Meta */
/** @typedef {{path: string[], query: URLSearchParams}} Params */
/** @typedef {{update?: (params: Params) => void, unmount: () => void}} View */

/** Views by the first part of the path; loaded when first shown. @type {Record<string, () => Promise<any>>} */
const VIEWS = {
  "": () => import("./views/overview.js"),
  device: () => import("./views/device.js"),
  compare: () => import("./views/compare.js"),
  events: () => import("./views/events.js"),
  model: () => import("./views/model.js"),
  settings: () => import("./views/settings.js"),
};
const TABS = ["", "compare", "events", "model", "settings"];
const SAID_MS = 6_000;

async function start() {
  const asked = ["/session", "/api/v1/meta"].map((path) => fetchOnce(path));
  const tag = language();
  document.documentElement.lang = tag;
  const t = await load(tag);
  const [session, meta] = await Promise.all(asked.map(async (answer) => readFirst(await answer)));
  if (!session) return location.replace(`/login${location.hash}`);
  const live = new Live();
  const api = new Api({ csrf: session.csrf, onLoggedOut: () => live.logOut(), sentence: t });
  const chosen = localStorage.getItem("moodwire.zone") ?? "";
  const zone = isZone(chosen) && chosen ? chosen : ownZone();
  const found = meta ?? (await untilThere(api));
  /** @type {Context} */
  const ctx = {
    api,
    live,
    fleet: new Fleet(api, live),
    meta: found,
    theme: new Theme(found.emotions, found.other_colours),
    t,
    clock: new Clock(zone, tag),
    session,
    isOperator: session.role === "operator",
    isKiosk: "kiosk" in document.documentElement.dataset,
    go: (hash, { replace: isReplaced = false } = {}) => {
      if (isReplaced) {
        history.replaceState(null, "", hash);
        router.show();
      } else location.hash = hash;
    },
    say: makeSay(),
  };
  ctx.fleet.addEventListener("list", () => ctx.theme.show([...ctx.fleet.devices.values()].flatMap(({ labels }) => labels)));
  const router = new Router(ctx);
  drawShell(ctx);
  live.start();
  ctx.fleet.start();
  router.show();
  addEventListener("hashchange", () => router.show());
}

/** @param {Response} answer */
async function readFirst(answer) {
  return answer.ok ? answer.json() : null;
}

/**
 * Ask for names and colours until REST has them, with a sentence meanwhile.
 * @param {Api} api
 * @returns {Promise<Meta>}
 */
async function untilThere(api) {
  for (;;) {
    try {
      return await api.get("/meta");
    } catch (error) {
      replace(main(), h("p", { class: "blank", role: "alert" }, /** @type {Error} */ (error).message));
      await new Promise((resolve) => setTimeout(resolve, 3_000));
    }
  }
}

/** @returns {HTMLElement} */
function main() {
  return /** @type {HTMLElement} */ (document.getElementById("main"));
}

/** @param {Context} ctx */
function drawShell(ctx) {
  const { t, live } = ctx;
  const [skip, tabs, status, notice] = [".skip", ".tabs", ".status", ".notice"].map(
    (css) => /** @type {HTMLElement} */ (document.querySelector(css)),
  );
  skip.textContent = t("skip");
  tabs.setAttribute("aria-label", t("tabs"));
  replace(tabs, TABS.map((name) => h("a", { href: `#/${name}`, dataset: { tab: name } }, t(`tab.${name || "overview"}`))));
  notice.textContent = t("notice") === "notice" ? ctx.meta.notice : t("notice");
  const pill = h("a", { class: "pill" }, h("span", { class: "shape", "aria-hidden": "true" }), h("span"));
  replace(status, pill);
  const draw = () => {
    const [kind, text] = trust(ctx);
    pill.className = `pill ${kind}`;
    setText(pill.lastChild, text);
    setAttribute(pill, "href", kind === "out" ? `/login${location.hash}` : null);
    document.documentElement.toggleAttribute("data-stale", !["live", "opening"].includes(kind));
  };
  live.addEventListener("state", draw);
  ctx.fleet.addEventListener("list", draw);
  draw();
}

/**
 * Return how far what is shown can be trusted, as a class and a few words.
 * @param {Context} ctx
 * @returns {[string, string]}
 */
export function trust({ live, fleet, t }) {
  const { pulse } = live;
  if (live.state === "loggedOut") return ["out", t("state.out")];
  if (live.state === "connecting") return ["opening", t("state.opening")];
  if (live.state !== "reconnecting" || live.isOpen) {
    if (pulse?.rest === "away") return ["away", t("state.rest")];
    if (pulse?.store === "away") return ["away", t("state.store")];
    if (pulse?.ingest === "away") return ["away", t("state.ingest")];
  }
  if (live.state === "behind") return ["late", t("state.behind", { n: live.behindS })];
  if (live.state === "live") return ["live", t("state.live")];
  return fleet.isLoaded && !fleet.error ? ["late", t("state.polled")] : ["away", t("state.reconnecting")];
}

/** Return what shows a sentence for a while, beside what is there. */
function makeSay() {
  const place = h("div", { class: "said-list", role: "status", "aria-live": "polite" });
  document.body.append(place);
  return (/** @type {string} */ text, /** @type {string} */ kind = "good") => {
    const said = h("p", { class: `said-item ${kind}` }, text);
    place.append(said);
    setTimeout(() => said.remove(), SAID_MS);
  };
}

class Router {
  /** @param {Context} ctx */
  constructor(ctx) {
    this.ctx = ctx;
    /** @type {View | null} */
    this.view = null;
    this.key = "";
    this.asked = 0;
  }

  /** Show what the address says. */
  async show() {
    const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
    const [name, ...rest] = path.split("/").map(decodeURIComponent);
    const params = { path: rest, query: new URLSearchParams(query) };
    const key = path;
    for (const tab of document.querySelectorAll(".tabs a")) {
      const isHere = /** @type {HTMLElement} */ (tab).dataset.tab === (name === "device" ? "" : name);
      setAttribute(tab, "aria-current", isHere ? "page" : null);
    }
    if (key === this.key && this.view?.update) return this.view.update(params);
    this.asked += 1;
    const asked = this.asked;
    const loading = VIEWS[name];
    if (!loading) return this.ctx.go("#/", { replace: true });
    this.view?.unmount();
    this.view = null;
    this.key = key;
    const root = h("div", { class: `view view-${name || "overview"}` });
    replace(main(), root);
    const { mount } = await loading();
    if (asked !== this.asked) return;
    this.view = mount(root, this.ctx, params);
    scrollTo(0, 0);
  }
}

start();
