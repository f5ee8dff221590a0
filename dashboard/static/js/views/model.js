/** About the model: on whom it was measured, how often it is right, how far its confidence can be trusted, and what not to
 *  read into its numbers. */

import { nameOf } from "../device_facts.js";
import { h, replace, svg } from "../dom.js";

/**
 * @param {HTMLElement} root
 * @param {import("../app.js").Context} ctx
 * @param {import("../app.js").Params} _params
 * @returns {import("../app.js").View}
 */
export function mount(root, ctx, _params) {
  const controller = new AbortController();
  const { t } = ctx;
  const unknown = h("div");
  const list = h("div", { class: "models" }, h("div", { class: "skeleton block" }));
  replace(
    root,
    h("h1", {}, t("tab.model")),
    h("p", { class: "lead" }, t("model.lead")),
    unknown,
    list,
    h("section", { class: "panel words" }, h("h2", {}, t("model.not")), h("ul", {}, [1, 2, 3, 4, 5].map((n) => h("li", {}, t(`model.not.${n}`))))),
    h("section", { class: "panel words" }, h("h2", {}, t("model.notice")), h("p", {}, t("notice") === "notice" ? ctx.meta.notice : t("notice"))),
  );
  /** @type {any[]} */
  let models = [];
  const draw = () => {
    const devices = [...ctx.fleet.devices.values()];
    const strange = devices.filter((device) => !models.some((model) => model.name === device.model));
    replace(unknown, ctx.fleet.isLoaded && strange.length ? strangers(ctx, strange) : null);
    // Those that a device runs come first.
    const runs = (/** @type {any} */ model) => devices.filter((device) => device.model === model.name);
    const sorted = [...models].sort((one, other) => runs(other).length - runs(one).length);
    replace(list, sorted.map((model) => panel(ctx, model, runs(model))));
  };
  ctx.api.get("/models", {}, controller.signal).then(
    (told) => {
      models = told.models;
      draw();
      let key = "";
      ctx.fleet.addEventListener("list", () => {
        const now = [...ctx.fleet.devices.values()].map((device) => `${device.name} ${device.model}`).join();
        if (now !== key) draw();
        key = now;
      }, { signal: controller.signal });
    },
    (error) => controller.signal.aborted || replace(list, h("p", { role: "alert" }, error.message)),
  );
  return { unmount: () => controller.abort() };
}

/**
 * @param {import("../app.js").Context} ctx
 * @param {import("../fleet.js").Device[]} devices
 */
function strangers({ t }, devices) {
  const names = [...new Set(devices.map((device) => device.model || "?"))].join(", ");
  const links = devices.flatMap((device, i) => [i ? ", " : "", h("a", { href: `#/device/${device.mac_address}` }, device.name || device.mac_address)]);
  return h("section", { class: "panel strangers" }, h("h2", {}, t("model.unknown", { names })), h("p", {}, t("model.unknown.what"), " ", links, "."));
}

/**
 * @param {import("../app.js").Context} ctx
 * @param {any} model As in docs/api.md, Models.
 * @param {import("../fleet.js").Device[]} devices
 */
function panel(ctx, model, devices) {
  const { t, clock } = ctx;
  const percent = (/** @type {number} */ part) => `${(100 * part).toLocaleString(clock.language, { minimumFractionDigits: 1, maximumFractionDigits: 1 })} %`;
  const labels = model.labels.map((/** @type {string} */ label) => nameOf(label, t));
  const runs = devices.length ? t("model.runs", { n: devices.length, names: devices.slice(0, 5).map((device) => device.name).join(", ") }) : t("model.runs.none");
  return h(
    "section",
    { class: "panel model" },
    h("header", {}, h("h2", {}, model.name, h("small", {}, `${labels.join(", ")} · ${Math.round(model.bytes / 1024)} KB`)), h("span", { class: "small quiet" }, runs)),
    h(
      "div",
      { class: "model-parts" },
      h(
        "div",
        {},
        h("h3", {}, t("model.recall")),
        forest(ctx, model),
        h("p", { class: "small quiet" }, t("model.recall.what", { chance: percent(model.chance), data: model.taught_by })),
        model.listeners_uar === null ? null : h("p", { class: "small quiet" }, t("model.listeners", { recall: percent(model.listeners_uar) })),
      ),
      h("div", {}, h("h3", {}, t("model.calibration")), calibration(ctx, model), h("p", { class: "small quiet" }, t("model.calibration.what"))),
      h("div", {}, h("h3", {}, t("model.confusion")), confusion(ctx, model), h("p", { class: "small quiet" }, t("model.confusion.what"))),
    ),
    h("div", { class: "scroll" }, corpora(ctx, model, percent)),
    h("p", { class: "small quiet" }, t("model.uncertain_below", { part: percent(model.uncertain_below) })),
  );
}

/**
 * Recall with its interval on each corpus, and what guessing gives.
 * @param {import("../app.js").Context} ctx
 * @param {any} model
 */
function forest({ t }, model) {
  const [width, row, left, top] = [420, 38, 128, 8];
  const x = (/** @type {number} */ part) => left + part * (width - left - 14);
  const height = top + row * model.corpora.length + 20;
  const marks = model.corpora.flatMap((/** @type {any} */ corpus, /** @type {number} */ i) => {
    const y = top + row * i + row / 2;
    const [low, high] = corpus.uar_interval;
    return [
      svg("text", { x: 0, y: y - 2, class: "name" }, corpus.corpus),
      svg("text", { x: 0, y: y + 11, class: "what" }, t(corpus.own ? "model.own" : "model.elsewhere", { language: t(`language.${corpus.language}`) })),
      svg("line", { class: "interval", x1: x(low), x2: x(high), y1: y, y2: y }),
      svg("circle", { class: corpus.own ? "point own" : "point", cx: x(corpus.uar), cy: y, r: 5.5 }),
      svg("text", { class: "value", x: x(corpus.uar), y: y - 10, "text-anchor": "middle" }, `${Math.round(100 * corpus.uar)} %`),
    ];
  });
  const ticks = [0, 0.25, 0.5, 0.75, 1].flatMap((part) => [
    svg("line", { class: "grid", x1: x(part), x2: x(part), y1: top, y2: height - 18 }),
    svg("text", { x: x(part), y: height - 4, "text-anchor": "middle" }, `${100 * part}`),
  ]);
  const spoken = model.corpora.map((/** @type {any} */ corpus) => `${corpus.corpus}: ${Math.round(100 * corpus.uar)} % (${corpus.uar_interval.map((/** @type {number} */ edge) => Math.round(100 * edge)).join("–")} %)`);
  return svg(
    "svg",
    { class: "chart forest", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": spoken.join("; ") },
    ticks,
    svg("line", { class: "chance", x1: x(model.chance), x2: x(model.chance), y1: top, y2: height - 18 }),
    svg("text", { class: "what", x: x(model.chance) + 4, y: height - 22 }, t("model.chance")),
    marks,
  );
}

/**
 * How often it was right when it was so sure.
 * @param {import("../app.js").Context} ctx
 * @param {any} model
 */
function calibration({ t }, model) {
  const [size, left, foot] = [240, 30, 26];
  const low = Math.floor(10 * Math.min(...model.calibration.confidence, ...model.calibration.accuracy)) / 10;
  const x = (/** @type {number} */ part) => left + ((part - low) / (1 - low)) * (size - left - 8);
  const y = (/** @type {number} */ part) => 8 + (1 - (part - low) / (1 - low)) * (size - foot - 8 - 30);
  const points = model.calibration.confidence.map((/** @type {number} */ sure, /** @type {number} */ i) => [x(sure), y(model.calibration.accuracy[i])]);
  const ticks = [low, (low + 1) / 2, 1].flatMap((part) => [
    svg("text", { x: x(part), y: y(low) + 16, "text-anchor": "middle" }, `${Math.round(100 * part)}`),
    svg("text", { x: left - 6, y: y(part) + 4, "text-anchor": "end" }, `${Math.round(100 * part)}`),
    svg("line", { class: "grid", x1: left, x2: size - 8, y1: y(part), y2: y(part) }),
  ]);
  return svg(
    "svg",
    { class: "chart calibration", viewBox: `0 0 ${size} ${size - 20}`, role: "img", "aria-label": t("model.calibration.what") },
    ticks,
    svg("line", { class: "chance", x1: x(low), x2: x(1), y1: y(low), y2: y(1) }),
    svg("polyline", { class: "curve", points: points.map((/** @type {number[]} */ point) => point.join()).join(" ") }),
    points.map((/** @type {number[]} */ [cx, cy]) => svg("circle", { class: "point", cx, cy, r: 3 })),
    svg("text", { class: "what", x: (left + size) / 2, y: y(low) + 32, "text-anchor": "middle" }, t("model.calibration.axis")),
  );
}

/**
 * What was heard, for each emotion that was portrayed.
 * @param {import("../app.js").Context} ctx
 * @param {any} model
 */
function confusion({ t }, model) {
  return h(
    "table",
    { class: "confusion" },
    h("thead", {}, h("tr", {}, h("th", {}, h("span", { class: "hidden" }, t("model.portrayed"))), model.labels.map((/** @type {string} */ label) => h("th", { scope: "col" }, model.labels.length > 4 ? nameOf(label, t).slice(0, 3) : nameOf(label, t))))),
    h(
      "tbody",
      {},
      model.confusion.map((/** @type {number[]} */ counts, /** @type {number} */ i) => {
        const total = counts.reduce((sum, count) => sum + count, 0) || 1;
        return h(
          "tr",
          {},
          h("th", { scope: "row" }, nameOf(model.labels[i], t)),
          counts.map((count) => {
            const part = count / total;
            return h("td", { class: part > 0.55 ? "full" : "", style: { "--full": `${Math.round(100 * part)}%` } }, Math.round(100 * part));
          }),
        );
      }),
    ),
  );
}

/**
 * @param {import("../app.js").Context} ctx
 * @param {any} model
 * @param {(part: number) => string} percent
 */
function corpora({ t, clock }, model, percent) {
  const head = ["corpus", "speakers", "clips", "uar", "ece", "answered", "right"].map((name) => h("th", { scope: "col", class: name === "corpus" ? "" : "number" }, t(`model.${name}`)));
  const names = model.labels.map((/** @type {string} */ label) => h("th", { scope: "col", class: "number" }, t("model.found", { emotion: nameOf(label, t) })));
  return h(
    "table",
    { class: "winners corpora" },
    h("thead", {}, h("tr", {}, head, names)),
    h(
      "tbody",
      {},
      model.corpora.map((/** @type {any} */ corpus) => {
        const number = (/** @type {any} */ words) => h("td", { class: "number" }, words);
        return h(
          "tr",
          {},
          h("th", { scope: "row" }, corpus.corpus),
          number(corpus.speakers),
          number(corpus.clips.toLocaleString(clock.language)),
          number([h("b", {}, percent(corpus.uar)), ` (${percent(corpus.uar_interval[0]).slice(0, -2)}–${percent(corpus.uar_interval[1])})`]),
          number(corpus.ece.toLocaleString(clock.language, { maximumFractionDigits: 3 })),
          number(percent(corpus.answered)),
          number(percent(corpus.answered_right)),
          model.labels.map((/** @type {string} */ label) => number(percent(corpus.recall[label]))),
        );
      }),
    ),
  );
}
