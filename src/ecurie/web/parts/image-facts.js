/** Everything that made an image. */
import { models } from '../lib/catalogue.js';
import { nameOf, shown, weightText } from '../lib/differences.js';
import { dateTime, duration } from '../lib/format.js';
import { t } from '../lib/i18n.js';
import { html } from '../lib/ui.js';
import { Icon } from './icon.js';
import { KeyedImage } from './keyed-image.js';

const SETTINGS = ['seed', 'steps', 'guidance_scale', 'scheduler', 'clip_skip', 'strength', 'hires', 'ip_strength', 'preset'];
const RARE = ['prompt_syntax', 'prediction_type', 'zero_snr', 'guidance_rescale', 'accelerate', 'resize', 'mask_blur', 'ip_adapter', 'format'];
const TIMINGS = ['queue', 'prepare', 'switch', 'encode', 'denoise', 'decode', 'save'];

export function ImageFacts({ job, image }) {
  const { metadata } = image;
  const { report, prompt, timings } = job.result;
  return html`<div class="facts-all">
    <${Words} job=${job} typed=${metadata.prompt} final=${prompt} />
    <section aria-label=${t('facts.made')}>
      <h2>${t('facts.made')}</h2>
      <dl class="facts-list">
        <${Fact} name=${t('setting.model')}>${models.value?.find((one) => one.id === metadata.model)?.name ?? metadata.model}<//>
        <${Fact} name=${t('setting.size')}>${image.width} × ${image.height}<//>
        ${SETTINGS.filter((name) => used(metadata, name)).map((name) => html`<${Fact} key=${name} name=${nameOf(name)}>${name === 'scheduler' ? schedulerText(metadata, report) : shown(metadata[name])}<//>`)}
      </dl>
    </section>
    <${Stack} report=${report} />
    <${Brought} metadata=${metadata} />
    ${report.warnings.length > 0 && html`<${Notes} texts=${report.warnings} />`}
    <details class="facts-more">
      <summary>${t('facts.times', { time: duration(drawn(timings)) })}</summary>
      <dl class="facts-list">${TIMINGS.map((name) => html`<${Fact} key=${name} name=${t(`timing.${name}`)}>${duration(timings[name])}<//>`)}</dl>
    </details>
    <details class="facts-more">
      <summary>${t('facts.more')}</summary>
      <dl class="facts-list">
        <${Fact} name=${t('facts.at')}>${dateTime(job.created_at)}<//>
        ${RARE.filter((name) => used(metadata, name)).map((name) => html`<${Fact} key=${name} name=${nameOf(name)}>${shown(metadata[name])}<//>`)}
        <${Fact} name=${t('facts.device')}>${report.device}, ${report.dtype}<//>
        ${Object.entries(report.versions).map(([name, version]) => html`<${Fact} key=${name} name=${name}>${version}<//>`)}
        <${Fact} name=${t('facts.file')}><span class="facts-code">${image.filename}</span><//>
        <${Fact} name=${t('facts.job')}><span class="facts-code">${job.id}</span><//>
      </dl>
    </details>
  </div>`;
}

const used = (metadata, name) =>
  metadata[name] !== null && metadata[name] !== undefined && metadata[name] !== false && !(name.startsWith('ip_') && !metadata.ip_strength);

const drawn = (timings) => TIMINGS.filter((name) => name !== 'queue').reduce((sum, name) => sum + timings[name], 0);

const schedulerText = (metadata, report) =>
  metadata.scheduler === 'default' ? report.scheduler.replace(/(Discrete|Multistep)?Scheduler$/, '') : metadata.scheduler;

function Fact({ name, children }) {
  return html`<div><dt>${name}</dt><dd>${children}</dd></div>`;
}

function Words({ job, typed, final }) {
  const { negative_prompt: negative } = job.request;
  return html`<section aria-label=${t('image.prompt')}>
    <h2 class="hidden-text">${t('image.prompt')}</h2>
    <p class="facts-prompt">${typed}</p>
    ${final !== typed && html`<p class="facts-words"><span class="label">${t('facts.final')}</span>${final}</p>`}
    ${negative && html`<p class="facts-words"><span class="label">${t('setting.negative_prompt')}</span>${negative}</p>`}
  </section>`;
}

function Stack({ report }) {
  if (!report.adapters.length) return null;
  return html`<section aria-label=${t('facts.adapters')}>
    <h2>${t('facts.adapters')}</h2>
    <ul class="facts-stack">
      ${report.adapters.map(
        (one) => html`<li key=${one.name}>
          <p><strong>${one.name}</strong><span class="numbers">${weightText(one)}</span></p>
          <p class="soft"><small>${t('facts.modules', { count: one.modules })} · ${Object.keys(one.algorithms).join(', ')}</small></p>
          ${one.triggers.length > 0 && html`<p class="soft"><small>${t('facts.triggers', { words: one.triggers.join(', ') })}</small></p>`}
          <${Notes} texts=${[...one.warnings, ...unmatched(one)]} />
        </li>`,
      )}
    </ul>
  </section>`;
}

const unmatched = ({ unmatched: left }) => (left ? [t('facts.unmatched', { count: left.keys + left.modules })] : []);

function Notes({ texts }) {
  if (!texts.length) return null;
  return html`<ul class="facts-notes">${texts.map((text) => html`<li key=${text}><${Icon} name="warning" size=${15} />${text}</li>`)}</ul>`;
}

/** Pictures that the request brought. */
function Brought({ metadata }) {
  const pictures = [
    [metadata.init_image, t('facts.start')],
    [metadata.mask, t('facts.mask')],
    ...(metadata.ip_strength ? metadata.reference_images : []).map((id) => [id, t('facts.reference')]),
  ].filter(([id]) => id);
  if (!pictures.length) return null;
  return html`<section aria-label=${t('facts.pictures')}>
    <h2>${t('facts.pictures')}</h2>
    <ul class="facts-pictures">
      ${pictures.map(([id, name]) => html`<li key=${name + id}><${KeyedImage} src=${`/images/${id}`} alt="" /><small>${name}</small></li>`)}
    </ul>
  </section>`;
}
