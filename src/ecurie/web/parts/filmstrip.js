/** The jobs of this window, newest first. */
import { t } from '../lib/i18n.js';
import { hasEnded } from '../lib/jobs.js';
import { share } from '../lib/phases.js';
import { html } from '../lib/ui.js';
import { Icon } from './icon.js';
import { KeyedImage } from './keyed-image.js';

export function Filmstrip({ jobs, shown, onChoose }) {
  return html`<ul class="filmstrip" aria-label=${t('filmstrip')}>
    ${jobs.map(
      (job) => html`<li key=${job.id}>
        <button type="button" aria-pressed=${job === shown} aria-label=${label(job)} title=${job.request.prompt} onClick=${() => onChoose(job.id)}>
          <${Frame} job=${job} />
        </button>
      </li>`,
    )}
  </ul>`;
}

const label = (job) => t(`state.${job.state}`, { prompt: job.request.prompt });

function Frame({ job }) {
  const image = job.result?.images[0];
  if (image) {
    const more = job.result.images.length - 1;
    return html`<${KeyedImage} class="picture" src=${image.url} alt="" loading="lazy" />${more > 0 && html`<span class="frame-more">+${more}</span>`}`;
  }
  if (hasEnded(job)) return html`<${Icon} name=${job.state === 'failed' ? 'warning' : 'stop'} />`;
  return html`${job.preview && html`<img class="picture picture-early" src=${job.preview} alt="" />`}
    <span class="frame-bar"><span style=${{ width: `${(share(job) ?? 0) * 100}%` }}></span></span>`;
}
