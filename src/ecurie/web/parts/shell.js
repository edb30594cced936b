/** The frame of every view: navigation, what the whole page must say, and the view itself. */
import { keyWanted } from '../lib/api.js';
import { t } from '../lib/i18n.js';
import { route } from '../lib/router.js';
import { html, useEffect } from '../lib/ui.js';
import { OfflineBanner } from './banner.js';
import { DropAnywhere } from './drop-anywhere.js';
import { Header } from './header.js';
import { KeyDialog } from './key-dialog.js';
import { Tabs } from './tabs.js';
import { Toast } from './toast.js';
import { View } from './view.js';

export function Shell() {
  const { view } = route.value;
  useEffect(() => {
    document.title = `${t(`view.${view}`)} · Écurie`;
  });
  const skip = (event) => {
    event.preventDefault();
    document.getElementById('main').focus();
  };
  return html`
    <a class="skip" href="#main" onClick=${skip}>${t('skip')}</a>
    <${Header} />
    <${OfflineBanner} />
    <main id="main" class=${`main main-${view}`} tabindex="-1"><${View} name=${view} /></main>
    <${Tabs} />
    <${Toast} />
    <${DropAnywhere} />
    ${keyWanted.value && html`<${KeyDialog} reason=${keyWanted.value} />`}
  `;
}
