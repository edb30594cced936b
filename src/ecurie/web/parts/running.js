/** A job on its way: what it draws by now, how far it is, and a way to stop it. */
import { ignoreRefusals } from '../lib/api.js';
import { t } from '../lib/i18n.js';
import { cancel } from '../lib/jobs.js';
import { howFar, outlook, phase, share } from '../lib/phases.js';
import { sayError } from '../lib/say.js';
import { html } from '../lib/ui.js';
import { Button } from './button.js';
import { Easel } from './easel.js';

export function Running({ job }) {
  const { width, height } = job.request;
  return html`<div class="running">
    <${Easel} width=${width} height=${height}>
      ${job.preview
        ? html`<img class="picture picture-early" src=${job.preview} alt=${t('preview.alt')} />`
        : html`<div class="easel-empty" aria-hidden="true"></div>`}
    <//>
    <${Progress} job=${job} />
    <${Button} icon="stop" onClick=${() => stop(job.id)}>${t('cancel')}<//>
  </div>`;
}

/** The bar, what happens now, and what is left. */
export function Progress({ job }) {
  const part = share(job);
  return html`<div class="progress">
    <div
      class=${part === null ? 'bar bar-waiting' : 'bar'}
      role="progressbar"
      aria-label=${t('progress.label')}
      aria-valuemin="0"
      aria-valuemax="100"
      aria-valuenow=${part === null ? undefined : Math.round(part * 100)}
      aria-valuetext=${[phase(job), howFar(job)].filter(Boolean).join(', ')}
    >
      <span style=${{ width: `${(part ?? 0) * 100}%` }}></span>
    </div>
    <p class="progress-text numbers">
      <strong>${phase(job)}</strong>
      <span>${howFar(job)}</span>
      <span class="soft">${outlook(job)}</span>
    </p>
  </div>`;
}

/** Cancel a job; that it has ended meanwhile is no fault. */
export async function stop(id) {
  try {
    await cancel(id);
  } catch (error) {
    ignoreRefusals(error);
    if (error.code !== 'job-finished') sayError(error);
  }
}
