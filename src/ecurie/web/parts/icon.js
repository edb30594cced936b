/** Line icons, drawn on 24 by 24. They are decoration: what they mean is said by the text or label beside them. */
import { html } from '../lib/ui.js';

const PATHS = {
  create: 'M4 20l1-4L16 5l3 3L8 19zM14 7l3 3M19 15v4M17 17h4',
  queue: 'M4 6h16M4 12h16M4 18h9',
  gallery: 'M4 4h7v7H4zM13 4h7v7h-7zM4 13h7v7H4zM13 13h7v7h-7z',
  sweep: 'M4 4h16v16H4zM4 9.300h16M4 14.700h16M9.300 4v16M14.700 4v16',
  close: 'M6 6l12 12M18 6L6 18',
  plus: 'M12 5v14M5 12h14',
  minus: 'M5 12h14',
  check: 'M5 12.500l4.500 4.500L19 7.500',
  search: 'M10.500 4a6.500 6.500 0 1 1 0 13 6.500 6.500 0 0 1 0-13zM15.500 15.500L20 20',
  grip: 'M9 6h.01M15 6h.01M9 12h.01M15 12h.01M9 18h.01M15 18h.01',
  lock: 'M6 11h12v9H6zM8.500 11V8a3.500 3.500 0 0 1 7 0v3',
  unlock: 'M6 11h12v9H6zM8.500 11V8a3.500 3.500 0 0 1 6.800-1.200',
  dice: 'M5 5h14v14H5zM9 9h.01M15 9h.01M12 12h.01M9 15h.01M15 15h.01',
  swap: 'M4 8h13l-3-3M20 16H7l3 3',
  chevron: 'M6 9l6 6 6-6',
  up: 'M12 19V5M6 11l6-6 6 6',
  down: 'M12 5v14M6 13l6 6 6-6',
  sun: 'M12 8a4 4 0 1 1 0 8 4 4 0 0 1 0-8zM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.400 1.400M17.600 17.600L19 19M19 5l-1.400 1.400M6.400 17.600L5 19',
  moon: 'M19.500 14.500A8 8 0 0 1 9.500 4.500a8 8 0 1 0 10 10z',
  system: 'M3 5h18v11H3zM9 20h6M12 16v4',
  key: 'M8 9.500a4.500 4.500 0 1 1 0 5zM12 12h9M18 12v3.500M21 12v2.500',
  image: 'M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15 9h.01',
  download: 'M12 4v11M7 10.500l5 5 5-5M5 20h14',
  wand: 'M5 19L15 9M13 7l4 4M18 3v3M21 6h-3M6 4v3M7.500 5.500h-3M19 14v3M20.500 15.500h-3',
  sliders: 'M4 7h9M17 7h3M15 5v4M4 17h3M11 17h9M9 15v4M4 12h12M20 12h0M18 10v4',
  retry: 'M20 12a8 8 0 1 1-2.500-5.800M20 4v4.500h-4.500',
  stop: 'M7 7h10v10H7z',
  warning: 'M12 4l9 16H3zM12 10v4.500M12 17.300h.01',
  info: 'M12 3a9 9 0 1 1 0 18 9 9 0 0 1 0-18zM12 11v5.500M12 7.700h.01',
  clock: 'M12 3a9 9 0 1 1 0 18 9 9 0 0 1 0-18zM12 7v5.500l3.500 2',
  split: 'M12 21v-6M12 15C12 9 6 11 6 4M12 15c0-6 6-4 6-11M3.500 6.500L6 4l2.500 2.500M15.500 6.500L18 4l2.500 2.500',
  eye: 'M2.500 12C5 7.500 8.300 5.500 12 5.500s7 2 9.500 6.500c-2.500 4.500-5.800 6.500-9.500 6.500S5 16.500 2.500 12zM12 9.200a2.800 2.800 0 1 1 0 5.600 2.800 2.800 0 0 1 0-5.600z',
  copy: 'M8 8h12v12H8zM16 8V4H4v12h4',
  left: 'M15 5l-7 7 7 7',
  right: 'M9 5l7 7-7 7',
  expand: 'M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5',
  compare: 'M12 3v18M8.500 8L5 12l3.500 4M15.500 8l3.500 4-3.500 4',
  brush: 'M14.500 13.500L21 5l-2-2-8.500 6.500M10 10c-3 0-4.500 2-4.500 4.500 0 2-1 3-2.500 3.500 1.500 2 9 3 10.500-2.500.8-3-1.500-5.500-3.500-5.500z',
  eraser: 'M9 19h11M5.500 15.500l8-10.500 6 5-7 9H8.500zM9.500 10.500l6 5',
  undo: 'M8 5L4 9l4 4M4.500 9H14a5.500 5.500 0 0 1 0 11h-4',
  invert: 'M12 3.500a8.500 8.500 0 1 0 0 17zM12 3.500a8.500 8.500 0 0 1 0 17',
  trash: 'M4 7h16M9 7V4h6v3M6.500 7l1 13h9l1-13',
};

export function Icon({ name, size = 20 }) {
  return html`<svg class="icon" width=${size} height=${size} viewBox="0 0 24 24" aria-hidden="true">
    <path d=${PATHS[name]} />
  </svg>`;
}
