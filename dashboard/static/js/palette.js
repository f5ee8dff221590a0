/** Colours of emotions in the theme that is on, as custom properties and for canvases. */

const OTHER = "#7c8794";

export class Theme extends EventTarget {
  /** Dispatches `change` when the theme has changed, so that canvases are drawn anew. */
  constructor() {
    super();
    this.dark = matchMedia("(prefers-color-scheme: dark)");
    /** @type {Record<string, any>} */
    this.emotions = {};
    /** Custom properties that have been asked for, since each asking costs. @type {Map<string, string>} */
    this.tokens = new Map();
    this.dark.addEventListener("change", () => this.#apply());
  }

  /** @param {Record<string, any>} emotions As `/meta` gives them: name, `colour`, and perhaps `colour_dark`. */
  use(emotions) {
    this.emotions = emotions;
    this.#apply();
  }

  /** `auto`, `light` or `dark`, as it is set. */
  get chosen() {
    return document.documentElement.dataset.theme ?? "auto";
  }

  /** Whether the ground is dark now. */
  get isDark() {
    return this.chosen === "auto" ? this.dark.matches : this.chosen === "dark";
  }

  /** @param {string} chosen `auto`, `light` or `dark` */
  choose(chosen) {
    localStorage.setItem("moodwire.theme", chosen);
    if (chosen === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = chosen;
    this.#apply();
  }

  /**
   * Return the colour of an emotion, as hexadecimal RGB.
   * @param {string} label
   */
  colour(label) {
    const look = this.emotions[label];
    return (this.isDark ? look?.colour_dark : null) ?? look?.colour ?? OTHER;
  }

  /**
   * Return a custom property of tokens.css, such as `--line`.
   * @param {string} name
   */
  token(name) {
    const known = this.tokens.get(name);
    if (known !== undefined) return known;
    const value = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    this.tokens.set(name, value);
    return value;
  }

  #apply() {
    this.tokens.clear();
    for (const label of Object.keys(this.emotions)) {
      document.documentElement.style.setProperty(`--emotion-${label}`, this.colour(label));
    }
    this.dispatchEvent(new CustomEvent("change"));
  }
}
