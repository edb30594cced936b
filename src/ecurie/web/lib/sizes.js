/** Sizes to draw in: ratios at about as many pixels as the model was trained with. */

/** Width to height; the name is what people call it. The sizes of SDXL's training come out of these. */
const RATIOS = [
  { name: '1:1', ratio: 1 },
  { name: '3:4', ratio: 0.778 },
  { name: '2:3', ratio: 0.684 },
  { name: '9:16', ratio: 0.571 },
];

/** Large sides in steps of 64, as in the training; small ones in steps of 8, as the server wants. */
const rounded = (side) => {
  const step = side >= 512 ? 64 : 8;
  return Math.max(64, Math.round(side / step) * step);
};

/**
 * @param {[number, number] | null} own the model's size
 * @param {boolean} wide landscape
 * @returns {{name: string, width: number, height: number}[]}
 */
export function sizesFor(own, wide) {
  const [a, b] = own ?? [1024, 1024];
  return RATIOS.map(({ name, ratio }) => {
    const short = rounded(Math.sqrt(a * b * ratio));
    const long = rounded(Math.sqrt((a * b) / ratio));
    const turned = name.split(':').reverse().join(':');
    return wide ? { name: turned, width: long, height: short } : { name, width: short, height: long };
  });
}
