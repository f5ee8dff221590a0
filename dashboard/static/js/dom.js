/** Tiny helpers to make and change elements. Text is always set as text, never as markup. */

/** @typedef {Node | string | number | null | undefined | false} Child */

const SVG = "http://www.w3.org/2000/svg";

/**
 * Make an element. Attributes that begin with `on` are listeners; `class` and `dataset` do what they say; a value of
 * null, undefined or false leaves the attribute out.
 * @param {string} tag
 * @param {Record<string, any>} [attributes]
 * @param {...(Child | Child[])} children
 * @returns {any}
 */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/**
 * Make an SVG element, as `h` does.
 * @param {string} tag
 * @param {Record<string, any>} [attributes]
 * @param {...(Child | Child[])} children
 * @returns {any}
 */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/**
 * @param {Element} element
 * @param {Record<string, any>} attributes
 * @param {(Child | Child[])[]} children
 */
function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "dataset") Object.assign(/** @type {HTMLElement} */ (element).dataset, value);
    else if (name === "style") setStyle(/** @type {HTMLElement} */ (element), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  append(element, children);
  return element;
}

/**
 * @param {Element} element
 * @param {(Child | Child[])[]} children
 */
function append(element, children) {
  for (const child of children.flat()) {
    if (child !== null && child !== undefined && child !== false) element.append(/** @type {any} */ (child));
  }
}

/**
 * Set custom properties and other styles, which a strict CSP allows from scripts.
 * @param {HTMLElement} element
 * @param {Record<string, string>} styles
 */
export function setStyle(element, styles) {
  for (const [name, value] of Object.entries(styles)) element.style.setProperty(name, value);
}

/**
 * Set the text of an element only if it differs, so that nothing is laid out anew for nothing.
 * @param {Element} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Set or remove an attribute only if it differs.
 * @param {Element} element
 * @param {string} name
 * @param {string | null} value
 */
export function setAttribute(element, name, value) {
  if (value === null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/**
 * Replace all children.
 * @param {Element} element
 * @param {...(Child | Child[])} children
 */
export function replace(element, ...children) {
  element.replaceChildren();
  append(element, children);
}

/**
 * Let a list have these items in this order; those that it has stay as they are, since someone may be about to click one.
 * @param {Element} list
 * @param {{key: string, make: () => HTMLElement}[]} items Two with one key are the same.
 */
export function arrange(list, items) {
  const known = new Map([...list.children].map((child) => [/** @type {HTMLElement} */ (child).dataset.key ?? "", child]));
  const wanted = [...new Map(items.map((item) => [item.key, item])).values()].map(({ key, make }) => {
    const element = known.get(key) ?? make();
    /** @type {HTMLElement} */ (element).dataset.key = key;
    return element;
  });
  const kept = new Set(wanted);
  for (const child of known.values()) if (!kept.has(child)) child.remove();
  wanted.forEach((element, i) => {
    if (list.children[i] !== element) list.insertBefore(element, list.children[i] ?? null);
  });
}

/**
 * Return a function that runs another at most once per animation frame, and not more often than every so many ms.
 * @param {() => void} run
 * @param {number} [leastMs]
 */
export function coalesce(run, leastMs = 0) {
  let waiting = false;
  let last = -Infinity;
  const frame = () => {
    waiting = false;
    last = performance.now();
    run();
  };
  return () => {
    if (waiting) return;
    waiting = true;
    const wait = Math.max(0, last + leastMs - performance.now());
    if (wait) setTimeout(() => requestAnimationFrame(frame), wait);
    else requestAnimationFrame(frame);
  };
}
