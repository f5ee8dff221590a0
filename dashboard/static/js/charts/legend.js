/** Legends: emotions by colour and name, and the kinds of the lane by pattern, each with what it means. */

import { nameOf } from "../device_facts.js";
import { h, replace } from "../dom.js";
import { fit, pattern } from "./paint.js";

const LANE = ["speech", "uncertain", "silence", "paused", "offline", "missing"];

/**
 * Show the emotions of some labels.
 * @param {HTMLElement} place
 * @param {import("../app.js").Context} ctx
 * @param {string[]} labels
 */
export function drawEmotions(place, ctx, labels) {
  const key = `${labels.join()} ${ctx.theme.isDark}`;
  if (place.dataset.key === key) return;
  place.dataset.key = key;
  const colours = ctx.theme.colours(labels);
  replace(
    place,
    labels.map((label) =>
      h("span", { class: "entry" }, h("i", { class: "swatch", style: { background: colours[label] } }), nameOf(label, ctx.t)),
    ),
  );
}

/**
 * Return the legend of the lane, which opens to say what each kind means.
 * @param {import("../app.js").Context} ctx
 * @param {AbortSignal} signal
 * @returns {HTMLElement}
 */
export function makeLaneLegend(ctx, signal) {
  const { t, theme } = ctx;
  const canvases = LANE.map((kind) => h("canvas", { class: "patch", "aria-hidden": "true", dataset: { kind } }));
  const draw = () => canvases.forEach((canvas) => drawPatch(canvas, canvas.dataset.kind, theme));
  theme.addEventListener("change", draw, { signal });
  requestAnimationFrame(draw);
  const entries = LANE.map((kind, i) => h("span", { class: "entry" }, canvases[i], t(`lane.${kind}`)));
  const meanings = LANE.flatMap((kind) => [h("dt", {}, t(`lane.${kind}`)), h("dd", {}, t(`lane.${kind}.means`))]);
  return h(
    "details",
    { class: "lane-legend" },
    h("summary", {}, h("span", { class: "what" }, t("lane")), entries),
    h("dl", {}, meanings),
  );
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {string} kind
 * @param {import("../palette.js").Theme} theme
 */
function drawPatch(canvas, kind, theme) {
  const surface = fit(canvas);
  if (!surface) return;
  const { pen, width, height } = surface;
  const colours = { ground: theme.token("--sunk"), line: theme.token("--line-strong"), ink: theme.token("--ink-3") };
  if (kind === "speech") {
    pen.fillStyle = theme.token("--accent");
    pen.fillRect(0, 0, width, height);
  } else pattern(pen, kind, { x: 0, y: 0, width, height }, colours);
}
