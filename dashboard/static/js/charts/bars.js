/** How often each emotion won and how surely, as a table with bars, and the histograms of its confidence. */

import { nameOf } from "../device_facts.js";
import { h, replace, svg } from "../dom.js";

/**
 * Show a table of a summary: share, mean confidence and number of each emotion, and all together.
 * @param {HTMLElement} place
 * @param {import("../app.js").Context} ctx
 * @param {any} summary As in docs/api.md.
 */
export function drawWinners(place, ctx, summary) {
  const { t } = ctx;
  const labels = Object.keys(summary.labels);
  const colours = ctx.theme.colours(labels);
  const most = Math.max(...labels.map((label) => summary.labels[label].share ?? 0), 0.01);
  const rows = labels.map((label) => {
    const { share, count, mean_confidence: mean } = summary.labels[label];
    return row(ctx, nameOf(label, t), colours[label], [share, (share ?? 0) / most], mean, count);
  });
  const { count, mean_confidence: mean } = summary.overall;
  replace(
    place,
    h(
      "table",
      { class: "winners" },
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          h("th", { scope: "col" }, t("winners.emotion")),
          h("th", { scope: "col" }, t("winners.share")),
          h("th", { scope: "col" }, t("winners.confidence")),
          h("th", { scope: "col", class: "number" }, t("winners.count")),
        ),
      ),
      h("tbody", {}, rows),
      h("tfoot", {}, row(ctx, t("winners.overall"), "var(--ink)", null, mean, count)),
    ),
  );
}

/**
 * @param {import("../app.js").Context} ctx
 * @param {string} name
 * @param {string} colour
 * @param {[number | null, number] | null} share And the length of its bar, 0 to 1.
 * @param {number | null} mean
 * @param {number} count
 */
function row({ clock }, name, colour, share, mean, count) {
  const bar = (/** @type {number} */ part, /** @type {string} */ kind) =>
    h("span", { class: "track-bar" }, h("span", { class: `fill ${kind}`, style: { "--part": String(part), "--colour": colour } }));
  return h(
    "tr",
    {},
    h("th", { scope: "row" }, h("i", { class: "swatch", style: { background: colour } }), name),
    h("td", {}, share ? h("span", { class: "measure" }, bar(share[1], ""), h("b", {}, percent(share[0]))) : null),
    h("td", {}, mean === null ? h("span", { class: "quiet" }, "–") : h("span", { class: "measure" }, bar(mean, "thin"), h("b", {}, mean.toFixed(2)))),
    h("td", { class: "number" }, count.toLocaleString(clock.language)),
  );
}

/** @param {number | null} part */
function percent(part) {
  if (part === null) return "–";
  return part > 0 && part < 0.01 ? "< 1 %" : `${Math.round(100 * part)} %`;
}

const WIDTH = 150;
const HEIGHT = 92;
const FOOT = 16;

/**
 * Show the histogram of each emotion's confidence: all readings pale, those that it won full.
 * @param {HTMLElement} place
 * @param {import("../app.js").Context} ctx
 * @param {any} summary
 */
export function drawHistograms(place, ctx, summary) {
  const { t, clock } = ctx;
  const labels = Object.keys(summary.labels);
  const colours = ctx.theme.colours(labels);
  const most = Math.max(1, ...labels.flatMap((label) => summary.labels[label].histogram.all));
  const short = new Intl.NumberFormat(clock.language, { notation: "compact", maximumSignificantDigits: 2 });
  replace(
    place,
    labels.map((label) => {
      const { all, won } = summary.labels[label].histogram;
      const name = nameOf(label, t);
      const bins = (/** @type {number[]} */ counts, /** @type {string} */ kind) =>
        counts.map((count, i) => {
          const tall = (count / most) * (HEIGHT - 6);
          return svg("rect", {
            class: kind,
            x: (i * WIDTH) / 10 + 0.75,
            y: HEIGHT - tall,
            width: WIDTH / 10 - 1.5,
            height: count ? Math.max(tall, 1) : 0,
            fill: colours[label],
          });
        });
      const ticks = [0, 0.5, 1].map((edge, i) =>
        svg("text", { x: edge * WIDTH, y: HEIGHT + 13, "text-anchor": ["start", "middle", "end"][i] }, edge.toLocaleString(clock.language)),
      );
      const spoken = won.map((/** @type {number} */ count, /** @type {number} */ i) => `${i / 10}–${(i + 1) / 10}: ${count} / ${all[i]}`);
      return h(
        "figure",
        { class: "histogram" },
        h("figcaption", {}, h("b", {}, name), h("small", {}, t("histogram.won", { n: summary.labels[label].count }))),
        svg(
          "svg",
          { viewBox: `0 0 ${WIDTH} ${HEIGHT + FOOT}`, role: "img", "aria-label": `${name}: ${spoken.join("; ")}` },
          svg("line", { class: "grid", x1: 0, x2: WIDTH, y1: 6, y2: 6 }),
          svg("text", { class: "most", x: WIDTH, y: 3, "text-anchor": "end" }, short.format(most)),
          bins(all, "all"),
          bins(won, "won"),
          svg("line", { class: "floor", x1: 0, x2: WIDTH, y1: HEIGHT, y2: HEIGHT }),
          ticks,
        ),
      );
    }),
  );
}
