/** The name, and what belongs to the person in front of the page: language, theme, key. */
import { epoch, hasKey, useKey } from '../lib/api.js';
import { LANGUAGES, language, speak, t } from '../lib/i18n.js';
import { href } from '../lib/router.js';
import { nextTheme, theme } from '../lib/theme.js';
import { html } from '../lib/ui.js';
import { IconButton } from './button.js';

const THEME_ICONS = { system: 'system', light: 'sun', dark: 'moon' };

export function Header() {
  // A key that was entered or forgotten starts another epoch.
  epoch.value;
  const next = LANGUAGES[(LANGUAGES.indexOf(language.value) + 1) % LANGUAGES.length];
  return html`<header class="header">
    <a class="brand" href=${href('create')}><span class="brand-mark" aria-hidden="true"></span>Écurie</a>
    <div class="header-end">
      ${hasKey() && html`<${IconButton} icon="key" label=${t('key.forget')} onClick=${() => useKey(null, false)} />`}
      <button type="button" class="icon-button language" lang=${next} title=${t('language.next')} onClick=${() => speak(next)}>
        ${next.toUpperCase()}<span class="hidden-text">, ${t('language.next')}</span>
      </button>
      <${IconButton} icon=${THEME_ICONS[theme.value]} label=${t(`theme.${theme.value}`)} onClick=${nextTheme} />
    </div>
  </header>`;
}
