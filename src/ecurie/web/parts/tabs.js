/** The way between the views: along the top, on a phone along the bottom. */
import { t } from '../lib/i18n.js';
import { VIEWS, href, route } from '../lib/router.js';
import { html } from '../lib/ui.js';
import { unfinished } from '../lib/load.js';
import { Icon } from './icon.js';

export function Tabs() {
  return html`<nav class="tabs" aria-label=${t('views')}>${VIEWS.map((view) => html`<${Tab} key=${view} view=${view} />`)}</nav>`;
}

function Tab({ view }) {
  const here = route.value.view === view;
  const waiting = view === 'queue' ? unfinished.value : 0;
  return html`<a class="tab" href=${href(view)} aria-current=${here ? 'page' : undefined}>
    <${Icon} name=${view} size=${19} />
    <span>${t(`view.${view}`)}</span>
    ${waiting > 0 &&
    html`<span class="badge" aria-label=${t('queue.unfinished', { count: waiting })}>${waiting}</span>`}
  </a>`;
}
