/** The week hour by hour, as a table: which emotion won most, the fuller the more was said; and the same for a day. */

import { nameOf } from "../device_facts.js";
import { h, replace } from "../dom.js";

/** A Monday. */
const MONDAY_MS = 345_600_000;
const DAY_MS = 86_400_000;

/**
 * @param {HTMLElement} place
 * @param {import("../app.js").Context} ctx
 * @param {any} rhythm As in docs/api.md.
 */
export function drawWeek(place, ctx, rhythm) {
  const { t, clock } = ctx;
  const labels = Object.keys(rhythm.won);
  const colours = ctx.theme.colours(labels);
  const most = Math.max(1, ...rhythm.readings.flat());
  const weekday = new Intl.DateTimeFormat(clock.language, { weekday: "short", timeZone: "UTC" });
  const name = (/** @type {number} */ day) => weekday.format(MONDAY_MS + day * DAY_MS);
  const words = (/** @type {string} */ when, /** @type {number} */ readings, /** @type {number[]} */ won) => {
    if (!readings) return `${when}: ${t("week.nothing")}`;
    const total = won.reduce((sum, count) => sum + count, 0);
    const parts = labels
      .map((label, i) => ({ label, part: total ? won[i] / total : 0 }))
      .sort((one, other) => other.part - one.part)
      .slice(0, 3)
      .map(({ label, part }) => `${nameOf(label, t)} ${Math.round(100 * part)} %`);
    return `${when}: ${total ? parts.join(", ") : t("now.uncertain")} · ${t("chart.readings", { n: readings })}`;
  };
  const said = h("p", { class: "small quiet week-said" }, t("week.hint"));
  const hours = Array.from({ length: 24 }, (_, hour) => hour);
  const rows = rhythm.readings.map((/** @type {number[]} */ counts, /** @type {number} */ day) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, name(day)),
      hours.map((hour) => {
        const won = labels.map((label) => rhythm.won[label][day][hour]);
        const top = won.reduce((best, count, i) => (count > won[best] ? i : best), 0);
        const readings = counts[hour];
        const isUncertain = readings > 0 && rhythm.uncertain[day][hour] * 2 > readings;
        const fullness = readings ? 14 + 86 * Math.sqrt(readings / most) : 0;
        const style = readings ? { "--colour": colours[labels[top]], "--full": `${Math.round(fullness)}%` } : {};
        const when = `${name(day)} ${hour}–${hour + 1} h`;
        return h(
          "td",
          { class: readings ? (isUncertain ? "heard unsure" : "heard") : "", style, dataset: { words: words(when, readings, won) } },
          h("span", { class: "hidden" }, readings && !isUncertain ? nameOf(labels[top], t) : readings ? t("now.uncertain") : ""),
        );
      }),
    ),
  );
  const sums = hours.map((hour) => rhythm.readings.reduce((/** @type {number} */ sum, /** @type {number[]} */ day) => sum + day[hour], 0));
  const highest = Math.max(1, ...sums);
  const day = hours.map((hour) => {
    const won = labels.map((label) => rhythm.won[label].reduce((/** @type {number} */ sum, /** @type {number[]} */ each) => sum + each[hour], 0));
    const total = won.reduce((sum, count) => sum + count, 0) || 1;
    const bars = won.map((count, i) => h("i", { style: { background: colours[labels[i]], height: `${(100 * count) / total}%` } }));
    const tall = { "--tall": `${(100 * sums[hour]) / highest}%` };
    return h("td", { dataset: { words: words(`${hour}–${hour + 1} h`, sums[hour], won) } }, h("span", { class: "column", style: tall }, bars));
  });
  const ticks = hours.map((hour) => h("th", { scope: "col" }, hour % 3 ? h("span", { class: "hidden" }, String(hour)) : String(hour).padStart(2, "0")));
  const table = h(
    "table",
    { class: "week" },
    h("caption", { class: "hidden" }, t("week")),
    h("tbody", {}, rows),
    h("tbody", { class: "day" }, h("tr", {}, h("th", { scope: "row" }, t("week.day")), day)),
    h("tfoot", {}, h("tr", {}, h("th", {}, h("span", { class: "hidden" }, t("week.hour"))), ticks)),
  );
  const show = (/** @type {Event} */ event) => {
    const cell = /** @type {HTMLElement} */ (event.target).closest?.("[data-words]");
    said.textContent = /** @type {HTMLElement | null} */ (cell)?.dataset.words ?? t("week.hint");
  };
  table.addEventListener("pointerover", show);
  table.addEventListener("pointerdown", show);
  table.addEventListener("pointerleave", () => (said.textContent = t("week.hint")));
  replace(place, table, said);
}
