/** What runs, what waits, and what came of it. */
import { epoch } from '../lib/api.js';
import { t } from '../lib/i18n.js';
import { hasEnded, isMine } from '../lib/jobs.js';
import { every } from '../lib/polling.js';
import { listed, lookAtQueue } from '../lib/queue.js';
import { html, useEffect, useState } from '../lib/ui.js';
import { Choice } from '../parts/fields.js';
import { EndedJob, RunningJob, WaitingJob } from '../parts/queue-jobs.js';

const LOOK_MS = 1500;
const MOST_ENDED = 30;

export function Queue() {
  const [whose, setWhose] = useState('all');
  useEffect(() => every(LOOK_MS, lookAtQueue), [epoch.value]);
  const jobs = listed.value;
  if (!jobs) return html`<div class="page"><h1>${t('view.queue')}</h1><p class="empty" aria-busy="true">${t('loading')}</p></div>`;
  const shown = whose === 'all' ? jobs : jobs.filter((job) => isMine(job.id));
  const running = shown.filter((job) => !hasEnded(job) && job.state !== 'queued');
  const waiting = shown.filter((job) => job.state === 'queued').sort((a, b) => a.queue_position - b.queue_position);
  const ended = shown.filter(hasEnded).slice(0, MOST_ENDED);
  return html`<div class="page queue">
    <header class="page-head">
      <h1>${t('view.queue')}</h1>
      <${Choice} quiet label=${t('queue.whose')} value=${whose} onChange=${setWhose}
        options=${['all', 'mine'].map((value) => ({ value, label: t(`queue.${value}`) }))} />
    </header>
    <${Part} title=${t('queue.running')} empty=${t('queue.nothingRuns')} jobs=${running} component=${RunningJob} />
    <${Part} title=${t('queue.waiting')} empty=${t('queue.nothingWaits')} jobs=${waiting} component=${WaitingJob} ordered />
    ${ended.length > 0 && html`<${Part} title=${t('queue.ended')} jobs=${ended} component=${EndedJob} />`}
  </div>`;
}

function Part({ title, empty, jobs, component, ordered = false }) {
  const items = jobs.map((job) => html`<li key=${job.id}><${component} job=${job} /></li>`);
  return html`<section class="queue-part" aria-label=${title}>
    <h2>${title}</h2>
    ${!jobs.length && html`<p class="soft">${empty}</p>`}
    ${ordered ? html`<ol class="queue-list">${items}</ol>` : html`<ul class="queue-list">${items}</ul>`}
  </section>`;
}
