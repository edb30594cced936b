/** What `say` was told, for a moment at the edge of the screen. */
import { t } from '../lib/i18n.js';
import { said } from '../lib/say.js';
import { html, useEffect } from '../lib/ui.js';
import { IconButton } from './button.js';

const NOTE_MS = 5000;

export function Toast() {
  const { text, kind, id } = said.value ?? {};
  useEffect(() => {
    if (kind !== 'note') return undefined;
    const timer = setTimeout(() => {
      said.value = null;
    }, NOTE_MS);
    return () => clearTimeout(timer);
  }, [id]);
  const close = () => {
    said.value = null;
  };
  return html`<div class="toast-place" role="status" aria-live="polite">
    ${text &&
    html`<p class=${`toast toast-${kind}`}>
      <span>${text}</span><${IconButton} icon="close" label=${t('close')} onClick=${close} />
    </p>`}
  </div>`;
}
