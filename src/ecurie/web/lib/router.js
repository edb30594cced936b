/** Views by the address: `#/queue`, `#/gallery?search=fox`. */
import { signal } from './ui.js';

export const VIEWS = ['create', 'queue', 'gallery', 'sweep'];

function current() {
  const [path, query] = location.hash.replace(/^#\/?/, '').split('?');
  const [view, ...rest] = path.split('/');
  return { view: VIEWS.includes(view) ? view : 'create', rest, query: new URLSearchParams(query) };
}

/** `view`, the parts of the path after it, and its query. */
export const route = signal(current());

/** `href('gallery', { search: 'fox' })`, `href('gallery/ID')`. */
export function href(path, query) {
  const text = new URLSearchParams(query).toString();
  return `#/${path}${text && `?${text}`}`;
}

export const go = (path, query) => {
  location.hash = href(path, query);
};

addEventListener('hashchange', () => {
  route.value = current();
});
