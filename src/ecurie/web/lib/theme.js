/** Light, dark, or as the system has it. */
import { device, kept } from './keeping.js';
import { effect } from './ui.js';

const THEMES = ['system', 'light', 'dark'];
export const theme = kept(device, 'theme', 'system');

effect(() => {
  document.documentElement.dataset.theme = theme.value;
});

export function nextTheme() {
  theme.value = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length];
}
