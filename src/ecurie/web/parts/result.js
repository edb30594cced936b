/** The pictures of a job that succeeded, and what can be done with them. */
import { duration } from '../lib/format.js';
import { randomSeed, useSettings, useStart } from '../lib/form.js';
import { t } from '../lib/i18n.js';
import { say } from '../lib/say.js';
import { repeatable } from '../lib/repeating.js';
import { canSend, sendRequest } from '../lib/submitting.js';
import { html, useState } from '../lib/ui.js';
import { Button } from './button.js';
import { Easel } from './easel.js';
import { Icon } from './icon.js';
import { KeyedImage } from './keyed-image.js';

export function Result({ job }) {
  const { images } = job.result;
  const [index, setIndex] = useState(0);
  const image = images[Math.min(index, images.length - 1)];
  return html`<div class="result">
    <${Easel} width=${image.width} height=${image.height}>
      <a href=${image.url} target="_blank" rel="noopener" aria-label=${t('result.open')}>
        <${KeyedImage} class="picture" src=${image.url} width=${image.width} height=${image.height} alt=${t('result.alt', { prompt: job.request.prompt })} />
      </a>
    <//>
    ${images.length > 1 && html`<${Siblings} images=${images} shown=${image} onChoose=${setIndex} />`}
    <p class="caption">${job.request.prompt}</p>
    <p class="facts soft numbers">
      <span>${t('result.seed', { seed: String(image.seed) })}</span><span>${image.width} × ${image.height}</span>
      <span><${Icon} name="clock" size=${15} />${duration(drawingSeconds(job))}</span>
    </p>
    <${Actions} image=${image} />
    <${Warnings} job=${job} />
  </div>`;
}

const drawingSeconds = (job) => (Date.parse(job.finished_at) - Date.parse(job.started_at)) / 1000;

function Siblings({ images, shown, onChoose }) {
  return html`<ul class="siblings" aria-label=${t('result.all')}>
    ${images.map(
      (image, index) => html`<li key=${image.filename}>
        <button type="button" aria-pressed=${image === shown} aria-label=${t('result.number', { n: index + 1 })} onClick=${() => onChoose(index)}>
          <${KeyedImage} class="picture" src=${image.url} alt="" loading="lazy" />
        </button>
      </li>`,
    )}
  </ul>`;
}

function Actions({ image }) {
  const vary = () => sendRequest({ ...repeatable(image.metadata), seed: randomSeed() });
  const startHere = () => {
    useStart({ id: image.filename, url: image.url });
    say(t('use.started'));
  };
  const take = () => {
    useSettings(image.metadata);
    say(t('use.taken'));
  };
  return html`<div class="actions">
    <${Button} icon="dice" disabled=${!canSend.value} onClick=${vary}>${t('use.vary')}<//>
    <${Button} icon="sliders" onClick=${take}>${t('use.settings')}<//>
    <${Button} icon="image" onClick=${startHere}>${t('use.start')}<//>
    <a class="button" href=${image.url} download=${image.filename}><${Icon} name="download" size=${18} /><span>${t('download')}</span></a>
  </div>`;
}

/** Of the whole job; those of an adapter stand beside it. */
function Warnings({ job }) {
  const { warnings } = job.result.report;
  if (!warnings.length) return null;
  return html`<ul class="adapter-notes">
    ${warnings.map((text) => html`<li key=${text}><${Icon} name="warning" size=${15} />${text}</li>`)}
  </ul>`;
}
