/** Settings of this browser: theme, zone, language, kiosk; whose session it is; and for operators the tokens. */

import { h, replace, setAttribute } from "../dom.js";
import { LANGUAGES } from "../i18n.js";
import { isZone, ownZone } from "../time.js";
import { mountTokens } from "../tokens.js";

const THEMES = ["auto", "light", "dark"];

/**
 * @param {HTMLElement} root
 * @param {import("../app.js").Context} ctx
 * @param {import("../app.js").Params} _params
 * @returns {import("../app.js").View}
 */
export function mount(root, ctx, _params) {
  const { t } = ctx;
  const controller = new AbortController();
  const tokens = ctx.isOperator ? h("section", { class: "panel tokens-panel" }) : null;
  replace(
    root,
    h("h1", {}, t("tab.settings")),
    h("p", { class: "quiet lead" }, t("settings.where")),
    h(
      "div",
      { class: "settings panel" },
      row(t("theme"), t("theme.what"), chooseTheme(ctx)),
      row(t("language"), t("language.what"), chooseLanguage(ctx)),
      row(t("zone"), t("zone.what", { zone: ownZone() }), chooseZone(ctx)),
      row(t("kiosk"), t("kiosk.what"), h("a", { class: "button", href: "/?kiosk" }, t("kiosk.do"))),
      row(
        t("session"),
        t("session.what", { name: ctx.session.name, until: ctx.clock.full(ctx.session.expires_at * 1000) }),
        h("span", { class: "role" }, t(`role.${ctx.session.role}`)),
        h("button", { dataset: { do: "logout" }, onclick: () => logOut(ctx) }, t("logout")),
      ),
    ),
    tokens,
  );
  if (tokens) mountTokens(tokens, ctx, controller.signal);
  return { unmount: () => controller.abort() };
}

/**
 * @param {string} name
 * @param {string} what
 * @param {...Node} controls
 */
function row(name, what, ...controls) {
  return h("section", {}, h("div", {}, h("h2", {}, name), h("p", { class: "quiet small" }, what)), h("div", { class: "control" }, controls));
}

/** @param {import("../app.js").Context} ctx */
function chooseTheme({ theme, t }) {
  const buttons = THEMES.map((name) => h("button", { onclick: () => choose(name) }, t(`theme.${name}`)));
  const choose = (/** @type {string} */ name) => {
    if (name !== theme.chosen) theme.choose(name);
    buttons.forEach((button, i) => setAttribute(button, "aria-pressed", String(THEMES[i] === name)));
  };
  choose(theme.chosen);
  return h("div", { class: "segments", role: "group", "aria-label": t("theme") }, buttons);
}

/** @param {import("../app.js").Context} ctx */
function chooseLanguage({ t, clock }) {
  const field = h(
    "select",
    { "aria-label": t("language"), onchange: () => keep("moodwire.language", field.value) },
    Object.entries(LANGUAGES).map(([tag, name]) => h("option", { value: tag, lang: tag }, name)),
  );
  field.value = clock.language;
  return field;
}

/** @param {import("../app.js").Context} ctx */
function chooseZone({ t, clock }) {
  const zones = typeof Intl.supportedValuesOf === "function" ? Intl.supportedValuesOf("timeZone") : [];
  const all = [...new Set(["UTC", ownZone(), clock.zone, ...zones])].filter(isZone).sort();
  const field = h(
    "select",
    { "aria-label": t("zone"), onchange: () => keep("moodwire.zone", field.value) },
    h("option", { value: "" }, t("zone.own", { zone: ownZone() })),
    all.map((zone) => h("option", { value: zone }, zone.replaceAll("_", " "))),
  );
  field.value = localStorage.getItem("moodwire.zone") ?? "";
  return field;
}

/**
 * Keep a choice in this browser and show everything anew by it.
 * @param {string} name
 * @param {string} value
 */
function keep(name, value) {
  if (value) localStorage.setItem(name, value);
  else localStorage.removeItem(name);
  location.reload();
}

/** @param {import("../app.js").Context} ctx */
async function logOut(ctx) {
  try {
    await ctx.api.logOut();
  } catch (error) {
    ctx.say(/** @type {Error} */ (error).message, "bad");
    return;
  }
  location.replace("/login");
}
