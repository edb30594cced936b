/** A picture to start from, and pictures whose look is taken over. */
import { ipAdapters } from '../lib/catalogue.js';
import { form, useStart } from '../lib/form.js';
import { t } from '../lib/i18n.js';
import { addReferences, picturesIn, startFrom } from '../lib/pictures.js';
import { html, useEffect } from '../lib/ui.js';
import { IconButton } from './button.js';
import { Drop } from './drop.js';
import { Choice, Select } from './fields.js';
import { KeyedImage } from './keyed-image.js';
import { Mask } from './mask.js';
import { Slider } from './number.js';

const STRENGTH = { min: 0, max: 1, step: 0.05 };

export function Pictures() {
  useEffect(() => {
    const onPaste = (event) => {
      const [file] = picturesIn(event.clipboardData);
      if (!file) return;
      event.preventDefault();
      startFrom(file);
    };
    document.addEventListener('paste', onPaste);
    return () => document.removeEventListener('paste', onPaste);
  }, []);
  return html`<section class="section" aria-label=${t('pictures.section')}>
    <h2>${t('pictures.section')}</h2>
    <div class="pictures"><${Start} /><${References} /></div>
  </section>`;
}

function Start() {
  const start = form.start.value;
  if (!start) return html`<${Drop} label=${t('start.label')} hint=${t('start.hint')} onFiles=${([file]) => startFrom(file)} />`;
  return html`<div class="brought" role="group" aria-label=${t('start.label')}>
    <div class="brought-head">
      <h3>${t('start.label')}</h3>
      <${IconButton} icon="trash" label=${t('start.remove')} onClick=${() => useStart(null)} />
    </div>
    <${KeyedImage} class="brought-picture" src=${start.url} alt=${t('start.alt')} />
    <${Slider} small label=${t('start.strength')} ...${STRENGTH} value=${form.strength.value}
      onChange=${(value) => {
        form.strength.value = value;
      }} />
    <${Choice} label=${t('start.resize')} value=${form.resize.value}
      options=${['crop', 'stretch'].map((value) => ({ value, label: t(`start.${value}`) }))}
      onChange=${(value) => {
        form.resize.value = value;
      }} />
    <${Mask} />
  </div>`;
}

function References() {
  const pictures = form.references.value;
  const drop = (label) => html`<${Drop} multiple label=${label} hint=${t('references.hint')} onFiles=${addReferences} />`;
  if (!pictures.length) return drop(t('references.label'));
  const remove = (id) => {
    form.references.value = pictures.filter((one) => one.id !== id);
  };
  const usable = ipAdapters.value.filter((one) => !one.unavailable);
  return html`<div class="brought" role="group" aria-label=${t('references.label')}>
    <h3>${t('references.label')}</h3>
    <ul class="references">
      ${pictures.map(
        ({ id, url }, index) => html`<li key=${id}>
          <${KeyedImage} src=${url} alt=${t('references.alt', { n: index + 1 })} />
          <${IconButton} icon="close" size=${16} label=${t('references.remove', { n: index + 1 })} onClick=${() => remove(id)} />
        </li>`,
      )}
    </ul>
    ${drop(t('references.more'))}
    <${Slider} small label=${t('references.strength')} ...${STRENGTH} value=${form.referenceStrength.value}
      onChange=${(value) => {
        form.referenceStrength.value = value;
      }} />
    ${usable.length > 1 &&
    html`<${Select} label=${t('references.adapter')} value=${form.ipAdapter.value ?? ''}
      options=${[{ value: '', label: t('references.fitting') }, ...usable.map(({ id, name }) => ({ value: id, label: name }))]}
      onChange=${(value) => {
        form.ipAdapter.value = value || null;
      }} />`}
  </div>`;
}
