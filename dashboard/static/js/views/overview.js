/** The view `overview`. */

import { h, replace } from "../dom.js";

/**
 * @param {HTMLElement} root
 * @param {import("../app.js").Context} ctx
 * @param {import("../app.js").Params} _params
 * @returns {import("../app.js").View}
 */
export function mount(root, ctx, _params) {
  replace(root, h("h1", {}, ctx.t("tab.overview")));
  return { unmount() {} };
}
