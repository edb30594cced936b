/** One sentence to the user: shown for a moment, and read out by screen readers. */
import { signal } from './ui.js';

/** @type {import('./ui.js').Signal<{text: string, kind: 'note' | 'error', id: number} | null>} */
export const said = signal(null);

let count = 0;

export function say(text, kind = 'note') {
  count += 1;
  said.value = { text, kind, id: count };
}

/** What went wrong, with what to do about it. */
export const sayError = (error) => say([error.message, error.remedy].filter(Boolean).join('. '), 'error');
