/** Asks for the API key where the server wants one. */
import { useKey } from '../lib/api.js';
import { t } from '../lib/i18n.js';
import { html, useId, useState } from '../lib/ui.js';
import { Dialog } from './dialog.js';

/** @param {{reason: 'missing' | 'wrong'}} props */
export function KeyDialog({ reason }) {
  const [entered, setEntered] = useState('');
  const [remember, setRemember] = useState(false);
  const field = useId();
  const submit = (event) => {
    event.preventDefault();
    if (entered.trim()) useKey(entered.trim(), remember);
  };
  return html`<${Dialog} title=${t('key.title')}>
    <form class="key-form" onSubmit=${submit}>
      <p>${t('key.why')}</p>
      <label class="label" for=${field}>${t('key.label')}</label>
      <input
        id=${field}
        class="input"
        type="password"
        autocomplete="current-password"
        autofocus
        aria-invalid=${reason === 'wrong'}
        aria-describedby=${`${field}-problem`}
        value=${entered}
        onInput=${(event) => setEntered(event.target.value)}
      />
      <p id=${`${field}-problem`} class="problem" role="alert">${reason === 'wrong' && t('key.wrong')}</p>
      <label class="check">
        <input type="checkbox" checked=${remember} onChange=${(event) => setRemember(event.target.checked)} />
        <span>${t('key.remember')}<small>${t(remember ? 'key.remembered' : 'key.forgotten')}</small></span>
      </label>
      <button type="submit" class="button button-primary">${t('key.use')}</button>
    </form>
  <//>`;
}
