/** How large, and which way up. */
import { form, model, size } from '../lib/form.js';
import { t } from '../lib/i18n.js';
import { sizesFor } from '../lib/sizes.js';
import { classes, html } from '../lib/ui.js';
import { IconButton } from './button.js';
import { NumberInput } from './number.js';

const SIDE = { min: 64, max: 8192, step: 8 };

export function Size() {
  const { width, height } = size.value;
  const wide = width > height;
  const set = (changes) => {
    form.size.value = { width, height, ...changes };
  };
  const turn = () => set({ width: height, height: width });
  return html`<fieldset class="size">
    <legend class="label">${t('size.label')}</legend>
    <div class="size-row">
      <div class="ratios">
        ${sizesFor(model.value?.size, wide).map(
          (one) => html`<${Ratio}
            key=${one.name}
            size=${one}
            chosen=${one.width === width && one.height === height}
            onChoose=${() => set({ width: one.width, height: one.height })}
          />`,
        )}
      </div>
      <div class="sides">
        <${NumberInput} ...${SIDE} aria-label=${t('size.width')} value=${width} onChange=${(value) => set({ width: value })} />
        <${IconButton} icon="swap" label=${t('size.turn')} onClick=${turn} disabled=${width === height} />
        <${NumberInput} ...${SIDE} aria-label=${t('size.height')} value=${height} onChange=${(value) => set({ height: value })} />
      </div>
    </div>
  </fieldset>`;
}

function Ratio({ size: { name, width, height }, chosen, onChoose }) {
  const long = Math.max(width, height);
  const frame = { width: `${(width / long) * 20}px`, height: `${(height / long) * 20}px` };
  return html`<button
    type="button"
    class=${classes('ratio', chosen && 'ratio-chosen')}
    aria-pressed=${chosen}
    title=${`${width} × ${height}`}
    onClick=${onChoose}
  >
    <span class="ratio-frame"><span style=${frame}></span></span><span class="numbers">${name}</span>
  </button>`;
}
