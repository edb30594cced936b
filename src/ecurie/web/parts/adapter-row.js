/** An adapter of the stack. */
import { loraById, thumbnailOf } from '../lib/catalogue.js';
import { changeAdapter, form, removeAdapter } from '../lib/form.js';
import { t } from '../lib/i18n.js';
import { warningsOf } from '../lib/reports.js';
import { classes, html, useState } from '../lib/ui.js';
import { IconButton } from './button.js';
import { Grip } from './grip.js';
import { Icon } from './icon.js';
import { Slider } from './number.js';
import { Thumbnail } from './thumbnail.js';

/** How far the line goes; a number may be typed as far as the server takes it. */
const LINE = { min: -2, max: 2, step: 0.05, least: -4, most: 4 };

export function AdapterRow({ adapter, index, onMove, indexAt }) {
  const { id, on } = adapter;
  const [held, setHeld] = useState(false);
  const entry = loraById.value.get(id);
  const name = entry?.name ?? id;
  return html`<li class=${classes('adapter', !on && 'adapter-off', held && 'adapter-held')}>
    <div class="adapter-head">
      <${Grip} label=${t('adapters.move', { name })} index=${index} onMove=${(to) => onMove(id, to)} indexAt=${indexAt} onHold=${setHeld} />
      <${Thumbnail} name=${name} src=${entry && thumbnailOf(id)} />
      <span class="adapter-name">${name}</span>
      <${IconButton} icon="split" label=${t('adapters.split', { name })} pressed=${adapter.split}
        onClick=${() => changeAdapter(id, { split: !adapter.split, text: adapter.unet })} />
      <${IconButton} icon="eye" label=${t('adapters.on', { name })} pressed=${on} onClick=${() => changeAdapter(id, { on: !on })} />
      <${IconButton} icon="trash" label=${t('adapters.remove', { name })} onClick=${() => removeAdapter(id)} />
    </div>
    <${Slider} small bare=${!adapter.split} ...${LINE} label=${adapter.split ? t('adapters.unet', { name }) : t('adapters.weight', { name })}
      value=${adapter.unet} onChange=${(unet) => changeAdapter(id, { unet })} disabled=${!on} />
    ${adapter.split &&
    html`<${Slider} small ...${LINE} label=${t('adapters.text', { name })}
      value=${adapter.text} onChange=${(text) => changeAdapter(id, { text })} disabled=${!on} />`}
    <${Notes} id=${id} entry=${entry} />
  </li>`;
}

/** What the catalogue says against it, and what the last run did. */
function Notes({ id, entry }) {
  const notes = warningsOf(id);
  if (entry?.unavailable) notes.unshift(entry.unavailable);
  else if (!entry) notes.unshift(t('adapters.unknown'));
  if (!notes.length) return null;
  return html`<ul class="adapter-notes">
    ${notes.map((text) => html`<li key=${text}><${Icon} name="warning" size=${15} />${text}</li>`)}
  </ul>`;
}
