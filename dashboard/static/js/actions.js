/** What an operator does to a device: each command is pending until the device has answered, and says how it ended. */

import { ask, label } from "./dialog.js";
import { h, replace, setAttribute, setText } from "./dom.js";

/** How often it is asked whether the device has answered, ms. */
const ASK_MS = 600;
/** A command expires after five minutes; a little later nobody waits for it any more, ms. */
const WAIT_MS = 310_000;
const [QUIETEST_DBFS, LOUDEST_DBFS] = [-100, 0];

/**
 * Show the actions of a device; nothing for a viewer, and on a wall.
 * @param {HTMLElement} root
 * @param {import("./app.js").Context} ctx
 * @param {import("./fleet.js").Device} device
 * @returns {{update: (device: import("./fleet.js").Device) => void, unmount: () => void}}
 */
export function mountActions(root, ctx, device) {
  if (!ctx.isOperator || ctx.isKiosk) return { update() {}, unmount() {} };
  const actions = new Actions(root, ctx, device);
  return {
    update: (changed) => actions.update(changed),
    unmount: () => actions.controller.abort(),
  };
}

class Actions {
  /**
   * @param {HTMLElement} root
   * @param {import("./app.js").Context} ctx
   * @param {import("./fleet.js").Device} device
   */
  constructor(root, ctx, device) {
    this.ctx = ctx;
    this.device = device;
    this.path = `/devices/${encodeURIComponent(device.mac_address)}`;
    this.controller = new AbortController();
    const { t } = ctx;
    const button = (/** @type {string} */ name, /** @type {() => void} */ onclick, more = "") =>
      h("button", { class: more, dataset: { action: name }, onclick }, t(`action.${name}`));
    this.toggle = button("pause", () => this.#command(this.toggle.dataset.action ?? "", {}));
    this.forget = button("forget", () => this.#forget());
    this.said = h("p", { class: "outcome", role: "status", "aria-live": "polite" });
    this.row = h(
      "div",
      { class: "actions", role: "group", "aria-label": t("actions") },
      this.toggle,
      button("rename", () => this.#rename()),
      button("gate", () => this.#setGate()),
      button("rollback", () => this.#rollBack()),
      this.forget,
      button("erase", () => this.#erase(), "danger"),
    );
    replace(root, this.row, this.said);
    this.update(device);
  }

  /** @param {import("./fleet.js").Device} device */
  update(device) {
    this.device = device;
    const name = device.state === "paused" ? "resume" : "pause";
    setAttribute(this.toggle, "data-action", name);
    setText(this.toggle, this.ctx.t(`action.${name}`));
    this.forget.hidden = !device.baseline;
  }

  async #rename() {
    const { t } = this.ctx;
    const field = h("input", { type: "text", value: this.device.name, maxlength: 64, required: true });
    if (!(await ask(t("rename.title"), [label(t("rename.label"), field)], t("rename.do"), t))) return;
    const name = field.value.trim();
    if (name && name !== this.device.name) this.#command("set", { name });
  }

  async #setGate() {
    const { t } = this.ctx;
    const [min, max] = [QUIETEST_DBFS, LOUDEST_DBFS];
    const field = h("input", { type: "number", value: -45, min, max, step: 1, required: true });
    const what = h("p", { class: "quiet small" }, t("gate.what"));
    if (await ask(t("gate.title"), [label(t("gate.label"), field), what], t("gate.do"), t)) {
      this.#command("set", { gate_dbfs: Number(field.value) });
    }
  }

  async #rollBack() {
    const { t } = this.ctx;
    const what = h("p", {}, t("rollback.what", { model: this.device.model }));
    if (await ask(t("rollback.title"), [what], t("rollback.do"), t)) this.#command("model", { rollback: true });
  }

  async #forget() {
    const { t } = this.ctx;
    const what = h("p", {}, t("forget.what"));
    if (await ask(t("forget.title"), [what], t("forget.do"), t)) this.#command("set", { forget_baseline: true });
  }

  /**
   * Send a command and follow it until the device has answered.
   * @param {string} command
   * @param {Record<string, unknown>} fields
   */
  async #command(command, fields) {
    const { api, t, clock } = this.ctx;
    this.#lock(true);
    this.#say("pending", t("command.sending"));
    try {
      let found = await api.post(`${this.path}/commands`, { command, ...fields });
      const until = performance.now() + WAIT_MS;
      while (found.status === "pending" && performance.now() < until && !this.controller.signal.aborted) {
        const isWaiting = this.device.state === "offline" && !found.sent;
        const when = clock.minute(Date.parse(found.expires_at));
        this.#say("pending", isWaiting ? t("command.offline", { when }) : t("command.pending"));
        await new Promise((resolve) => setTimeout(resolve, ASK_MS));
        found = await api.get(`${this.path}/commands/${found.transaction}`, {}, this.controller.signal);
      }
      if (found.status === "ok") this.#say("good", t(`command.done.${command}`));
      else this.#say("bad", found.error ?? t("command.unknown"));
      this.ctx.fleet.refresh();
    } catch (error) {
      if (!this.controller.signal.aborted) this.#say("bad", /** @type {Error} */ (error).message);
    }
    this.#lock(false);
  }

  async #erase() {
    const { api, t, fleet, clock } = this.ctx;
    const { name, mac_address: mac } = this.device;
    const wanted = name || mac;
    const field = h("input", { type: "text", autocomplete: "off", spellcheck: "false" });
    const parts = [h("p", {}, t("erase.what", { name: wanted })), label(t("erase.label", { name: wanted }), field)];
    const isRight = () => field.value.trim() === wanted;
    if (!(await ask(t("erase.title"), parts, t("erase.do"), t, { isDanger: true, field, isRight }))) return;
    this.#lock(true);
    this.#say("pending", t("erase.pending"));
    try {
      const receipt = await api.delete(this.path);
      const facts = [
        [t("erase.receipt"), receipt.receipt],
        [t("erase.records"), new Intl.NumberFormat(clock.language).format(receipt.records_erased)],
        [t("erase.at"), clock.full(Date.parse(receipt.erased_at))],
      ].map(([term, fact]) => h("div", {}, h("dt", {}, term), h("dd", {}, fact)));
      await ask(t("erase.done", { name: wanted }), [h("dl", { class: "receipt" }, facts), h("p", { class: "quiet small" }, t("erase.outbox"))], t("close"), t, { isOnlyOne: true });
      await fleet.refresh();
      this.ctx.go("#/");
    } catch (error) {
      this.#say("bad", /** @type {Error} */ (error).message);
      this.#lock(false);
    }
  }

  /** @param {boolean} isLocked */
  #lock(isLocked) {
    for (const button of this.row.querySelectorAll("button")) button.disabled = isLocked;
  }

  /**
   * @param {string} kind
   * @param {string} text
   */
  #say(kind, text) {
    setAttribute(this.said, "class", `outcome ${kind}`);
    setText(this.said, text);
  }
}
