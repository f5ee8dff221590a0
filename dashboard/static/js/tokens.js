/** Who may log in and ask REST: an operator lists, makes and revokes tokens. */

import { ask, label } from "./dialog.js";
import { h, replace } from "./dom.js";

/** @typedef {{name: string, role: string, made_at: string | null, made_by: string, last_used_at: string | null,
 *   is_setting: boolean, is_yours: boolean}} Token As in docs/api.md, Tokens. */

const ROLES = ["viewer", "operator"];

/**
 * Show all tokens.
 * @param {HTMLElement} root
 * @param {import("./app.js").Context} ctx
 * @param {AbortSignal} signal
 */
export function mountTokens(root, ctx, signal) {
  new Tokens(root, ctx, signal).show();
}

class Tokens {
  /**
   * @param {HTMLElement} root
   * @param {import("./app.js").Context} ctx
   * @param {AbortSignal} signal
   */
  constructor(root, ctx, signal) {
    this.ctx = ctx;
    this.signal = signal;
    /** @type {Token[]} */
    this.tokens = [];
    this.list = h("div", { class: "scroll" }, h("div", { class: "skeleton block" }));
    const { t } = ctx;
    replace(
      root,
      h(
        "header",
        {},
        h("div", {}, h("h2", {}, t("tokens")), h("p", { class: "quiet small" }, t("tokens.what"))),
        h("button", { class: "primary", dataset: { token: "make" }, onclick: () => this.#make() }, t("tokens.make")),
      ),
      this.list,
    );
  }

  async show() {
    try {
      this.tokens = (await this.ctx.api.get("/tokens", {}, this.signal)).tokens;
    } catch (error) {
      if (!this.signal.aborted) replace(this.list, h("p", { role: "alert" }, /** @type {Error} */ (error).message));
      return;
    }
    const { t } = this.ctx;
    const heads = ["name", "role", "made", "used"].map((key) => h("th", { scope: "col" }, t(`tokens.${key}`)));
    const rows = this.tokens.map((token) => this.#row(token));
    replace(
      this.list,
      h("table", { class: "tokens" }, h("thead", {}, h("tr", {}, heads, h("td"))), h("tbody", {}, rows)),
    );
  }

  /** @param {Token} token */
  #row(token) {
    const { t, clock, live } = this.ctx;
    const when = (/** @type {string} */ at) => clock.brief(Date.parse(at), live.now());
    const made = token.made_at ? when(token.made_at) : t("tokens.setting");
    const used = token.last_used_at ? when(token.last_used_at) : token.is_setting ? "–" : t("tokens.never");
    const revoke = h(
      "button",
      { "aria-label": t("tokens.revoke.of", { name: token.name }), onclick: () => this.#revoke(token) },
      t("tokens.revoke"),
    );
    return h(
      "tr",
      { dataset: { name: token.name } },
      h("th", { scope: "row" }, token.name, token.is_yours ? h("span", { class: "role" }, t("tokens.yours")) : null),
      h("td", {}, t(`tokens.${token.role}`)),
      h("td", {}, made, token.made_by ? h("small", { class: "quiet" }, t("tokens.by", { name: token.made_by })) : null),
      h("td", {}, used),
      h("td", { class: "number" }, token.is_setting ? null : revoke),
    );
  }

  async #make() {
    const { t, api, say } = this.ctx;
    const field = h("input", { type: "text", maxlength: 32, autocomplete: "off", spellcheck: "false", placeholder: "wall-kitchen" });
    const role = h("select", {}, ROLES.map((name) => h("option", { value: name }, t(`role.${name}`))));
    const isRight = () => /^[a-z0-9][a-z0-9-]{0,31}$/.test(field.value);
    const parts = [label(t("tokens.name.what"), field), label(t("tokens.role"), role)];
    if (!(await ask(t("tokens.make.title"), parts, t("tokens.make.do"), t, { field, isRight }))) return;
    try {
      const made = await api.post("/tokens", { name: field.value, role: role.value });
      this.show();
      await this.#hand(made);
    } catch (error) {
      say(/** @type {Error} */ (error).message, "bad");
    }
  }

  /**
   * Show a token, this once.
   * @param {{name: string, token: string}} made
   */
  async #hand({ name, token }) {
    const { t, say } = this.ctx;
    const text = h("input", { class: "secret", type: "text", readonly: true, value: token, "aria-label": t("tokens") });
    const copy = h("button", { type: "button" }, t("tokens.copy"));
    copy.addEventListener("click", async () => {
      text.select();
      try {
        await navigator.clipboard.writeText(token);
        say(t("tokens.copied"));
      } catch {
        // Without https there is no clipboard: it is selected, to be copied by hand.
      }
    });
    const parts = [h("p", {}, t("tokens.once")), h("div", { class: "handed" }, text, copy)];
    await ask(t("tokens.made.title", { name }), parts, t("close"), t, { isOnlyOne: true });
    text.value = "";
  }

  /** @param {Token} token */
  async #revoke(token) {
    const { t, api, say } = this.ctx;
    const children = this.tokens.filter(({ made_by: by }) => by === token.name).map(({ name }) => name);
    const parts = [
      h("p", {}, t(token.is_yours ? "tokens.revoke.yours" : "tokens.revoke.what")),
      children.length ? h("p", {}, t("tokens.revoke.made", { names: children.join(", ") })) : null,
    ];
    const title = t("tokens.revoke.title", { name: token.name });
    if (!(await ask(title, parts, t("tokens.revoke.do"), t, { isDanger: true }))) return;
    try {
      await api.delete(`/tokens/${encodeURIComponent(token.name)}`);
      say(t("tokens.revoked", { name: token.name }));
    } catch (error) {
      say(/** @type {Error} */ (error).message, "bad");
    }
    this.show();
  }
}
