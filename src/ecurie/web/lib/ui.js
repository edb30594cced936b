/** The few things that every part needs from the libraries, under one roof. */
import { h } from '../vendor/preact.js';
import htm from '../vendor/htm.js';

export const html = htm.bind(h);
export { Fragment, render } from '../vendor/preact.js';
export { useEffect, useId, useLayoutEffect, useMemo, useRef, useState } from '../vendor/hooks.js';
export { batch, computed, effect, signal, untracked, useComputed, useSignal, useSignalEffect } from '../vendor/signals.js';

/** Class names, those that hold: `classes('chip', on && 'chip-on')`. */
export const classes = (...names) => names.filter(Boolean).join(' ');
