/** What to draw, what to avoid, and what the model makes of the words. */
import { form, model } from '../lib/form.js';
import { t } from '../lib/i18n.js';
import { preview } from '../lib/prompt-preview.js';
import { html, useEffect, useId, useLayoutEffect, useRef, useState } from '../lib/ui.js';
import { submitForm } from '../lib/submitting.js';
import { Check } from './fields.js';
import { Icon } from './icon.js';
import { Triggers } from './triggers.js';

export function Prompt() {
  return html`<div class="prompt card">
    <${Words} field=${form.prompt} label=${t('prompt.label')} placeholder=${t('prompt.placeholder')} rows=${3} main />
    <${Triggers} />
    <div class="prompt-foot">
      <${Reading} />
      <${TokenCount} />
    </div>
    <${Negative} />
  </div>`;
}

/** A field that grows with its text. Enter with Ctrl generates. */
function Words({ field, label, placeholder, rows, main = false, disabled }) {
  const id = useId();
  const element = useRef(null);
  useLayoutEffect(() => {
    const area = element.current;
    area.style.height = 'auto';
    area.style.height = `${area.scrollHeight + 2}px`;
  }, [field.value]);
  useEffect(() => {
    // On a phone the keyboard would hide the page.
    if (main && matchMedia('(min-width: 761px)').matches) element.current.focus();
  }, []);
  const onKeyDown = (event) => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) submitForm();
  };
  return html`<div class="words">
    <label class=${main ? 'hidden-text' : 'label'} for=${id}>${label}</label>
    <textarea
      ref=${element}
      id=${id}
      class=${main ? 'words-main' : 'textarea'}
      rows=${rows}
      maxlength="10000"
      placeholder=${placeholder}
      value=${field.value}
      disabled=${disabled}
      onInput=${(event) => {
        field.value = event.target.value;
      }}
      onKeyDown=${onKeyDown}
    />
  </div>`;
}

function TokenCount() {
  const read = preview.value;
  if (!read) return html`<span class="tokens soft numbers"></span>`;
  const parts = Object.values(read.prompt.text_encoders);
  const longest = parts.reduce((a, b) => (b.tokens > a.tokens ? b : a));
  const text =
    longest.chunks.length > 1
      ? t('prompt.chunks', { count: longest.tokens, chunks: longest.chunks.length })
      : t('prompt.tokens', { count: longest.tokens });
  return html`<span class="tokens soft numbers" title=${t('prompt.tokensWhy')}>${text}</span>`;
}

/** The final prompt: prefix, words, triggers. */
function Reading() {
  const read = preview.value;
  if (!read || read.prompt.text === form.prompt.value) return html`<span></span>`;
  return html`<details class="reading">
    <summary><${Icon} name="eye" size=${16} />${t('prompt.reading')}</summary>
    <p>${read.prompt.text}</p>
  </details>`;
}

function Negative() {
  const [open, setOpen] = useState(form.negative.value !== '' || form.negativeOff.value);
  if (!open) {
    return html`<button type="button" class="link negative-open" onClick=${() => setOpen(true)}>
      <${Icon} name="plus" size=${16} />${t('negative.open')}
    </button>`;
  }
  const own = model.value?.default_negative;
  return html`<div class="negative">
    <${Words}
      field=${form.negative}
      label=${t('negative.label')}
      placeholder=${form.negativeOff.value || !own ? t('negative.none') : t('negative.own', { text: own })}
      rows=${2}
      disabled=${form.negativeOff.value}
    />
    <${Check}
      label=${t('negative.off')}
      checked=${form.negativeOff.value}
      onChange=${(on) => {
        form.negativeOff.value = on;
      }}
    />
  </div>`;
}
