/** What the browser keeps: for the device (localStorage) or for this window (sessionStorage). */
import { effect, signal } from './ui.js';

/** @returns {any} what was kept, or undefined. */
export function read(storage, name) {
  try {
    const text = storage().getItem(`ecurie.${name}`);
    return text === null ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** undefined: forget it. A browser that is told to keep nothing throws; the page works all the same. */
export function write(storage, name, value) {
  try {
    if (value === undefined) storage().removeItem(`ecurie.${name}`);
    else storage().setItem(`ecurie.${name}`, JSON.stringify(value));
  } catch {
    // Full, or forbidden.
  }
}

// Functions, since even to name them may throw.
export const device = () => localStorage;
export const thisWindow = () => sessionStorage;

/** A signal whose value outlives the page. */
export function kept(storage, name, initial) {
  const value = signal(read(storage, name) ?? initial);
  effect(() => write(storage, name, value.value));
  return value;
}
