/** What varies along one side of a sweep, and the values that it takes. */
import { randomSeed } from '../lib/form.js';
import { nameOf } from '../lib/differences.js';
import { t } from '../lib/i18n.js';
import { axes, axisName, fields, kindOf, optionsOf, valuesOf } from '../lib/sweep.js';
import { html, useId } from '../lib/ui.js';
import { Button } from './button.js';
import { Field } from './fields.js';

const SEEDS = 4;

/** @param {{name: 'x' | 'y'}} props */
export function SweepAxis({ name }) {
  const axis = axes[name].value;
  const id = useId();
  const change = (changes) => {
    axes[name].value = { ...axis, ...changes };
  };
  const give = (given) => change({ typed: { ...axis.typed, [axis.field]: given } });
  const { plain, adapters } = fields.value;
  const option = (field, text) => html`<option key=${field} value=${field} selected=${field === axis.field}>${text}</option>`;
  return html`<fieldset class="card sweep-axis">
    <legend class="hidden-text">${t(`sweep.${name}`)}</legend>
    <label class="label" for=${id}>${t(`sweep.${name}`)}</label>
    <select id=${id} class="select" onChange=${(event) => change({ field: event.target.value })}>
      ${name === 'y' && option('', t('sweep.nothing'))}
      <optgroup label=${t('sweep.settings')}>${plain.map((field) => option(field, nameOf(field)))}</optgroup>
      ${adapters.length > 0 && html`<optgroup label=${t('sweep.adapters')}>${adapters.map((field) => option(field, axisName(field)))}</optgroup>`}
    </select>
    ${axis.field && html`<${Values} key=${axis.field} axis=${axis} onGive=${give} />`}
  </fieldset>`;
}

function Values({ axis, onGive }) {
  const { field, typed } = axis;
  const kind = kindOf(field);
  const given = typed[field];
  if (kind === 'list') return html`<${Choices} options=${optionsOf(field)} chosen=${given ?? []} onChoose=${onGive} />`;
  if (kind === 'lines') {
    const hint = t(field === 'prompt_replace' ? 'sweep.replaceHint' : 'sweep.linesHint');
    return html`<${Field} label=${t('sweep.values')} hint=${hint}>${(id, hintId) => html`<textarea
      id=${id} class="textarea" rows="4" aria-describedby=${hintId} defaultValue=${given ?? ''}
      onInput=${(event) => onGive(event.target.value)}
    ></textarea>`}<//>`;
  }
  const { wrong } = valuesOf(axis);
  const roll = () => onGive(Array.from({ length: SEEDS }, randomSeed).join(', '));
  return html`<${Field} label=${t('sweep.values')} hint=${t('sweep.numbersHint')}>${(id, hintId) => html`<input
      id=${id} class="input numbers" inputmode="decimal" autocomplete="off" aria-describedby=${hintId} aria-invalid=${wrong !== null}
      placeholder=${t(`sweep.example.${field.startsWith('lora:') ? 'lora' : field}`)} value=${given ?? ''}
      onInput=${(event) => onGive(event.target.value)}
    />`}<//>
    ${field === 'seed' && html`<${Button} icon="dice" onClick=${roll}>${t('sweep.roll', { count: SEEDS })}<//>`}`;
}

function Choices({ options, chosen, onChoose }) {
  const toggle = (id) => onChoose(chosen.includes(id) ? chosen.filter((one) => one !== id) : [...chosen, id]);
  return html`<ul class="sweep-choices" aria-label=${t('sweep.values')}>
    ${options.map(
      ({ id, name, unavailable }) => html`<li key=${id}><label class="check">
        <input type="checkbox" checked=${chosen.includes(id)} disabled=${Boolean(unavailable)} onChange=${() => toggle(id)} /><span>${name}</span>
      </label></li>`,
    )}
  </ul>`;
}
