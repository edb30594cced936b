import { t } from '../lib/i18n.js';
import { html } from '../lib/ui.js';

export function Gallery() {
  return html`<div class="page"><h1>${t('view.gallery')}</h1></div>`;
}
