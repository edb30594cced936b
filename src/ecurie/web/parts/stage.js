/** The pictures: the job that is shown, and those of this window beside it. */
import { t } from '../lib/i18n.js';
import { chosen, hasEnded, jobs, shownJob } from '../lib/jobs.js';
import { phase } from '../lib/phases.js';
import { html } from '../lib/ui.js';
import { Failure } from './failure.js';
import { Filmstrip } from './filmstrip.js';
import { Running } from './running.js';
import { Result } from './result.js';

export function Stage() {
  const job = shownJob.value;
  return html`<section class="stage" aria-label=${t('stage.section')}>
    <div class="stage-main">${job ? html`<${Shown} key=${job.id} job=${job} />` : html`<${Welcome} />`}</div>
    ${jobs.value.length > 1 && html`<${Filmstrip} jobs=${jobs.value} shown=${job} onChoose=${(id) => {
      chosen.value = id;
    }} />`}
    <p class="hidden-text" role="status">${job && announced(job)}</p>
  </section>`;
}

function Shown({ job }) {
  if (!hasEnded(job)) return html`<${Running} job=${job} />`;
  return job.result ? html`<${Result} job=${job} />` : html`<${Failure} job=${job} />`;
}

/** Each phase once, and the end. */
function announced(job) {
  if (!hasEnded(job)) return phase(job);
  return t(`ended.${job.state}`, { count: job.result?.images.length ?? 0 });
}

function Welcome() {
  return html`<div class="welcome">
    <div class="welcome-frame" aria-hidden="true"></div>
    <p class="display">${t('welcome.title')}</p>
    <p class="soft">${t('welcome.text')}</p>
  </div>`;
}
