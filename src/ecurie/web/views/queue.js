import { t } from '../lib/i18n.js';
import { html } from '../lib/ui.js';

export function Queue() {
  return html`<div class="page"><h1>${t('view.queue')}</h1></div>`;
}
