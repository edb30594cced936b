/** An image of the gallery, as a link. */
import { t } from '../lib/i18n.js';
import { keyOf } from '../lib/gallery.js';
import { html } from '../lib/ui.js';
import { KeyedImage } from './keyed-image.js';

/** @param {{image: object, href: string, reachable: boolean, onFocus: () => void}} props `reachable`: by Tab */
export function GalleryTile({ image, href, reachable, onFocus }) {
  return html`<li class="gallery-tile" style=${{ '--ratio': image.width / image.height }}>
    <a
      href=${href}
      data-key=${keyOf(image)}
      tabindex=${reachable ? 0 : -1}
      aria-label=${t('gallery.image', { prompt: image.prompt, model: image.model })}
      onFocus=${onFocus}
    >
      <${KeyedImage} class="picture" src=${image.thumbnail_url} alt="" loading="lazy" decoding="async" width=${image.width} height=${image.height} />
      <span class="gallery-caption" aria-hidden="true">
        <span class="gallery-prompt">${image.prompt}</span><small>${[image.model, ...image.adapters].join(' + ')}</small>
      </span>
    </a>
  </li>`;
}
