/** The stack of adapters: their order, weights and warnings. */
import { form, moveAdapter } from '../lib/form.js';
import { t } from '../lib/i18n.js';
import { html, useRef, useState } from '../lib/ui.js';
import { AdapterPicker } from './adapter-picker.js';
import { AdapterRow } from './adapter-row.js';
import { Button } from './button.js';

export function Adapters() {
  const [picking, setPicking] = useState(false);
  const [moved, setMoved] = useState('');
  const list = useRef(null);
  const stack = form.stack.value;

  const move = (id, to) => {
    const last = stack.length - 1;
    const index = Math.max(0, Math.min(to, last));
    moveAdapter(id, index);
    setMoved(t('adapters.moved', { n: index + 1, total: stack.length }));
  };
  /** Which place of the list a height on the screen belongs to. */
  const indexAt = (y) => {
    const middles = [...list.current.children].map((row) => {
      const box = row.getBoundingClientRect();
      return box.top + box.height / 2;
    });
    const below = middles.findIndex((middle) => y < middle);
    return below === -1 ? middles.length - 1 : below;
  };

  return html`<section class="section" aria-label=${t('adapters.section')}>
    <div class="section-head">
      <h2>${t('adapters.section')}</h2>
      <${Button} icon="plus" class="button-small" aria-haspopup="dialog" onClick=${() => setPicking(true)}>${t('adapters.add')}<//>
    </div>
    ${stack.length === 0
      ? html`<p class="soft">${t('adapters.none')}</p>`
      : html`<ol ref=${list} class="adapters">
          ${stack.map((one, index) => html`<${AdapterRow} key=${one.id} adapter=${one} index=${index} onMove=${move} indexAt=${indexAt} />`)}
        </ol>`}
    <p class="hidden-text" role="status">${moved}</p>
    ${picking && html`<${AdapterPicker} onClose=${() => setPicking(false)} />`}
  </section>`;
}
