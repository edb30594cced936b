/** Where the picture to start from is drawn anew. */
import { form } from '../lib/form.js';
import { t } from '../lib/i18n.js';
import { html, useState } from '../lib/ui.js';
import { Button, IconButton } from './button.js';
import { KeyedImage } from './keyed-image.js';
import { Slider } from './number.js';

export function Mask() {
  const [Editor, setEditor] = useState(null);
  const mask = form.mask.value;
  const open = async () => {
    const { MaskEditor } = await import('./mask-editor.js');
    setEditor(() => MaskEditor);
  };
  const close = () => setEditor(null);
  return html`<div class="mask" role="group" aria-label=${t('mask.label')}>
    <div class="brought-head">
      <h3>${t('mask.label')}</h3>
      ${mask && html`<${IconButton} icon="trash" label=${t('mask.remove')} onClick=${() => {
        form.mask.value = null;
      }} />`}
    </div>
    ${mask && html`<${KeyedImage} class="mask-picture" src=${mask.url} alt=${t('mask.alt')} />`}
    ${!mask && html`<p class="soft"><small>${t('mask.why')}</small></p>`}
    <${Button} icon="brush" onClick=${open}>${t(mask ? 'mask.change' : 'mask.paint')}<//>
    ${mask && html`<${Slider} small label=${t('mask.blur')} min=${0} max=${64} step=${1} value=${form.maskBlur.value}
      onChange=${(value) => {
        form.maskBlur.value = value;
      }} />`}
    ${Editor && html`<${Editor} start=${form.start.value} mask=${mask} onClose=${close} />`}
  </div>`;
}
