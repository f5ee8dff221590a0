// Asks for what the view will need while its modules load; a classic script because modules come later.
"use strict";
(() => {
  const [, view = ""] = /^#\/?([a-z]*)/.exec(location.hash) ?? [];
  const wanted = [localStorage.getItem("moodwire.language") ?? "", ...navigator.languages].map((tag) => tag.slice(0, 2));
  const language = wanted.find((tag) => document.querySelector(`link[data-for~="${tag}"]`)) ?? "en";
  const names = [`view-${view}`, "en", language];
  for (const link of /** @type {NodeListOf<HTMLLinkElement>} */ (document.querySelectorAll("link[data-for]"))) {
    if (names.some((name) => link.dataset.for?.split(" ").includes(name))) link.rel = "modulepreload";
  }
  const targets = ["/session", "/api/v1/meta", "/api/v1/devices?page_size=1000"];
  if (!view) {
    const minute = Math.floor(Date.now() / 60_000);
    targets.push(`/api/v1/strips?start=${(minute - 59) * 60}&end=${(minute + 1) * 60}&step=1m&page_size=1000`);
  }
  const ask = (/** @type {string} */ target) => {
    const asked = fetch(target, { headers: { Accept: "application/json" } });
    asked.catch(() => {}); // whoever takes it says what went wrong
    return asked;
  };
  /** @type {any} */ (globalThis).moodwireEarly = new Map(targets.map((target) => [target, ask(target)]));
})();
