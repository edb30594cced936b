/** A sweep as a grid that fills while its pictures are made. */
import { Problem, epoch, get, ignoreRefusals, send } from '../lib/api.js';
import { download, trying } from '../lib/acting.js';
import { t } from '../lib/i18n.js';
import { every } from '../lib/polling.js';
import { href } from '../lib/router.js';
import { axisName, valueName } from '../lib/sweep.js';
import { html, useEffect, useState } from '../lib/ui.js';
import { Button } from './button.js';
import { Icon } from './icon.js';
import { KeyedImage } from './keyed-image.js';

const LOOK_MS = 1500;
const ENDED = new Set(['succeeded', 'failed', 'cancelled']);

/** @param {{id: string}} props */
export function SweepGrid({ id }) {
  const [sweep, setSweep] = useState(null);
  const [missing, setMissing] = useState('');
  useEffect(() => {
    const stop = every(LOOK_MS, async () => {
      try {
        const found = await get(`/sweeps/${id}`);
        setSweep(found);
        if (ENDED.has(found.state)) stop();
      } catch (error) {
        ignoreRefusals(error);
        if (!(error instanceof Problem) || error.status !== 404) return;
        setMissing(error.message);
        stop();
      }
    });
    return stop;
  }, [id, epoch.value]);
  if (missing) return html`<div class="empty"><p class="display">${t('sweep.unknown')}</p><p>${missing}</p><a class="button" href=${href('sweep')}>${t('sweep.new')}</a></div>`;
  if (!sweep) return html`<p class="empty" aria-busy="true">${t('loading')}</p>`;
  const cancel = async () => {
    const left = await trying(() => send('DELETE', `/sweeps/${id}`));
    if (left) setSweep(left);
  };
  return html`<div class="sweep-result">
    <header class="sweep-result-head">
      <div><h1 class="sweep-prompt">${sweep.request.prompt}</h1><${Counts} sweep=${sweep} /></div>
      <div class="actions">
        ${!ENDED.has(sweep.state) && html`<${Button} icon="stop" onClick=${cancel}>${t('sweep.cancel')}<//>`}
        <${Button} icon="download" onClick=${() => trying(() => download(sweep.grid_url, `sweep-${id.slice(0, 8)}.png`))}>${t('sweep.download')}<//>
        <a class="button" href=${href('sweep')}><${Icon} name="plus" size=${18} />${t('sweep.new')}</a>
      </div>
    </header>
    <div class="sweep-scroll" role="region" aria-label=${t('sweep.grid')} tabindex="0"><${Table} sweep=${sweep} /></div>
  </div>`;
}

function Counts({ sweep }) {
  const { counts, cells } = sweep;
  const told = ['running', 'preparing', 'queued', 'failed', 'cancelled'].filter((state) => counts[state]);
  const parts = [t('sweep.done', { n: counts.succeeded ?? 0, total: cells.length }), ...told.map((state) => t(`sweep.state.${state}`, { count: counts[state] }))];
  return html`<p class="soft numbers" role="status">${parts.join(' · ')}</p>`;
}

function Table({ sweep }) {
  const { x, y, cells } = sweep;
  const rows = y?.values ?? [null];
  return html`<table class="sweep-table" style=${{ '--columns': x.values.length }}>
    <caption class="hidden-text">${y ? t('sweep.caption', { x: axisName(x.field), y: axisName(y.field) }) : axisName(x.field)}</caption>
    <thead>
      <tr>
        ${y && html`<td class="sweep-corner">${axisName(y.field)} ↓<br />${axisName(x.field)} →</td>`}
        ${x.values.map((value, column) => html`<th key=${column} scope="col">${y ? '' : html`<small>${axisName(x.field)}</small> `}${valueName(x.field, value)}</th>`)}
      </tr>
    </thead>
    <tbody>
      ${rows.map(
        (value, row) => html`<tr key=${row}>
          ${y && html`<th scope="row">${valueName(y.field, value)}</th>`}
          ${cells.slice(row * x.values.length, (row + 1) * x.values.length).map((cell) => html`<td key=${cell.job_id}><${Cell} cell=${cell} request=${sweep.request} /></td>`)}
        </tr>`,
      )}
    </tbody>
  </table>`;
}

function Cell({ cell, request }) {
  const { image, state, error } = cell;
  if (image) {
    return html`<a href=${href(`gallery/${cell.job_id}/0`)}><${KeyedImage} class="picture" src=${image.thumbnail_url} width=${image.width} height=${image.height} loading="lazy"
      alt=${t('image.alt', { prompt: image.metadata.prompt })} /></a>`;
  }
  const ratio = request.width && request.height ? request.width / request.height : 1;
  return html`<div class=${`sweep-cell sweep-cell-${state}`} style=${{ '--ratio': ratio }} title=${error?.message}>
    ${state === 'failed' || state === 'cancelled' ? html`<${Icon} name=${state === 'failed' ? 'warning' : 'stop'} />` : html`<span class="pulse" aria-hidden="true"></span>`}
    <small>${t(`sweep.cell.${state}`)}</small>${error && html`<small class="hidden-text">${error.message}</small>`}
  </div>`;
}
