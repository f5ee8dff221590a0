/** What is said of a device in a few words: its state, what is wrong with it, and what it hears now. */

import { h, setAttribute, setText, svg } from "./dom.js";

/** How long the last reading counts as what is heard now, ms. */
const FRESH_MS = 60_000;

/** Outlines of the shapes, in a box of 12. @type {Record<string, string>} */
const SHAPES = {
  online: "M6 1.5a4.5 4.5 0 1 1 0 9a4.5 4.5 0 1 1 0-9z",
  paused: "M2.5 1.5h2.5v9h-2.5zM7 1.5h2.5v9h-2.5z",
  offline: "M6 1a5 5 0 1 1 0 10a5 5 0 1 1 0-10zM6 2.8a3.2 3.2 0 1 0 0 6.4a3.2 3.2 0 1 0 0-6.4z",
  unknown: "M6 1a5 5 0 1 1 0 10a5 5 0 1 1 0-10zM6 2.8a3.2 3.2 0 1 0 0 6.4a3.2 3.2 0 1 0 0-6.4z",
  fault: "M6 .8L11.6 11H.4zM5.3 4.5v3h1.4v-3zM5.3 8.4v1.4h1.4v-1.4z",
};

/**
 * Return the kind of a device for counts and filters.
 * @param {import("./fleet.js").Device} device
 * @returns {"listening" | "paused" | "offline"}
 */
export function kindOf(device) {
  if (device.state === "online") return "listening";
  return device.state === "paused" ? "paused" : "offline";
}

/** @param {import("./fleet.js").Device} device */
export function hasFault(device) {
  return (device.concerns ?? []).some((/** @type {any} */ concern) => concern.is_fault);
}

/**
 * Return a badge with shape and word of a device's state; `updateState` changes it.
 * @returns {HTMLElement}
 */
export function makeState() {
  const path = svg("path", { "fill-rule": "evenodd" });
  const picture = svg("svg", { viewBox: "0 0 12 12", width: 11, height: 11, "aria-hidden": "true" }, path);
  return h("span", { class: "state" }, picture, h("span"));
}

/**
 * @param {HTMLElement} badge
 * @param {import("./fleet.js").Device} device
 * @param {import("./i18n.js").Translate} t
 */
export function updateState(badge, device, t) {
  const state = hasFault(device) ? "fault" : device.state;
  setAttribute(badge, "class", `state ${state}`);
  setAttribute(/** @type {Element} */ (badge.querySelector("path")), "d", SHAPES[state] ?? SHAPES.unknown);
  setText(/** @type {Element} */ (badge.lastChild), t(`device.${device.state}`));
}

/**
 * Return the one sentence about a device, and whether it is about a fault.
 * @param {import("./fleet.js").Device} device
 * @param {import("./app.js").Context} ctx
 * @returns {[string, "fault" | "note" | ""]}
 */
export function sentence(device, { t, clock, live }) {
  const [worst] = /** @type {any[]} */ (device.concerns ?? []);
  if (worst?.is_fault) return [t(`concern.${worst.kind}`, { n: worst.amount ?? 0 }), "fault"];
  const now = live.now();
  const heard = device.latest ? t("heard.last", { when: clock.ago(device.latest.at, now) }) : t("heard.never");
  if (kindOf(device) === "offline" && device.last_seen) {
    const since = clock.brief(Date.parse(device.last_seen), now);
    return [`${t("device.offline_since", { when: since })} · ${heard}`, ""];
  }
  if (worst) return [`${t(`concern.${worst.kind}`, { n: worst.amount ?? 0 })} · ${heard}`, "note"];
  return [heard, ""];
}

/**
 * Return how far a device has learned what is usual where it stands; empty where it does not say.
 * @param {import("./fleet.js").Device} device
 * @param {import("./app.js").Context} ctx
 */
export function baselineOf({ baseline }, { t, clock, live }) {
  if (!baseline) return "";
  const { heard, wanted, learned_at: at, strength } = baseline;
  if (heard < wanted) return t("baseline.learning", { n: heard, wanted, part: Math.round(100 * strength) });
  return at ? t("baseline.since", { when: clock.brief(Date.parse(at), live.now()) }) : t("baseline.learned");
}

/** @returns {HTMLElement} What shows the emotion that is heard now; `updateNow` changes it. */
export function makeNow() {
  return h("span", { class: "now" }, h("span", { class: "swatch", "aria-hidden": "true" }), h("span"), h("b"));
}

/**
 * @param {HTMLElement} chip
 * @param {import("./fleet.js").Device} device
 * @param {import("./app.js").Context} ctx
 */
export function updateNow(chip, device, { t, live }) {
  const { latest } = device;
  const isFresh = latest && live.now() - latest.at < FRESH_MS;
  const [swatch, word, number] = /** @type {any} */ (chip.children);
  chip.hidden = kindOf(device) !== "listening";
  if (!isFresh) {
    setAttribute(chip, "class", "now still");
    setText(word, t("now.quiet"));
    setText(number, "");
    return;
  }
  const label = Object.keys(latest.scores).reduce((a, b) => (latest.scores[b] > latest.scores[a] ? b : a));
  const isSure = latest.state === "speech";
  setAttribute(chip, "class", isSure ? "now" : "now unsure");
  swatch.style.setProperty("background", `var(--emotion-${label}, var(--ink-3))`);
  setText(word, isSure ? nameOf(label, t) : t("now.uncertain"));
  setText(number, isSure ? `${Math.round(latest.scores[label] * 100)} %` : "");
  setAttribute(chip, "title", isSure ? null : t("now.perhaps", { emotion: nameOf(label, t) }));
}

/**
 * Return the name of an emotion.
 * @param {string} label
 * @param {import("./i18n.js").Translate} t
 */
export function nameOf(label, t) {
  const key = `emotion.${label}`;
  const name = t(key);
  return name === key ? label : name;
}
