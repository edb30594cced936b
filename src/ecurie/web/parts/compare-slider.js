/** Two images in one frame: what lies left of the line is of the first. The line is a slider of the browser's own. */
import { t } from '../lib/i18n.js';
import { html, useState } from '../lib/ui.js';
import { Icon } from './icon.js';
import { KeyedImage } from './keyed-image.js';

export function CompareSlider({ a, b, altA, altB }) {
  const [at, setAt] = useState(50);
  return html`<div class="compare-slider" style=${{ '--ratio': a.width / a.height, '--at': `${at}%` }}>
    <${KeyedImage} src=${b.url} alt=${altB} draggable=${false} />
    <${KeyedImage} class="compare-over" src=${a.url} alt=${altA} draggable=${false} />
    <span class="compare-line" aria-hidden="true"><span><${Icon} name="compare" size=${18} /></span></span>
    <input
      type="range"
      min="0"
      max="100"
      step="0.5"
      value=${at}
      aria-label=${t('compare.line')}
      aria-valuetext=${t('compare.share', { n: Math.round(at) })}
      onInput=${(event) => setAt(event.target.valueAsNumber)}
    />
  </div>`;
}
