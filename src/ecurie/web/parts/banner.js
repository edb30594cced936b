/** Said above everything while the server is away. */
import { online } from '../lib/api.js';
import { t } from '../lib/i18n.js';
import { html } from '../lib/ui.js';

export function OfflineBanner() {
  return html`<div role="status" class="banner-place">
    ${!online.value && html`<p class="banner"><span class="pulse" aria-hidden="true"></span>${t('offline')}</p>`}
  </div>`;
}
