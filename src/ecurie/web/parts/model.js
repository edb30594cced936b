/** The model in use, and the cards to choose another from. */
import { models, presets } from '../lib/catalogue.js';
import { form, model, usePreset } from '../lib/form.js';
import { t } from '../lib/i18n.js';
import { say } from '../lib/say.js';
import { classes, html, useState } from '../lib/ui.js';
import { Dialog } from './dialog.js';
import { Icon } from './icon.js';
import { Thumbnail } from './thumbnail.js';

export function Model() {
  const [choosing, setChoosing] = useState(false);
  const chosen = model.value;
  if (!chosen) return html`<p class="model-now card soft" aria-busy=${!models.value}>${t(models.value ? 'model.none' : 'loading')}</p>`;
  const choose = (id) => {
    form.model.value = id;
    setChoosing(false);
  };
  return html`<div class="model">
    <button type="button" class="model-now card" aria-haspopup="dialog" onClick=${() => setChoosing(true)}>
      <${Thumbnail} name=${chosen.name} />
      <span class="model-text">
        <span class="label">${t('model.label')}</span>
        <span class="model-name">${chosen.name}</span>
      </span>
      <${Icon} name="chevron" />
    </button>
    ${chosen.unavailable && html`<p class="problem">${chosen.unavailable}</p>`}
    ${presets.value.length > 0 && html`<${Presets} />`}
    ${choosing &&
    html`<${Dialog} title=${t('model.choose')} wide onClose=${() => setChoosing(false)}>
      <ul class="model-cards">
        ${models.value.map((one) => html`<li key=${one.id}><${Card} model=${one} chosen=${one === chosen} onChoose=${choose} /></li>`)}
      </ul>
    <//>`}
  </div>`;
}

function Card({ model: one, chosen, onChoose }) {
  const [width, height] = one.size ?? [1024, 1024];
  return html`<button
    type="button"
    class=${classes('model-card', chosen && 'model-card-chosen')}
    aria-pressed=${chosen}
    disabled=${one.unavailable !== null}
    onClick=${() => onChoose(one.id)}
  >
    <${Thumbnail} name=${one.name} />
    <span class="model-text">
      <span class="model-name">${one.name}</span>
      <span class="soft numbers">${width} × ${height}</span>
      <span class="soft">${one.license ?? t('license.unknown')}</span>
      <${Availability} thing=${one} />
    </span>
  </button>`;
}

/** Of a model or an adapter: here, to be downloaded first, or why it cannot be used. */
export function Availability({ thing }) {
  if (thing.unavailable) return html`<span class="state state-bad"><${Icon} name="warning" size=${15} />${thing.unavailable}</span>`;
  if (!thing.downloaded) return html`<span class="state"><${Icon} name="download" size=${15} />${t('download.first')}</span>`;
  return html`<span class="state state-good"><${Icon} name="check" size=${15} />${t('download.here')}</span>`;
}

function Presets() {
  const use = (preset) => {
    usePreset(preset);
    say(t('preset.used', { name: preset.name }));
  };
  return html`<div class="presets">
    <span class="label" id="presets">${t('preset.label')}</span>
    <ul class="chips" aria-labelledby="presets">
      ${presets.value.map(
        (preset) => html`<li key=${preset.id}>
          <button type="button" class="chip" onClick=${() => use(preset)}>${preset.name}</button>
        </li>`,
      )}
    </ul>
  </div>`;
}
