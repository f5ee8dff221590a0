/** Colours of emotions in the theme that is on, as custom properties and for canvases. */

/** @typedef {{colour: string, colour_dark: string}} Colour For a white ground, and for a dark one. */

/**
 * Return a colour for each label, the same as plots have (server/rest/palette.py): a label that the palette does not know
 * takes the one of the others that it falls on by its letters, or the next that no label before it has.
 * @param {string[]} labels All that are shown together.
 * @param {Record<string, Colour>} emotions As `/meta` gives them.
 * @param {Colour[]} others The same.
 * @returns {Record<string, Colour>}
 */
export function assign(labels, emotions, others) {
  const known = labels.filter((label) => label in emotions);
  /** @type {Record<string, Colour>} */
  const found = Object.fromEntries(known.map((label) => [label, emotions[label]]));
  const taken = new Set(known.map((label) => emotions[label].colour));
  for (const label of [...new Set(labels)].filter((each) => !(each in emotions)).sort()) {
    const letters = [...label].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 65_521, 0);
    const first = letters % others.length;
    const order = [...others.slice(first), ...others.slice(0, first), ...Object.values(emotions)];
    found[label] = order.find(({ colour }) => !taken.has(colour)) ?? order[0];
    taken.add(found[label].colour);
  }
  return found;
}

export class Theme extends EventTarget {
  /**
   * Dispatches `change` when the theme has changed, so that canvases are drawn anew.
   * @param {Record<string, any>} emotions As `/meta` gives them.
   * @param {Colour[]} others The same.
   */
  constructor(emotions, others) {
    super();
    this.dark = matchMedia("(prefers-color-scheme: dark)");
    this.emotions = emotions;
    this.others = others;
    /** Of all labels of the fleet. @type {Record<string, Colour>} */
    this.shown = {};
    /** Custom properties that have been asked for, since each asking costs. @type {Map<string, string>} */
    this.tokens = new Map();
    this.dark.addEventListener("change", () => this.#apply());
    this.show(Object.keys(emotions));
  }

  /** @param {string[]} labels All that the fleet has: they get `--emotion-…`, and `colour` knows them. */
  show(labels) {
    const key = [...labels].sort().join();
    if (key === this.key) return;
    this.key = key;
    this.shown = assign(labels, this.emotions, this.others);
    this.#apply();
  }

  /** @type {string | undefined} */
  key;

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
   * Return the colour of an emotion among all of the fleet, as hexadecimal RGB.
   * @param {string} label
   */
  colour(label) {
    return this.#now(this.shown[label] ?? assign([label], this.emotions, this.others)[label]);
  }

  /**
   * Return the colour of each emotion of a model, as hexadecimal RGB.
   * @param {string[]} labels All that it has.
   * @returns {Record<string, string>}
   */
  colours(labels) {
    const found = assign(labels, this.emotions, this.others);
    return Object.fromEntries(labels.map((label) => [label, this.#now(found[label])]));
  }

  /**
   * Return a custom property of tokens.css as it is now, such as `--line`.
   * @param {string} name
   */
  token(name) {
    const known = this.tokens.get(name);
    if (known !== undefined) return known;
    const told = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    const [, light, dark] = /^light-dark\((.+), (.+)\)$/.exec(told) ?? [];
    const value = (this.isDark ? dark : light) ?? told;
    this.tokens.set(name, value);
    return value;
  }

  /** @param {Colour} colour */
  #now(colour) {
    return this.isDark ? colour.colour_dark : colour.colour;
  }

  #apply() {
    this.tokens.clear();
    for (const [label, colour] of Object.entries(this.shown)) {
      document.documentElement.style.setProperty(`--emotion-${label}`, this.#now(colour));
    }
    this.dispatchEvent(new CustomEvent("change"));
  }
}
