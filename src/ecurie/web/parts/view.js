/** The view of a name. The first is here with the page, the others come when they are wanted. */
import { t } from '../lib/i18n.js';
import { html, useEffect, useState } from '../lib/ui.js';
import { Create } from '../views/create.js';
import { Button } from './button.js';

const LATER = {
  queue: () => import('../views/queue.js').then((module) => module.Queue),
  gallery: () => import('../views/gallery.js').then((module) => module.Gallery),
  sweep: () => import('../views/sweep.js').then((module) => module.Sweep),
};
const loaded = { create: Create };

export function View({ name }) {
  const [failed, setFailed] = useState(false);
  const [, setReady] = useState('');
  useEffect(() => {
    if (loaded[name]) return;
    setFailed(false);
    LATER[name]().then(
      (component) => {
        loaded[name] = component;
        setReady(name);
      },
      () => setFailed(true),
    );
  }, [name]);
  if (loaded[name]) return html`<${loaded[name]} key=${name} />`;
  if (!failed) return html`<p class="empty" aria-busy="true">${t('loading')}</p>`;
  return html`<div class="empty">
    <p>${t('view.failed')}</p>
    <${Button} icon="retry" onClick=${() => location.reload()}>${t('reload')}<//>
  </div>`;
}
