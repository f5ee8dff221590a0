/** Canvases: sharp on every screen, drawn anew when their size changes, with patterns that need no colour to be told apart. */

/**
 * Fit a canvas to its box, and return the pen in CSS pixels with its size; null while it has none.
 * @param {HTMLCanvasElement} canvas
 * @returns {{pen: CanvasRenderingContext2D, width: number, height: number, ratio: number} | null}
 */
export function fit(canvas) {
  const ratio = Math.min(3, devicePixelRatio || 1);
  const { clientWidth: width, clientHeight: height } = canvas;
  if (!width || !height) return null;
  const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== wide || canvas.height !== high) Object.assign(canvas, { width: wide, height: high });
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  return { pen, width, height, ratio };
}

/**
 * Fill a box with the pattern of a kind: paused has upright lines, offline slanted ones, nothing received crossed ones,
 * uncertain dots, and silence a line along its middle.
 * @param {CanvasRenderingContext2D} pen
 * @param {string} kind
 * @param {{x: number, y: number, width: number, height: number}} box
 * @param {{ground: string, line: string, ink: string}} colours
 */
export function pattern(pen, kind, box, colours) {
  const { x, y, width, height } = box;
  pen.save();
  pen.beginPath();
  pen.rect(x, y, width, height);
  pen.clip();
  pen.fillStyle = colours.ground;
  pen.fillRect(x, y, width, height);
  pen.strokeStyle = kind === "silence" ? colours.line : colours.ink;
  pen.fillStyle = colours.ink;
  pen.lineWidth = 1;
  pen.beginPath();
  if (kind === "silence") {
    pen.lineWidth = 2;
    pen.moveTo(x, y + height / 2);
    pen.lineTo(x + width, y + height / 2);
  } else if (kind === "uncertain") {
    for (let place = Math.floor(x / 4) * 4; place < x + width; place += 4) {
      pen.fillRect(place, y + ((place / 4) % 2 ? height * 0.3 : height * 0.62), 1.5, 1.5);
    }
  } else if (kind === "paused") {
    for (let place = Math.floor(x / 5) * 5; place < x + width; place += 5) {
      pen.moveTo(place + 0.5, y);
      pen.lineTo(place + 0.5, y + height);
    }
  } else {
    for (let place = Math.floor((x - height) / 7) * 7; place < x + width + height; place += 7) {
      pen.moveTo(place, y + height);
      pen.lineTo(place + height, y);
      if (kind === "missing") {
        pen.moveTo(place, y);
        pen.lineTo(place + height, y + height);
      }
    }
  }
  pen.stroke();
  pen.restore();
}


/**
 * Call back when a box or its resolution has changed.
 * @param {Element} element
 * @param {() => void} changed
 * @param {AbortSignal} signal
 */
export function onResize(element, changed, signal) {
  const observer = new ResizeObserver(changed);
  observer.observe(element);
  signal.addEventListener("abort", () => observer.disconnect());
}
