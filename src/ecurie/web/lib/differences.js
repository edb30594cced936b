/** Which settings of two images differ. */
import { has, t } from './i18n.js';

// What says nothing of the picture.
const LEFT_OUT = new Set(['num_images', 'metadata', 'format', 'quality', 'loras', 'inject_triggers', 'prompt_prefix']);

/**
 * @param {object} left `metadata` of an image, and `right`
 * @returns {{name: string, left: string, right: string}[]}
 */
export function differences(left, right) {
  const names = Object.keys({ ...left, ...right }).filter((name) => !LEFT_OUT.has(name));
  const rows = names.map((name) => [nameOf(name), shown(left[name]), shown(right[name])]);
  const adapters = [...new Set([...left.loras, ...right.loras].map((lora) => lora.name))];
  rows.push(...adapters.map((name) => [name, weights(left, name), weights(right, name)]));
  return rows.filter(([, a, b]) => a !== b).map(([name, a, b]) => ({ name, left: a, right: b }));
}

/** What people call a field of a request. */
export const nameOf = (field) => (has(`setting.${field}`) ? t(`setting.${field}`) : field);

const weights = (request, name) => {
  const lora = request.loras.find((one) => one.name === name);
  return lora ? weightText(lora) : t('compare.without');
};

/** `0.8`, or both weights where they differ. */
export function weightText({ unet, text_encoder: text, blocks }) {
  const both = unet === text ? shown(unet) : t('adapter.split', { unet: shown(unet), text: shown(text) });
  return Object.keys(blocks ?? {}).length ? `${both} (${shown(blocks)})` : both;
}

/** A value as a text; a seed is a name, not an amount. */
export function shown(value) {
  if (value === null || value === undefined || value === '') return '–';
  if (typeof value === 'boolean') return t(value ? 'yes' : 'no');
  if (Array.isArray(value)) return value.length ? value.map(shown).join(', ') : '–';
  if (typeof value === 'object') return Object.entries(value).map(([name, one]) => `${nameOf(name)} ${shown(one)}`).join(', ');
  return typeof value === 'number' ? String(Math.round(value * 1000) / 1000) : String(value);
}
