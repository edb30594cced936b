/** A job that ended without a picture: why, and what to do. */
import { useSettings } from '../lib/form.js';
import { t } from '../lib/i18n.js';
import { dismiss } from '../lib/jobs.js';
import { html } from '../lib/ui.js';
import { Button } from './button.js';
import { Icon } from './icon.js';

export function Failure({ job }) {
  const { state, error } = job;
  return html`<div class="failure">
    <span class=${`failure-mark failure-${state}`}><${Icon} name=${state === 'failed' ? 'warning' : 'stop'} size=${30} /></span>
    <p class="display">${t(`ended.${state}`, { count: 0 })}</p>
    ${error && html`<p>${error.message}</p>`} ${error?.remedy && html`<p class="soft">${error.remedy}</p>`}
    <p class="soft failure-prompt">${job.request.prompt}</p>
    <div class="actions">
      <${Button} icon="sliders" onClick=${() => useSettings(job.request)}>${t('use.settings')}<//>
      <${Button} icon="trash" onClick=${() => dismiss(job.id)}>${t('dismiss')}<//>
    </div>
  </div>`;
}
