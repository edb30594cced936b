/** A mask as it is painted: opaque where the picture is drawn anew. It is redrawn from its strokes, so that each can be undone. */

/**
 * One thing that was done: a line of the brush, or all of it at once.
 * @typedef {{kind: 'line', erases: boolean, size: number, points: {x: number, y: number}[]} | {kind: 'invert'} | {kind: 'clear'}} Deed
 */

export class MaskPainting {
  #canvas;
  #paint;
  #first;
  /** @type {Deed[]} */
  #done = [];

  /**
   * @param {HTMLCanvasElement} canvas of the picture's size
   * @param {string} colour that it is shown in
   * @param {HTMLImageElement | null} first a mask to go on with: white is drawn anew
   */
  constructor(canvas, colour, first) {
    this.#canvas = canvas;
    this.#paint = canvas.getContext('2d', { willReadFrequently: false });
    this.#paint.fillStyle = this.#paint.strokeStyle = colour;
    this.#paint.lineCap = this.#paint.lineJoin = 'round';
    this.#first = first && opaqueWhereWhite(first, canvas, colour);
    this.#redraw();
  }

  get canUndo() {
    return this.#done.length > 0;
  }

  /** Begin a line; `size` is its width in pixels of the picture. */
  begin(point, size, erases) {
    this.#done.push({ kind: 'line', erases, size, points: [point] });
    this.#line(this.#done.at(-1), 0);
  }

  /** Go on with it. */
  extend(point) {
    const line = this.#done.at(-1);
    line.points.push(point);
    this.#line(line, line.points.length - 2);
  }

  all(kind) {
    this.#done.push({ kind });
    this.#whole(kind);
  }

  undo() {
    this.#done.pop();
    this.#redraw();
  }

  /** @returns {boolean} whether nothing is drawn anew */
  get empty() {
    const { width, height } = this.#canvas;
    const { data } = this.#paint.getImageData(0, 0, width, height);
    for (let at = 3; at < data.length; at += 4) if (data[at]) return false;
    return true;
  }

  /** A PNG file: white is drawn anew, black kept. @returns {Promise<Blob>} */
  file() {
    const { width, height } = this.#canvas;
    const white = copyOf(this.#canvas, width, height);
    fill(white, 'source-in', 'white');
    fill(white, 'destination-over', 'black');
    return new Promise((resolve) => {
      white.canvas.toBlob(resolve, 'image/png');
    });
  }

  #redraw() {
    this.#whole('clear');
    if (this.#first) this.#paint.drawImage(this.#first, 0, 0);
    for (const deed of this.#done) {
      if (deed.kind === 'line') this.#line(deed, 0);
      else this.#whole(deed.kind);
    }
  }

  #whole(kind) {
    const { width, height } = this.#canvas;
    if (kind === 'clear') this.#paint.clearRect(0, 0, width, height);
    else fill(this.#paint, 'source-out', this.#paint.fillStyle);
  }

  /** From one of its points on. */
  #line({ erases, size, points }, from) {
    const paint = this.#paint;
    paint.globalCompositeOperation = erases ? 'destination-out' : 'source-over';
    paint.lineWidth = size;
    paint.beginPath();
    const [{ x, y }, ...others] = points.slice(from);
    if (others.length) {
      paint.moveTo(x, y);
      for (const point of others) paint.lineTo(point.x, point.y);
      paint.stroke();
    } else {
      // A line of one point has no length to be stroked.
      paint.arc(x, y, size / 2, 0, 2 * Math.PI);
      paint.fill();
    }
    paint.globalCompositeOperation = 'source-over';
  }
}

function copyOf(source, width, height) {
  const canvas = document.createElement('canvas');
  Object.assign(canvas, { width, height });
  const paint = canvas.getContext('2d');
  paint.drawImage(source, 0, 0, width, height);
  return paint;
}

function fill(paint, operation, colour) {
  const { fillStyle } = paint;
  paint.globalCompositeOperation = operation;
  paint.fillStyle = colour;
  paint.fillRect(0, 0, paint.canvas.width, paint.canvas.height);
  paint.globalCompositeOperation = 'source-over';
  paint.fillStyle = fillStyle;
}

function opaqueWhereWhite(mask, { width, height }, colour) {
  const paint = copyOf(mask, width, height);
  const pixels = paint.getImageData(0, 0, width, height);
  for (let at = 0; at < pixels.data.length; at += 4) pixels.data[at + 3] = pixels.data[at];
  paint.putImageData(pixels, 0, 0);
  fill(paint, 'source-in', colour);
  return paint.canvas;
}
