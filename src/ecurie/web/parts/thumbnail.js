/** A small picture of a model or adapter; where there is none, its initials on a colour of its own. */
import { html, useState } from '../lib/ui.js';
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

/** @param {{name: string, src?: string}} props `src`: a picture that may not be there */
export function Thumbnail({ name, src }) {
  const [missing, setMissing] = useState(null);
  return html`<span class=${`thumbnail thumbnail-${hue(name)}`} aria-hidden="true">
    ${initials(name)} ${src && missing !== src && html`<${KeyedImage} src=${src} alt="" loading="lazy" onError=${() => setMissing(src)} />`}
  </span>`;
}
