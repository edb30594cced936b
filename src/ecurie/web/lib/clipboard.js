/** Copying texts. */
import { t } from './i18n.js';
import { say } from './say.js';

/** Put a text on the clipboard, and say so; `what` names it. */
export async function copy(text, what) {
  // Browsers have none for pages that came over plain HTTP from another machine.
  if (navigator.clipboard) await navigator.clipboard.writeText(text);
  else copyBySelection(text);
  say(t('copied', { what }));
}

function copyBySelection(text) {
  const field = document.createElement('textarea');
  field.value = text;
  // An open dialog keeps the focus inside.
  (document.querySelector('dialog[open]') ?? document.body).append(field);
  field.select();
  document.execCommand('copy');
  field.remove();
}
