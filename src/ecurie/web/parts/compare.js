/** Two images: one over the other behind a slider, side by side, or what differs; and which settings do. */
import { Problem, epoch, get, ignoreRefusals } from '../lib/api.js';
import { differences } from '../lib/differences.js';
import { t } from '../lib/i18n.js';
import { go, href } from '../lib/router.js';
import { html, useEffect, useState } from '../lib/ui.js';
import { Button } from './button.js';
import { CompareSlider } from './compare-slider.js';
import { Choice } from './fields.js';
import { Icon } from './icon.js';
import { KeyedImage } from './keyed-image.js';

const WAYS = ['slider', 'beside', 'difference'];

/** @param {{left: string, right: string}} props keys of images: `job/index` */
export function Compare({ left, right }) {
  const [way, setWay] = useState('slider');
  const [found, setFound] = useState([null, null]);
  const [missing, setMissing] = useState('');
  useEffect(() => {
    let over = false;
    setMissing('');
    Promise.all([left, right].map(load)).then(
      (images) => !over && setFound(images),
      (error) => {
        ignoreRefusals(error);
        if (!over && error instanceof Problem) setMissing(error.message);
      },
    );
    return () => {
      over = true;
    };
  }, [left, right, epoch.value]);
  const [a, b] = found;
  if (missing) return html`<div class="empty"><p class="display">${t('image.none')}</p><p>${missing}</p></div>`;
  if (!a || !b) return html`<p class="empty" aria-busy="true">${t('loading')}</p>`;
  return html`<div class="compare">
    <div class="compare-head">
      <h1>${t('compare.title')}</h1>
      <${Choice} quiet label=${t('compare.way')} value=${way} options=${WAYS.map((value) => ({ value, label: t(`compare.${value}`) }))} onChange=${setWay} />
      <${Button} icon="swap" onClick=${() => go(`gallery/compare/${right}/${left}`)}>${t('compare.swap')}<//>
    </div>
    <div class="compare-stage"><${Shown} way=${way} a=${a} b=${b} /></div>
    <div class="compare-names">
      <${Named} side=${t('compare.left')} image=${a} at=${left} other=${right} /><${Named} side=${t('compare.right')} image=${b} at=${right} other=${left} />
    </div>
    <${Differences} a=${a} b=${b} />
  </div>`;
}

async function load(key) {
  const [job, index] = key.split('/');
  const image = (await get(`/jobs/${job}`)).result?.images[index];
  if (!image) throw new Problem(404, { detail: t('image.unknown') });
  return image;
}

const alt = (image, side) => t('compare.alt', { side, prompt: image.metadata.prompt });

function Shown({ way, a, b }) {
  const ratio = { '--ratio': a.width / a.height };
  if (way === 'slider') return html`<${CompareSlider} a=${a} b=${b} altA=${alt(a, t('compare.left'))} altB=${alt(b, t('compare.right'))} />`;
  if (way === 'beside') {
    return html`<div class="compare-beside">
      <${KeyedImage} class="picture" src=${a.url} alt=${alt(a, t('compare.left'))} style=${ratio} />
      <${KeyedImage} class="picture" src=${b.url} alt=${alt(b, t('compare.right'))} style=${{ '--ratio': b.width / b.height }} />
    </div>`;
  }
  return html`<figure class="compare-difference" style=${ratio}>
    <${KeyedImage} src=${a.url} alt=${t('compare.differenceAlt')} /><${KeyedImage} class="compare-subtracted" src=${b.url} alt="" />
    <figcaption class="soft">${t('compare.differenceHint')}</figcaption>
  </figure>`;
}

function Named({ side, image, at, other }) {
  return html`<p class="compare-name">
    <span class="label">${side}</span>
    <a href=${href(`gallery/${at}`)}>${t('compare.open', { model: image.metadata.model, seed: String(image.seed) })}</a>
    <a class="icon-button" href=${href('gallery', { compare: other })} aria-label=${t('compare.another', { side })} title=${t('compare.another', { side })}><${Icon} name="retry" size=${16} /></a>
  </p>`;
}

function Differences({ a, b }) {
  const rows = differences(a.metadata, b.metadata);
  if (!rows.length) return html`<p class="soft">${t('compare.noDifference')}</p>`;
  return html`<div class="compare-table"><table>
    <caption>${t('compare.differing')}</caption>
    <thead><tr><th scope="col">${t('compare.setting')}</th><th scope="col">${t('compare.left')}</th><th scope="col">${t('compare.right')}</th></tr></thead>
    <tbody>${rows.map((row) => html`<tr key=${row.name}><th scope="row">${row.name}</th><td>${row.left}</td><td>${row.right}</td></tr>`)}</tbody>
  </table></div>`;
}
