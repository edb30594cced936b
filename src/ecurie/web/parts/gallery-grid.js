/** The images in rows, found by words, model or adapter; the next page comes when its place comes near. */
import { ignoreRefusals } from '../lib/api.js';
import { NO_FILTER, arrived, filter, images, keyOf, look, lookForNew, more, place, remove, same, showArrived, state } from '../lib/gallery.js';
import { t } from '../lib/i18n.js';
import { every } from '../lib/polling.js';
import { go, href, route } from '../lib/router.js';
import { say, sayError } from '../lib/say.js';
import { html, useEffect, useLayoutEffect, useRef, useState } from '../lib/ui.js';
import { Button } from './button.js';
import { ConfirmDelete } from './confirm-delete.js';
import { GalleryFilters } from './gallery-filters.js';
import { GalleryTile } from './gallery-tile.js';
import { neighbourIn } from './grid-keys.js';

const LOOK_MS = 4000;
/** New images push the others down only while nobody has scrolled. */
const AT_TOP = 120;

export function GalleryGrid() {
  const grid = useRef(null);
  const [focused, setFocused] = useState(null);
  const [deleting, setDeleting] = useState(null);
  const comparedWith = route.value.query.get('compare');
  const wanted = wantedBy(route.value.query);

  useEffect(() => {
    if (state.value === 'new' || !same(wanted, filter.value)) look(wanted);
  }, [wanted.search, wanted.model, wanted.adapter]);
  useEffect(() => every(LOOK_MS, lookForNew), []);
  useLayoutEffect(() => {
    scrollTo(0, place.scrolled);
    const remember = () => {
      place.scrolled = scrollY;
    };
    addEventListener('scroll', remember, { passive: true });
    return () => removeEventListener('scroll', remember);
  }, []);
  useEffect(() => {
    if (arrived.value.length && scrollY < AT_TOP) showArrived();
  }, [arrived.value]);

  const current = images.value.some((image) => keyOf(image) === focused) ? focused : images.value[0] && keyOf(images.value[0]);
  const focusOn = (key) => {
    setFocused(key);
    grid.current.querySelector(`[data-key="${key}"]`)?.focus();
  };
  const onKeyDown = (event) => {
    const image = images.value.find((one) => keyOf(one) === event.target.dataset.key);
    if (!image || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === 'Delete') setDeleting(image);
    const to = neighbourIn(grid.current, event.target, event.key);
    if (!to) return;
    event.preventDefault();
    focusOn(to.dataset.key);
  };
  const confirmed = async () => {
    const at = images.value.indexOf(deleting);
    setDeleting(null);
    try {
      await remove(deleting);
      say(t('image.deleted'));
    } catch (error) {
      ignoreRefusals(error);
      sayError(error);
      return;
    }
    const after = images.value[Math.min(at, images.value.length - 1)];
    // Once the grid has been drawn without it.
    if (after) requestAnimationFrame(() => focusOn(keyOf(after)));
  };
  return html`<div class="gallery">
    <${GalleryFilters} wanted=${wanted} />
    ${comparedWith && html`<${Picking} />`}
    ${arrived.value.length > 0 && html`<div class="gallery-arrived"><${Button} icon="up" kind="primary" onClick=${() => {
      showArrived();
      scrollTo({ top: 0 });
    }}>${t('gallery.arrived', { count: arrived.value.length })}<//></div>`}
    <p id="gallery-keys" class="hidden-text">${t('gallery.keys')}</p>
    <ul ref=${grid} class="gallery-grid" aria-label=${t('gallery.images')} aria-describedby="gallery-keys" aria-busy=${state.value === 'loading'} onKeyDown=${onKeyDown}>
      ${images.value.map((image) => html`<${GalleryTile}
        key=${image.filename}
        image=${image}
        href=${comparedWith ? href(`gallery/compare/${comparedWith}/${keyOf(image)}`) : href(`gallery/${keyOf(image)}`)}
        reachable=${keyOf(image) === current}
        onFocus=${() => setFocused(keyOf(image))}
      />`)}
    </ul>
    <${End} />
    ${deleting && html`<${ConfirmDelete} image=${deleting} onConfirm=${confirmed} onClose=${() => setDeleting(null)} />`}
  </div>`;
}

const wantedBy = (query) => Object.fromEntries(Object.keys(NO_FILTER).map((name) => [name, query.get(name) ?? '']));

/** Said while the second of two images is chosen. */
function Picking() {
  return html`<p class="gallery-picking" role="status">
    <span>${t('compare.pick')}</span><${Button} onClick=${() => go('gallery')}>${t('compare.stop')}<//>
  </p>`;
}

/** What follows the last image that is here: the next page, when this comes near. */
function End() {
  const end = useRef(null);
  useEffect(() => {
    const seen = new IntersectionObserver(([entry]) => entry.isIntersecting && more(), { rootMargin: '1200px' });
    seen.observe(end.current);
    return () => seen.disconnect();
    // Observed anew after each page: one that is still in sight is told only then.
  }, [images.value.length, state.value]);
  return html`<div ref=${end} class="gallery-end">
    ${state.value === 'loading' && html`<p class="soft" role="status">${t('loading')}</p>`}
    ${state.value === 'failed' && html`<${Button} icon="retry" onClick=${more}>${t('gallery.again')}<//>`}
    ${state.value === 'whole' && images.value.length === 0 && html`<${Empty} />`}
  </div>`;
}

function Empty() {
  if (!same(filter.value, NO_FILTER)) {
    return html`<div class="empty"><p class="display">${t('gallery.noneFound')}</p>
      <${Button} onClick=${() => go('gallery')}>${t('gallery.showAll')}<//></div>`;
  }
  return html`<div class="empty"><p class="display">${t('gallery.none')}</p><p>${t('gallery.noneYet')}</p>
    <a class="button button-primary" href=${href('create')}>${t('view.create')}</a></div>`;
}
