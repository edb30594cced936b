/** Trigger words as chips, below the prompt. */
import { loraById } from '../lib/catalogue.js';
import { form } from '../lib/form.js';
import { t } from '../lib/i18n.js';
import { toggleTrigger, triggers } from '../lib/triggers.js';
import { html } from '../lib/ui.js';
import { Icon } from './icon.js';

const ICONS = { typed: 'check', added: 'wand', out: 'plus' };

export function Triggers() {
  if (!triggers.value.length) return null;
  const automatic = () => {
    form.triggers.value = true;
  };
  return html`<div class="triggers">
    <ul class="chips" aria-label=${t('triggers.label')}>
      ${triggers.value.map((one) => html`<li key=${one.word}><${Chip} trigger=${one} /></li>`)}
    </ul>
    ${!form.triggers.value &&
    html`<button type="button" class="link" onClick=${automatic}>${t('triggers.automatic')}</button>`}
  </div>`;
}

function Chip({ trigger }) {
  const { word, adapter, where } = trigger;
  const name = loraById.value.get(adapter)?.name ?? adapter;
  return html`<button
    type="button"
    class=${`chip chip-${where}`}
    title=${t(`triggers.${where}`, { name })}
    aria-pressed=${where !== 'out'}
    onClick=${() => toggleTrigger(trigger)}
  >
    <${Icon} name=${ICONS[where]} size=${14} />${word}
  </button>`;
}
