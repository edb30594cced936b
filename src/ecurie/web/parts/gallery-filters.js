/** What to look for in the gallery. It stands in the address, so it can be kept and shared. */
import { loras, models } from '../lib/catalogue.js';
import { t } from '../lib/i18n.js';
import { href } from '../lib/router.js';
import { html, useEffect, useId, useRef } from '../lib/ui.js';
import { Icon } from './icon.js';

const PAUSE_MS = 300;

export function GalleryFilters({ wanted }) {
  const field = useRef(null);
  const timer = useRef(null);
  const id = useId();
  const change = (changes) => {
    clearTimeout(timer.current);
    const asked = Object.entries({ ...wanted, search: field.current.value.trim(), ...changes }).filter(([, value]) => value);
    // Each word that is typed is no page to go back to.
    location.replace(href('gallery', asked));
  };
  const onInput = () => {
    clearTimeout(timer.current);
    timer.current = setTimeout(() => change({}), PAUSE_MS);
  };
  useEffect(() => {
    if (document.activeElement !== field.current) field.current.value = wanted.search;
  }, [wanted.search]);
  useEffect(() => () => clearTimeout(timer.current), []);
  return html`<form class="gallery-filters" role="search" onSubmit=${(event) => {
    event.preventDefault();
    change({});
  }}>
    <div class="gallery-search">
      <${Icon} name="search" size=${18} />
      <input ref=${field} id=${id} class="input" type="search" maxlength="300" aria-label=${t('gallery.search')}
        placeholder=${t('gallery.search')} defaultValue=${wanted.search} onInput=${onInput} />
    </div>
    <${Pick} label=${t('gallery.model')} all=${t('gallery.everyModel')} options=${models.value ?? []} value=${wanted.model}
      onChange=${(model) => change({ model })} />
    <${Pick} label=${t('gallery.adapter')} all=${t('gallery.everyAdapter')} options=${loras.value} value=${wanted.adapter}
      onChange=${(adapter) => change({ adapter })} />
  </form>`;
}

function Pick({ label, all, options, value, onChange }) {
  // Of a model that has left the catalogue there may be images.
  const shown = value && !options.some((one) => one.id === value) ? [...options, { id: value, name: value }] : options;
  return html`<select class="select" aria-label=${label} onChange=${(event) => onChange(event.target.value)}>
    <option value="" selected=${!value}>${all}</option>
    ${shown.map(({ id, name }) => html`<option key=${id} value=${id} selected=${id === value}>${name}</option>`)}
  </select>`;
}
