/** Asks before an image is deleted. */
import { t } from '../lib/i18n.js';
import { html } from '../lib/ui.js';
import { Button } from './button.js';
import { Dialog } from './dialog.js';
import { KeyedImage } from './keyed-image.js';

/** @param {{image: {url: string, prompt?: string}, onConfirm: () => void, onClose: () => void}} props */
export function ConfirmDelete({ image, onConfirm, onClose }) {
  return html`<${Dialog} title=${t('image.deleteTitle')} onClose=${onClose}>
    <div class="confirm">
      <${KeyedImage} class="confirm-picture" src=${image.thumbnail_url ?? image.url} alt="" />
      <p>${t('image.deleteWhat')}</p>
    </div>
    <div class="actions actions-end">
      <${Button} autofocus onClick=${onClose}>${t('keep')}<//>
      <${Button} kind="danger" icon="trash" onClick=${onConfirm}>${t('image.delete')}<//>
    </div>
  <//>`;
}
