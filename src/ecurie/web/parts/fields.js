/** Fields of forms, each with its label. */
import { html, useId } from '../lib/ui.js';

/** A label above what it names; `hint` is read with it. */
export function Field({ label, hint, children }) {
  const id = useId();
  return html`<div class="field">
    <label class="label" for=${id}>${label}</label>
    ${children(id, hint && `${id}-hint`)} ${hint && html`<small id=${`${id}-hint`} class="soft">${hint}</small>`}
  </div>`;
}

/** @param {{options: {value: string, label: string}[]}} props */
export function Select({ label, hint, value, options, onChange }) {
  return html`<${Field} label=${label} hint=${hint}>${(id, hintId) => html`<select
    id=${id}
    class="select"
    aria-describedby=${hintId}
    onChange=${(event) => onChange(event.target.value)}
  >
    ${options.map((option) => html`<option key=${option.value} value=${option.value} selected=${option.value === value}>${option.label}</option>`)}
  </select>`}<//>`;
}

/** One of a few, side by side. */
export function Choice({ label, value, options, onChange, quiet = false }) {
  const name = useId();
  return html`<fieldset class="choice">
    <legend class=${quiet ? 'hidden-text' : 'label'}>${label}</legend>
    <div class="choice-row">
      ${options.map(
        (option) => html`<label key=${option.value} class="choice-one">
          <input
            type="radio"
            class="hidden-text"
            name=${name}
            checked=${option.value === value}
            onChange=${() => onChange(option.value)}
          />
          <span>${option.label}</span>
        </label>`,
      )}
    </div>
  </fieldset>`;
}

export function Check({ label, hint, checked, onChange }) {
  return html`<label class="check">
    <input type="checkbox" checked=${checked} onChange=${(event) => onChange(event.target.checked)} />
    <span>${label}${hint && html`<small>${hint}</small>`}</span>
  </label>`;
}
