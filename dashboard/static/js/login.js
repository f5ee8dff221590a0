/** The log-in page: keeps the address that was asked for, in the viewer's language. */

import { language, load } from "./i18n.js";

const form = /** @type {HTMLFormElement} */ (document.querySelector("form"));
form.action = `/login${location.hash}`; // a redirect keeps what stands behind the #
const tag = language();
const t = await load(tag);
document.documentElement.lang = tag;
for (const place of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-t]"))) {
  place.textContent = t(place.dataset.t ?? "");
}
