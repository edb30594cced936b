/** Where pictures are asked for, and seen as they come. */
import { t } from '../lib/i18n.js';
import { html } from '../lib/ui.js';
import { Adapters } from '../parts/adapters.js';
import { GenerateBar } from '../parts/generate-bar.js';
import { Model } from '../parts/model.js';
import { Pictures } from '../parts/pictures.js';
import { Prompt } from '../parts/prompt.js';
import { Sampling } from '../parts/sampling.js';
import { Seed } from '../parts/seed.js';
import { Size } from '../parts/size.js';
import { Stage } from '../parts/stage.js';

export function Create() {
  return html`<h1 class="hidden-text">${t('view.create')}</h1>
    <div class="create">
      <form class="controls" aria-label=${t('controls')} onSubmit=${(event) => event.preventDefault()}>
        <div class="controls-scroll">
          <${Prompt} />
          <${Model} />
          <${Adapters} />
          <section class="section" aria-label=${t('shape.section')}>
            <h2>${t('shape.section')}</h2>
            <${Size} />
            <${Seed} />
            <${Sampling} />
          </section>
          <${Pictures} />
        </div>
        <${GenerateBar} />
      </form>
      <${Stage} />
    </div>`;
}
