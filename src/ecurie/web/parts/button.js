/** Buttons. */
import { classes, html } from '../lib/ui.js';
import { Icon } from './icon.js';

/** `kind`: `primary`, `danger`, or the plain one. */
export function Button({ icon, kind, children, class: extra, ...rest }) {
  return html`<button type="button" class=${classes('button', kind && `button-${kind}`, extra)} ...${rest}>
    ${icon && html`<${Icon} name=${icon} size=${18} />`}<span>${children}</span>
  </button>`;
}

/** `pressed`: for one that stays down; undefined for others. */
export function IconButton({ icon, label, pressed, class: extra, size, ...rest }) {
  return html`<button
    type="button"
    class=${classes('icon-button', extra)}
    aria-label=${label}
    title=${label}
    aria-pressed=${pressed}
    ...${rest}
  >
    <${Icon} name=${icon} size=${size} />
  </button>`;
}
