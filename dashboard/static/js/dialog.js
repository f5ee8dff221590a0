/** Questions in a dialog, before something is done. */

import { h } from "./dom.js";

/**
 * Return a field with its name.
 * @param {string} text
 * @param {HTMLElement} field
 * @returns {HTMLElement}
 */
export function label(text, field) {
  return h("label", { class: "field" }, h("span", {}, text), field);
}

/**
 * Ask in a dialog; return whether the answer is yes.
 * @param {string} title
 * @param {import("./dom.js").Child[]} parts
 * @param {string} yes
 * @param {import("./i18n.js").Translate} t
 * @param {{isDanger?: boolean, isOnlyOne?: boolean, field?: HTMLInputElement, isRight?: () => boolean}} [how]
 * @returns {Promise<boolean>}
 */
export function ask(title, parts, yes, t, { isDanger = false, isOnlyOne = false, field, isRight = () => true } = {}) {
  return new Promise((resolve) => {
    const go = h("button", { class: `primary ${isDanger ? "danger" : ""}`, value: "yes", disabled: !isRight() }, yes);
    const no = isOnlyOne ? null : h("button", { type: "button", onclick: () => dialog.close() }, t("cancel"));
    const form = h("form", { method: "dialog" }, h("h2", {}, title), ...parts, h("div", { class: "buttons" }, no, go));
    const dialog = h("dialog", { "aria-label": title }, form);
    field?.addEventListener("input", () => (go.disabled = !isRight()));
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
