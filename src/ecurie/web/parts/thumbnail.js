/** A small picture of a model or adapter; where there is none, its initials on a colour of its own. */
import { html } from '../lib/ui.js';
import { KeyedImage } from './keyed-image.js';

const HUES = 12;

function initials(name) {
  const words = name.replace(/\(.*?\)/g, ' ').split(/[\s\-_.,]+/).filter((word) => /^[\p{L}\p{N}]/u.test(word));
  return words.slice(0, 2).map((word) => [...word][0].toUpperCase()).join('') || '?';
}

/** The same for the same name, on every machine. */
function hue(name) {
  let sum = 0;
  for (const letter of name) sum = (sum * 31 + letter.codePointAt(0)) % 65_521;
  return sum % HUES;
}

/** @param {{name: string, src?: string | null}} props */
export function Thumbnail({ name, src }) {
  if (src) return html`<${KeyedImage} class="thumbnail" src=${src} alt="" />`;
  return html`<span class=${`thumbnail thumbnail-${hue(name)}`} aria-hidden="true">${initials(name)}</span>`;
}
