/** Moving through tiles in rows by the keys. */

/**
 * Where a key leads from an element of a list: along the row, to the one above or below whose middle is nearest, or to
 * either end.
 * @returns {HTMLElement | undefined} undefined: the key means nothing here
 */
export function neighbourIn(list, from, key) {
  const all = [...list.querySelectorAll('[data-key]')];
  const at = all.indexOf(from);
  const along = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: all.length - 1 };
  if (key in along) return all[along[key]];
  if (key === 'ArrowDown') return nearest(from, all.slice(at + 1), (box, other) => other.top >= box.bottom);
  if (key === 'ArrowUp') return nearest(from, all.slice(0, at).reverse(), (box, other) => other.bottom <= box.top);
  return undefined;
}

/** Of the first row that fits. */
function nearest(from, others, isBeyond) {
  const box = from.getBoundingClientRect();
  const middle = box.left + box.width / 2;
  let best;
  let row;
  for (const element of others) {
    const other = element.getBoundingClientRect();
    if (!isBeyond(box, other)) continue;
    row ??= other.top;
    if (Math.abs(other.top - row) > 2) break;
    const away = Math.abs(other.left + other.width / 2 - middle);
    if (!best || away < best.away) best = { element, away };
  }
  return best?.element;
}
