/** The number that a picture grows from: another each time, or kept. */
import { SEEDS, form, randomSeed } from '../lib/form.js';
import { t } from '../lib/i18n.js';
import { html, useId } from '../lib/ui.js';
import { IconButton } from './button.js';
import { NumberInput } from './number.js';

export function Seed() {
  const id = useId();
  const locked = form.seedLocked.value;
  const set = (seed) => {
    form.seed.value = seed;
    form.seedLocked.value = true;
  };
  const lock = () => {
    if (!locked && form.seed.value === null) form.seed.value = randomSeed();
    form.seedLocked.value = !locked;
  };
  return html`<div class="field">
    <label class="label" for=${id}>${t('seed.label')}</label>
    <div class="seed-row">
      <${NumberInput} id=${id} min=${0} max=${SEEDS - 1} value=${form.seed.value} placeholder=${t('seed.random')}
        aria-describedby=${`${id}-hint`} onChange=${set} />
      <${IconButton} icon="dice" label=${t('seed.roll')} onClick=${() => {
        form.seed.value = randomSeed();
      }} />
      <${IconButton} icon=${locked ? 'lock' : 'unlock'} label=${t('seed.lock')} pressed=${locked} onClick=${lock} />
    </div>
    <small id=${`${id}-hint`} class="soft">${t(locked ? 'seed.locked' : 'seed.free')}</small>
  </div>`;
}
