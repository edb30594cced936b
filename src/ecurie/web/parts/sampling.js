/** Steps, guidance and what else is seldom changed. */
import { schedulers } from '../lib/catalogue.js';
import { HIRES, form, model, size } from '../lib/form.js';
import { t } from '../lib/i18n.js';
import { html } from '../lib/ui.js';
import { Check, Choice, Select } from './fields.js';
import { Icon } from './icon.js';
import { Slider } from './number.js';

const set = (name) => (value) => {
  form[name].value = value;
};

export function Sampling() {
  const scheduler = schedulers.value.find((one) => one.id === form.scheduler.value);
  const options = schedulers.value.map(({ id, label }) => ({ value: id, label: id === 'default' ? t('scheduler.own') : label }));
  return html`<div class="stack-4">
    <${Slider} label=${t('steps.label')} min=${1} max=${60} step=${1} most=${scheduler?.max_steps ?? 150}
      value=${form.steps.value} onChange=${set('steps')} />
    <${Slider} label=${t('guidance.label')} min=${1} max=${15} step=${0.5} most=${30}
      value=${form.guidance.value} onChange=${set('guidance')} />
    <${Select} label=${t('scheduler.label')} value=${form.scheduler.value} options=${options} onChange=${set('scheduler')} />
    <${FineTuning} />
  </div>`;
}

function FineTuning() {
  const skip = form.clipSkip.value ?? model.value?.clip_skip ?? 2;
  return html`<details class="more">
    <summary><${Icon} name="sliders" size=${18} />${t('more.label')}</summary>
    <div class="stack-4">
      <${Slider} label=${t('clipSkip.label')} min=${1} max=${12} step=${1} value=${skip} onChange=${set('clipSkip')} />
      ${model.value?.prompt_prefix &&
      html`<${Check} label=${t('prefix.label')} hint=${model.value.prompt_prefix} checked=${form.prefix.value} onChange=${set('prefix')} />`}
      <${Choice} label=${t('format.label')} value=${form.format.value} onChange=${set('format')}
        options=${['png', 'webp', 'jpeg'].map((value) => ({ value, label: value.toUpperCase() }))} />
      ${form.format.value !== 'png' &&
      html`<${Slider} label=${t('quality.label')} min=${1} max=${100} step=${1} value=${form.quality.value} onChange=${set('quality')} />`}
      <${Choice} label=${t('priority.label')} value=${form.priority.value} onChange=${set('priority')}
        options=${['interactive', 'normal', 'batch'].map((value) => ({ value, label: t(`priority.${value}`) }))} />
      <${Hires} />
    </div>
  </details>`;
}

/** A second, larger pass. */
function Hires() {
  const hires = form.hires.value;
  const change = (changes) => {
    form.hires.value = { ...hires, ...changes };
  };
  if (form.start.value) return html`<p class="soft">${t('hires.notWithStart')}</p>`;
  return html`<div class="stack-3">
    <${Check} label=${t('hires.label')} hint=${t('hires.hint')} checked=${hires !== null}
      onChange=${(on) => {
        form.hires.value = on ? HIRES : null;
      }} />
    ${hires &&
    html`<${Slider} label=${t('hires.scale')} min=${1} max=${4} step=${0.25} value=${hires.scale ?? hires.width / size.value.width}
        onChange=${(scale) => change({ scale, width: undefined, height: undefined })} />
      <${Slider} label=${t('hires.strength')} min=${0.05} max=${1} step=${0.05} value=${hires.strength} onChange=${(strength) => change({ strength })} />
      <${Choice} label=${t('hires.upscaler')} value=${hires.upscaler} onChange=${(upscaler) => change({ upscaler })}
        options=${['lanczos', 'latent'].map((value) => ({ value, label: t(`hires.${value}`) }))} />`}
  </div>`;
}
