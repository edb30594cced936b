/** Jobs as rows of the queue. */
import { loraById, models } from '../lib/catalogue.js';
import { clockTime, dateTime } from '../lib/format.js';
import { t } from '../lib/i18n.js';
import { isMine } from '../lib/jobs.js';
import { outlook } from '../lib/phases.js';
import { setPriority } from '../lib/queue.js';
import { html } from '../lib/ui.js';
import { Button } from './button.js';
import { Choice } from './fields.js';
import { Icon } from './icon.js';
import { KeyedImage } from './keyed-image.js';
import { Progress, stop } from './running.js';

const PRIORITIES = ['interactive', 'normal', 'batch'];

export function RunningJob({ job }) {
  return html`<article class="job card job-running">
    <div class="job-picture">
      ${job.preview ? html`<img class="picture picture-early" src=${job.preview} alt=${t('preview.alt')} />` : html`<div class="easel-empty" aria-hidden="true"></div>`}
    </div>
    <div class="job-text"><${About} job=${job} /><${Progress} job=${job} /></div>
    <${Stop} job=${job} />
  </article>`;
}

export function WaitingJob({ job }) {
  return html`<article class="job card">
    <span class="job-place display numbers" aria-label=${t('queue.place', { n: job.queue_position })}>${job.queue_position}</span>
    <div class="job-text"><${About} job=${job} /><p class="soft numbers">${when(job)}</p></div>
    <${Choice} quiet label=${t('queue.priority')} value=${job.priority} onChange=${(priority) => setPriority(job.id, priority)}
      options=${PRIORITIES.map((value) => ({ value, label: t(`priority.${value}`) }))} />
    <${Stop} job=${job} />
  </article>`;
}

const when = (job) =>
  job.estimated_start ? t('queue.start', { outlook: outlook(job), time: clockTime(job.estimated_start) }) : t('queue.startUnknown');

export function EndedJob({ job }) {
  const image = job.result?.images[0];
  return html`<article class="job card job-ended">
    <div class="job-picture">
      ${image
        ? html`<a href=${image.url} target="_blank" rel="noopener" aria-label=${t('result.open')}><${KeyedImage} class="picture" src=${image.url} alt="" loading="lazy" /></a>`
        : html`<span class=${`failure-mark failure-${job.state}`}><${Icon} name=${job.state === 'failed' ? 'warning' : 'stop'} /></span>`}
    </div>
    <div class="job-text">
      <${About} job=${job} />
      ${job.error && html`<p class="problem">${job.error.message}${job.error.remedy && html`<small>${job.error.remedy}</small>`}</p>`}
      <p class="soft numbers">${t(`ended.${job.state}`, { count: job.result?.images.length ?? 0 })} · ${dateTime(job.finished_at)}</p>
    </div>
  </article>`;
}

/** The prompt, and with what. */
function About({ job }) {
  const { prompt, model, loras, width, height, num_images: count } = job.request;
  const name = models.value?.find((one) => one.id === model)?.name ?? model;
  const adapters = loras.map((lora) => loraById.value.get(lora.name)?.name ?? lora.name);
  return html`<p class="job-prompt">${prompt}${isMine(job.id) && html`<span class="tag">${t('queue.yours')}</span>`}</p>
    <p class="soft numbers">${[name, ...adapters, `${width} × ${height}`, t('count.pictures', { count })].join(' · ')}</p>`;
}

function Stop({ job }) {
  return html`<${Button} icon="stop" class="button-small" aria-label=${t('queue.cancel', { prompt: job.request.prompt })} onClick=${() => stop(job.id)}>
    ${t('cancel')}
  <//>`;
}
