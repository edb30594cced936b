/** An image that is made once more, and how it compares. */
import { shown } from '../lib/differences.js';
import { t } from '../lib/i18n.js';
import { hasEnded, jobById } from '../lib/jobs.js';
import { href } from '../lib/router.js';
import { html } from '../lib/ui.js';
import { Icon } from './icon.js';
import { Progress } from './running.js';

/** @param {{id: string, original: string}} props the job, and the key of the image that it repeats */
export function Replay({ id, original }) {
  const job = jobById(id);
  if (!job) return null;
  return html`<section class="card replay" aria-label=${t('replay.title')}>
    <h2>${t('replay.title')}</h2>
    ${hasEnded(job) ? html`<${Outcome} job=${job} original=${original} />` : html`<${Progress} job=${job} />`}
  </section>`;
}

function Outcome({ job, original }) {
  if (!job.result) return html`<p class="problem" role="alert">${job.error?.message ?? t('replay.cancelled')}</p>`;
  const { replay } = job.result;
  return html`<p class="replay-verdict" role="status"><${Icon} name=${replay.identical_pixels ? 'check' : 'info'} />${verdict(replay)}</p>
    ${replay.differing.length > 0 &&
    html`<details><summary>${t('replay.differing', { count: replay.differing.length })}</summary>
      <dl class="facts-list">${replay.differing.map(({ what, then, now }) => html`<div key=${what}><dt>${what}</dt><dd>${shown(then)} → ${shown(now)}</dd></div>`)}</dl>
    </details>`}
    <p class="actions">
      <a class="button" href=${href(`gallery/${job.id}/0`)}><${Icon} name="image" size=${18} />${t('replay.open')}</a>
      <a class="button" href=${href(`gallery/compare/${original}/${job.id}/0`)}><${Icon} name="compare" size=${18} />${t('image.compare')}</a>
    </p>`;
}

function verdict({ identical_pixels: same, max_difference: most }) {
  if (same) return t('replay.same');
  return most === null ? t('replay.unknown') : t('replay.differs', { most });
}
