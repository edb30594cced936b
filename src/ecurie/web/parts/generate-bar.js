/** Generate, always within reach; above it what the server did not accept. */
import { online } from '../lib/api.js';
import { form } from '../lib/form.js';
import { t } from '../lib/i18n.js';
import { canSubmit, refusal, sending, submitForm } from '../lib/submitting.js';
import { html } from '../lib/ui.js';
import { Icon } from './icon.js';
import { IconButton } from './button.js';

const MOST = 16;

export function GenerateBar() {
  const problem = refusal.value;
  const generate = () => {
    submitForm();
    // On a phone the picture comes above the form.
    scrollTo({ top: 0 });
  };
  const label = online.value ? t(sending.value ? 'generate.sending' : 'generate.label') : t('generate.away');
  return html`<div class="generate-bar">
    <div role="alert">
      ${problem &&
      html`<p class="refusal">
        <${Icon} name="warning" size=${18} /><span>${problem.message}${problem.remedy && html`<small>${problem.remedy}</small>`}</span>
      </p>`}
    </div>
    <div class="generate-row">
      <${Count} />
      <button type="button" class="button button-primary generate" disabled=${!canSubmit.value} title=${t('generate.keys')} onClick=${generate}>
        <${Icon} name="create" /><span>${label}</span>
      </button>
    </div>
  </div>`;
}

/** How many pictures. */
function Count() {
  const count = form.count.value;
  const set = (value) => {
    form.count.value = value;
  };
  return html`<div class="count" role="group" aria-label=${t('count.label')}>
    <${IconButton} icon="minus" label=${t('count.less')} disabled=${count === 1} onClick=${() => set(count - 1)} />
    <output class="numbers" aria-live="polite">${t('count.pictures', { count })}</output>
    <${IconButton} icon="plus" label=${t('count.more')} disabled=${count === MOST} onClick=${() => set(count + 1)} />
  </div>`;
}
