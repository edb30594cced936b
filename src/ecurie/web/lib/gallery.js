/** The finished images, as far as somebody has looked: newest first, page by page. */
import { Problem, ask, epoch, get, ignoreRefusals } from './api.js';
import { batch, effect, signal, untracked } from './ui.js';

const PAGE = 60;
const NEWEST = 20;
export const NO_FILTER = { search: '', model: '', adapter: '' };

/** What is looked for; change it by `look`. */
export const filter = signal(NO_FILTER);
export const images = signal([]);
/** Images that came since the list was asked for and are not in it yet. */
export const arrived = signal([]);
/** `new` (never asked for), `loading`, `more` (there are), `whole`, `failed`. */
export const state = signal('new');

/** Where the grid was scrolled to when it was left. */
export const place = { scrolled: 0 };

let next = null;
// Each search is another; answers to an earlier one are thrown away.
let search = 0;

const address = (limit, before) => {
  const asked = Object.entries({ ...filter.value, before, limit }).filter(([, value]) => value);
  return `/gallery?${new URLSearchParams(asked)}`;
};

export const same = (a, b) => Object.keys(NO_FILTER).every((name) => a[name] === b[name]);
export const keyOf = (image) => `${image.job_id}/${image.index}`;

/** Look for these from the newest on. */
export function look(wanted) {
  search += 1;
  next = null;
  place.scrolled = 0;
  batch(() => {
    filter.value = wanted;
    images.value = [];
    arrived.value = [];
    state.value = 'more';
  });
  return more();
}

/** The next page. */
export async function more() {
  if (state.value !== 'more' && state.value !== 'failed') return;
  const mine = search;
  state.value = 'loading';
  try {
    const page = await get(address(PAGE, next));
    if (mine !== search) return;
    next = page.next;
    batch(() => {
      images.value = without(images.value, page.images).concat(page.images);
      state.value = next ? 'more' : 'whole';
    });
  } catch (error) {
    ignoreRefusals(error);
    if (mine === search) state.value = 'failed';
  }
}

const without = (list, gone) => {
  const names = new Set(gone.map((image) => image.filename));
  return list.filter((image) => !names.has(image.filename));
};

/** What has come since. */
export async function lookForNew() {
  if (state.value === 'new' || state.value === 'loading') return;
  const mine = search;
  const page = await get(address(NEWEST));
  if (mine !== search) return;
  const known = new Set(images.value.map((image) => image.filename));
  const found = page.images.filter((image) => !known.has(image.filename));
  // More than one look can hold: between them and the list there would be a gap.
  if (found.length === NEWEST && images.value.length) look(filter.value);
  else if (found.length !== arrived.value.length) arrived.value = found;
}

export function showArrived() {
  batch(() => {
    images.value = arrived.value.concat(without(images.value, arrived.value));
    arrived.value = [];
  });
}

/** Delete an image for good. Throws Problem or Away. */
export async function remove(image) {
  try {
    await ask(image.url.split('?')[0], { method: 'DELETE' });
  } catch (error) {
    // Somebody else was faster.
    if (!(error instanceof Problem && error.code === 'unknown-output')) throw error;
  }
  images.value = without(images.value, [image]);
}

/** The images before (newer) and after (older) one of the list. */
export function neighbours(key) {
  const at = images.value.findIndex((image) => keyOf(image) === key);
  if (at < 0) return {};
  // Going on from the last image goes on to the next page.
  if (at >= images.value.length - 3) more();
  return { newer: images.value[at - 1], older: images.value[at + 1] };
}

// When the server is back, or another key is used.
let first = true;
effect(() => {
  epoch.value;
  if (!first) untracked(() => state.value !== 'new' && look(filter.value));
  first = false;
});
