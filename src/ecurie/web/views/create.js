import { t } from '../lib/i18n.js';
import { html } from '../lib/ui.js';

export function Create() {
  return html`<div class="page"><h1>${t('view.create')}</h1></div>`;
}
