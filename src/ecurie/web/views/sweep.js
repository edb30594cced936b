import { t } from '../lib/i18n.js';
import { html } from '../lib/ui.js';

export function Sweep() {
  return html`<div class="page"><h1>${t('view.sweep')}</h1></div>`;
}
