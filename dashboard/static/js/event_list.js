/** Events as a list: when, what, of which device; each links to its moment. */

import { makeState, updateState } from "./device_facts.js";
import { arrange, h, replace } from "./dom.js";
import { rangeQuery } from "./ranges.js";

/** How much of the time around an event its link shows, ms. */
const AROUND_MS = 900_000;

/**
 * Return the address of a device around a moment.
 * @param {string} mac
 * @param {number} at
 */
export function momentLink(mac, at) {
  const query = rangeQuery({ name: "", start: at - AROUND_MS, end: at + AROUND_MS });
  return `#/device/${mac}?${new URLSearchParams(query)}`;
}

/**
 * @param {HTMLElement} place
 * @param {import("./app.js").Context} ctx
 * @param {any[]} events The newest first, as in docs/api.md.
 * @param {{withDevice: boolean}} options
 */
export function drawEvents(place, ctx, events, { withDevice }) {
  const { t } = ctx;
  if (!events.length) return replace(place, h("p", { class: "small quiet" }, t("events.none")));
  let list = place.querySelector("ol.events");
  if (!list) replace(place, (list = h("ol", { class: withDevice ? "events wide" : "events" })));
  const when = (/** @type {any} */ event) => ctx.clock.brief(Date.parse(event.at), ctx.live.now());
  arrange(
    /** @type {Element} */ (list),
    events.map((event) => ({
      key: JSON.stringify([event.mac_address, event.at, event.kind, event.name, event.model, when(event)]),
      make: () => item(ctx, event, withDevice),
    })),
  );
}

/**
 * @param {import("./app.js").Context} ctx
 * @param {any} event
 * @param {boolean} withDevice
 */
function item(ctx, event, withDevice) {
  const { t, clock, live } = ctx;
  const at = Date.parse(event.at);
  const badge = makeState();
  const state = event.kind === "model" || event.kind === "erased" ? "unknown" : event.kind;
  updateState(badge, /** @type {any} */ ({ state, concerns: [] }), t);
  badge.lastChild?.remove();
  const words = t(`event.${event.kind}`);
  const model = event.previous_model ? t("event.from", { from: event.previous_model, to: event.model ?? "" }) : "";
  return h(
    "li",
    { dataset: { kind: event.kind } },
    h(
      "a",
      { href: momentLink(event.mac_address, at) },
      h("time", { datetime: event.at, title: clock.full(at) }, clock.brief(at, live.now())),
      badge,
      withDevice ? h("strong", {}, event.name || event.mac_address) : null,
      h("span", { class: "what" }, words, model ? h("small", { class: "quiet" }, ` ${model}`) : null),
    ),
  );
}
