/** All adapters, searched, to be put into the stack. */
import { loras, thumbnailOf } from '../lib/catalogue.js';
import { addAdapter, form, model, removeAdapter } from '../lib/form.js';
import { t } from '../lib/i18n.js';
import { classes, html, useId, useState } from '../lib/ui.js';
import { Button } from './button.js';
import { Dialog } from './dialog.js';
import { Icon } from './icon.js';
import { Availability } from './model.js';
import { Thumbnail } from './thumbnail.js';

const MOST_SHOWN = 100;

export function AdapterPicker({ onClose }) {
  const [words, setWords] = useState('');
  const field = useId();
  const found = loras.value.filter((lora) => matches(lora, words));
  const inStack = new Set(form.stack.value.map((one) => one.id));
  return html`<${Dialog} title=${t('adapters.choose')} wide onClose=${onClose}>
    <div class="search">
      <label class="hidden-text" for=${field}>${t('adapters.search')}</label>
      <${Icon} name="search" />
      <input id=${field} class="input" type="search" autofocus placeholder=${t('adapters.search')}
        value=${words} onInput=${(event) => setWords(event.target.value)} />
    </div>
    <p class="hidden-text" role="status">${t('adapters.found', { count: found.length })}</p>
    ${found.length === 0 && html`<p class="soft">${t(loras.value.length ? 'adapters.notFound' : 'adapters.noneHere')}</p>`}
    <ul class="lora-cards">
      ${found.slice(0, MOST_SHOWN).map((lora) => html`<li key=${lora.id}><${Card} lora=${lora} chosen=${inStack.has(lora.id)} /></li>`)}
    </ul>
    ${found.length > MOST_SHOWN && html`<p class="soft">${t('adapters.more', { count: found.length - MOST_SHOWN })}</p>`}
    <div class="dialog-foot"><${Button} kind="primary" onClick=${onClose}>${t('done')}<//></div>
  <//>`;
}

/** Every word stands in its name, id or trigger words. */
function matches(lora, words) {
  const text = [lora.name, lora.id, lora.kind, ...lora.trigger_words].join(' ').toLowerCase();
  return words.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

function Card({ lora, chosen }) {
  const suits = model.value?.supported_loras.includes(lora.id);
  return html`<button
    type="button"
    class=${classes('lora-card', chosen && 'lora-card-chosen')}
    aria-pressed=${chosen}
    disabled=${lora.unavailable !== null && !chosen}
    onClick=${() => (chosen ? removeAdapter(lora.id) : addAdapter(lora.id))}
  >
    <${Thumbnail} name=${lora.name} src=${thumbnailOf(lora.id)} />
    <span class="model-text">
      <span class="model-name">${lora.name}</span>
      <span class="soft">${[lora.kind, ...lora.trigger_words].join(' · ')}</span>
      ${suits && html`<span class="state state-good"><${Icon} name="check" size=${15} />${t('adapters.suits')}</span>`}
      ${(lora.unavailable || !lora.downloaded) && html`<${Availability} thing=${lora} />`}
    </span>
    <span class="lora-add"><${Icon} name=${chosen ? 'check' : 'plus'} /></span>
  </button>`;
}
