/** What a picture stands on: as large as the window lets it be, but small pictures are not blown up without end. */
import { html } from '../lib/ui.js';

const MOST_ENLARGED = 6;

/** @param {{width: number, height: number, children: any}} props of the picture, in pixels */
export function Easel({ width, height, children }) {
  const style = { '--ratio': `${width} / ${height}`, '--enlarged': `${width * MOST_ENLARGED}px` };
  return html`<div class="easel" style=${style}>${children}</div>`;
}
