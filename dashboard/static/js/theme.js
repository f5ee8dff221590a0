// Runs before the first paint, so that a dark room stays dark; a classic script because modules come later.
"use strict";
(() => {
  const chosen = localStorage.getItem("moodwire.theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  if (new URLSearchParams(location.search).has("kiosk")) document.documentElement.dataset.kiosk = "";
})();
