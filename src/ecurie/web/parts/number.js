/** Numbers: typed, or drawn along a line. */
import { html, useEffect, useId, useRef } from '../lib/ui.js';

const within = (value, min, max) => Math.min(max, Math.max(min, value));
const decimals = (step) => (String(step).split('.')[1] ?? '').length;

/** Takes what was typed when it is left, within its limits; what is no number changes nothing. */
export function NumberInput({ value, min, max, step = 1, onChange, ...rest }) {
  const element = useRef(null);
  // While it is typed in, it is the user's.
  useEffect(() => {
    if (document.activeElement !== element.current) element.current.value = value ?? '';
  });
  const take = () => {
    const typed = element.current.valueAsNumber;
    const taken = Number.isNaN(typed) ? value : within(Number((Math.round(typed / step) * step).toFixed(decimals(step))), min, max);
    element.current.value = taken ?? '';
    if (taken !== value) onChange(taken);
  };
  const onInput = () => {
    const typed = element.current.valueAsNumber;
    if (typed >= min && typed <= max && element.current.validity.valid) onChange(typed);
  };
  return html`<input
    ref=${element}
    class="input number numbers"
    type="number"
    inputmode="decimal"
    min=${min}
    max=${max}
    step=${step}
    onInput=${onInput}
    onBlur=${take}
    ...${rest}
  />`;
}

/** A line to draw along and a number to type; the number may go further, to `least` and `most`. `bare`: its label is for screen readers. */
export function Slider({ label, value, min, max, step, least = min, most = max, onChange, small = false, bare = false, disabled }) {
  const id = useId();
  const shown = within(value, min, max);
  const part = (at) => `${((at - min) / (max - min)) * 100}%`;
  // What is filled begins at zero, where that is on the line.
  const zero = within(0, min, max);
  const filled = { '--from': part(Math.min(zero, shown)), '--to': part(Math.max(zero, shown)) };
  return html`<div class=${small ? 'slider slider-small' : 'slider'}>
    <label class=${bare ? 'hidden-text' : 'label'} for=${id}>${label}</label>
    <input
      id=${id}
      class="range"
      type="range"
      style=${filled}
      min=${min}
      max=${max}
      step=${step}
      value=${shown}
      disabled=${disabled}
      onInput=${(event) => onChange(event.target.valueAsNumber)}
    />
    <${NumberInput} aria-label=${label} value=${value} min=${least} max=${most} step=${step} disabled=${disabled} onChange=${onChange} />
  </div>`;
}
