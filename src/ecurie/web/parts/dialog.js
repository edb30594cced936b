/** A modal window: the browser's own, which keeps the focus inside and closes on Escape. */
import { html, useId, useLayoutEffect, useRef } from '../lib/ui.js';
import { t } from '../lib/i18n.js';
import { IconButton } from './button.js';

/**
 * @param {{title: string, onClose?: () => void, wide?: boolean, children: any}} props
 *   without `onClose` it cannot be closed by the user
 */
export function Dialog({ title, onClose, wide = false, children }) {
  const element = useRef(null);
  const open = useRef(false);
  const heading = useId();
  // At once: a key that is pressed next is the dialog's.
  useLayoutEffect(() => {
    const dialog = element.current;
    const opener = document.activeElement;
    dialog.showModal();
    open.current = true;
    return () => {
      open.current = false;
      dialog.close();
      opener?.focus();
    };
  }, []);
  const cancel = (event) => {
    event.preventDefault();
    onClose?.();
  };
  // A browser closes it at the second Escape, whatever it is told. What it says of a dialog that has left
  // comes late, perhaps when the next one is there.
  const closed = () => {
    if (!open.current) return;
    if (onClose) onClose();
    else element.current?.showModal();
  };
  const onBackdrop = (event) => event.target === element.current && onClose?.();
  return html`<dialog
    ref=${element}
    class=${wide ? 'dialog dialog-wide' : 'dialog'}
    aria-labelledby=${heading}
    onCancel=${cancel}
    onClose=${closed}
    onClick=${onBackdrop}
  >
    <div class="dialog-content">
      <header class="dialog-head">
        <h2 id=${heading}>${title}</h2>
        ${onClose && html`<${IconButton} icon="close" label=${t('close')} onClick=${onClose} />`}
      </header>
      ${children}
    </div>
  </dialog>`;
}
