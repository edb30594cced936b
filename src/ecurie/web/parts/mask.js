/** Where the picture to start from is drawn anew. */
export function Mask() {
  return null;
}
