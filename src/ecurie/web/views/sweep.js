/** Sweeps: one request with one or two settings varied, as a grid. */
import { route } from '../lib/router.js';
import { styles } from '../lib/styles.js';
import { html } from '../lib/ui.js';
import { SweepBuilder } from '../parts/sweep-builder.js';
import { SweepGrid } from '../parts/sweep-grid.js';

await styles('sweep');

export function Sweep() {
  const [id] = route.value.rest;
  return id ? html`<${SweepGrid} key=${id} id=${id} />` : html`<${SweepBuilder} />`;
}
