/** Where a sweep is put together. */
import { trying } from '../lib/acting.js';
import { shown } from '../lib/differences.js';
import { dateTime } from '../lib/format.js';
import { form, model, size } from '../lib/form.js';
import { t } from '../lib/i18n.js';
import { go, href } from '../lib/router.js';
import { canSend } from '../lib/submitting.js';
import { cells, forgetSweep, obstacle, submitSweep, sweeps } from '../lib/sweep.js';
import { html, useState } from '../lib/ui.js';
import { IconButton } from './button.js';
import { SweepAxis } from './sweep-axis.js';

export function SweepBuilder() {
  const [busy, setBusy] = useState(false);
  const send = async (event) => {
    event.preventDefault();
    setBusy(true);
    const id = await trying(submitSweep);
    setBusy(false);
    if (id) go(`sweep/${id}`);
  };
  return html`<div class="page sweep-page">
    <header class="sweep-head"><h1>${t('sweep.title')}</h1><p class="soft">${t('sweep.why')}</p></header>
    <${Base} />
    <form class="sweep-form" aria-label=${t('sweep.title')} onSubmit=${send}>
      <div class="sweep-axes"><${SweepAxis} name="x" /><${SweepAxis} name="y" /></div>
      <div class="sweep-send">
        <p class="soft" role="status">${obstacle.value ?? t('sweep.pictures', { count: cells.value })}</p>
        <button type="submit" class="button button-primary" disabled=${obstacle.value !== null || busy || !canSend.value}>${t('sweep.start')}</button>
      </div>
    </form>
    <${Earlier} />
  </div>`;
}

/** The request that is varied: what is set in Create. */
function Base() {
  const seed = form.seedLocked.value && form.seed.value !== null ? t('sweep.seed', { seed: String(form.seed.value) }) : t('sweep.oneSeed');
  const facts = [
    model.value?.name,
    ...form.stack.value.filter((one) => one.on).map((one) => `${one.id} ${shown(one.unet)}`),
    `${size.value.width} × ${size.value.height}`,
    t('sweep.steps', { count: form.steps.value }),
    seed,
  ];
  return html`<section class="card sweep-base" aria-label=${t('sweep.base')}>
    <div><h2>${t('sweep.base')}</h2>
      <p class="sweep-prompt">${form.prompt.value.trim() || t('sweep.noPrompt')}</p>
      <p class="soft numbers">${facts.filter(Boolean).join(' · ')}</p></div>
    <a class="button" href=${href('create')}>${t('sweep.change')}</a>
  </section>`;
}

function Earlier() {
  if (!sweeps.value.length) return null;
  return html`<section class="sweep-earlier" aria-label=${t('sweep.earlier')}>
    <h2>${t('sweep.earlier')}</h2>
    <ul>${sweeps.value.map(
      ({ id, prompt, at }) => html`<li key=${id} class="card">
        <a href=${href(`sweep/${id}`)}>${prompt}</a><small class="soft">${dateTime(at)}</small>
        <${IconButton} icon="close" label=${t('sweep.forget', { prompt })} onClick=${() => forgetSweep(id)} />
      </li>`,
    )}</ul>
  </section>`;
}
