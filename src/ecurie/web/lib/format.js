/** Numbers, times and sizes for people. */
import { locale, t } from './i18n.js';

/** 43 s, 3 min 20 s, 1 h 05 min. */
export function duration(seconds) {
  if (seconds < 10) return t('time.seconds', { n: Math.max(0, Math.round(seconds * 10) / 10) });
  const whole = Math.round(seconds);
  if (whole < 60) return t('time.seconds', { n: whole });
  const pad = (n) => String(n).padStart(2, '0');
  if (whole < 3600) return t('time.minutes', { m: Math.floor(whole / 60), s: pad(whole % 60) });
  return t('time.hours', { h: Math.floor(whole / 3600), m: pad(Math.floor((whole % 3600) / 60)) });
}

/** How far off a moment of the server is, in seconds; negative once it is past. */
export const secondsUntil = (moment) => (Date.parse(moment) - Date.now()) / 1000;

export const clockTime = (moment) =>
  new Date(moment).toLocaleTimeString(locale.value, { hour: '2-digit', minute: '2-digit' });

export const dateTime = (moment) =>
  new Date(moment).toLocaleString(locale.value, { dateStyle: 'medium', timeStyle: 'short' });

export function bytes(count) {
  const power = Math.min(3, Math.floor(Math.log10(Math.max(1, count)) / 3));
  const amount = count / 1000 ** power;
  return t(`bytes.${power}`, { n: Math.round(amount * (amount < 10 ? 10 : 1)) / (amount < 10 ? 10 : 1) });
}

export const percent = (share) => new Intl.NumberFormat(locale.value, { style: 'percent' }).format(share);
