/** The finished images: all of them, one of them, or two beside each other. */
import { t } from '../lib/i18n.js';
import { route } from '../lib/router.js';
import { styles } from '../lib/styles.js';
import { html } from '../lib/ui.js';
import { Compare } from '../parts/compare.js';
import { GalleryGrid } from '../parts/gallery-grid.js';
import { ImageView } from '../parts/image-view.js';

await styles('gallery');

export function Gallery() {
  const [first, ...rest] = route.value.rest;
  if (first === 'compare') return html`<${Compare} left=${rest.slice(0, 2).join('/')} right=${rest.slice(2, 4).join('/')} />`;
  if (first) return html`<${ImageView} key=${`${first}/${rest[0]}`} jobId=${first} index=${Number(rest[0] ?? 0)} />`;
  return html`<h1 class="hidden-text">${t('view.gallery')}</h1><${GalleryGrid} />`;
}
