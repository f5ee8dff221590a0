/** Words in the viewer's language. A catalogue maps keys to texts; `{name}` stands for a value. */

export const LANGUAGES = { en: "English", de: "Deutsch", it: "Italiano" };

/** @typedef {(key: string, values?: Record<string, string | number>) => string} Translate */

/** The language that is set, or the first of the browser's that we have. */
export function language() {
  const wanted = [localStorage.getItem("moodwire.language") ?? "", ...navigator.languages];
  return wanted.map((tag) => tag.slice(0, 2)).find((tag) => tag in LANGUAGES) ?? "en";
}

/**
 * Load the catalogues of a language and return what looks up words; a word that is missing is there in English.
 * Numbers among the values are written as the language does. A key with `.one` or `.zero` beside it is for such an `n`.
 * @param {string} tag
 * @returns {Promise<Translate>}
 */
export async function load(tag) {
  const names = tag === "en" ? ["en"] : ["en", tag];
  const parts = await Promise.all(
    names.flatMap((name) => [import(`./i18n/${name}.js`), import(`./i18n/${name}-charts.js`)]),
  );
  /** @type {Record<string, string>} */
  const words = Object.assign({}, ...parts.map((part) => part.default));
  const numbers = new Intl.NumberFormat(tag);
  return (key, values = {}) => {
    const exact = `${key}.${values.n === 1 ? "one" : values.n === 0 ? "zero" : ""}`;
    const chosen = exact in words ? exact : key;
    return (words[chosen] ?? key).replace(/\{(\w+)\}/g, (_, name) => {
      const value = values[name];
      return typeof value === "number" ? numbers.format(value) : (value ?? "");
    });
  };
}
