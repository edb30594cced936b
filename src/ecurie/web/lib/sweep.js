/** Building a sweep: what varies along its rows and columns, and the request that it varies. */
import { loras, models, schedulers } from './catalogue.js';
import { send } from './api.js';
import { form, requestBody } from './form.js';
import { t } from './i18n.js';
import { device, kept } from './keeping.js';
import { nameOf } from './differences.js';
import { computed } from './ui.js';

export const MOST_CELLS = 100;
const MOST_KEPT = 20;

/** How values of a field are given: chosen from a list, typed as numbers, or as lines of text. */
const KINDS = {
  model: 'list',
  scheduler: 'list',
  seed: 'whole',
  steps: 'whole',
  clip_skip: 'whole',
  guidance_scale: 'number',
  strength: 'number',
  ip_strength: 'number',
  prompt: 'lines',
  negative_prompt: 'lines',
  prompt_replace: 'lines',
};
export const kindOf = (field) => KINDS[field] ?? 'number';

/** `typed` by field, so that nothing is lost when another field is looked at. */
const EMPTY = { field: '', typed: {} };
export const axes = {
  x: kept(device, 'sweep.x', { ...EMPTY, field: 'guidance_scale' }),
  y: kept(device, 'sweep.y', EMPTY),
};
/** Sweeps that this browser asked for: `{id, prompt, at}`, newest first. */
export const sweeps = kept(device, 'sweeps', []);

/** Fields that can vary now, in groups. */
export const fields = computed(() => {
  const plain = Object.keys(KINDS).filter(
    (field) => (field !== 'strength' || form.start.value) && (field !== 'ip_strength' || form.references.value.length),
  );
  const adapters = loras.value.filter((lora) => !lora.unavailable).map((lora) => `lora:${lora.id}`);
  return { plain, adapters };
});

/** What people call a field of an axis. */
export function axisName(field) {
  const lora = field.startsWith('lora:') && field.slice('lora:'.length);
  return lora ? (loras.value.find((one) => one.id === lora)?.name ?? lora) : nameOf(field);
}

/** What can be chosen for a field whose values are in a list. */
export const optionsOf = (field) =>
  field === 'model'
    ? (models.value ?? []).map(({ id, name, unavailable }) => ({ id, name, unavailable }))
    : schedulers.value.map(({ id, label }) => ({ id, name: label }));

export function valueName(field, value) {
  if (kindOf(field) !== 'list') return value === null ? '–' : String(value);
  return optionsOf(field).find((one) => one.id === value)?.name ?? String(value);
}

/**
 * The values that were given for an axis.
 * @returns {{values: (string | number)[], wrong: string | null}} `wrong`: the first that cannot be
 */
export function valuesOf({ field, typed }) {
  const given = typed[field];
  const kind = kindOf(field);
  if (!given?.length) return { values: [], wrong: null };
  if (kind === 'list') return { values: given, wrong: null };
  if (kind === 'lines') return { values: given.split('\n').map((line) => line.trim()).filter(Boolean), wrong: null };
  const words = given.split(/[\s,;]+/).filter(Boolean);
  const isWrong = (word) => !Number.isFinite(Number(word)) || (kind === 'whole' && !Number.isInteger(Number(word)));
  return { values: words.map(Number), wrong: words.find(isWrong) ?? null };
}

export const cells = computed(() => {
  const counts = ['x', 'y'].map((name) => (axes[name].value.field ? valuesOf(axes[name].value).values.length : 0));
  return counts[0] * (axes.y.value.field ? counts[1] : 1);
});

/** Why it cannot be sent; null: it can. */
export const obstacle = computed(() => {
  if (!form.prompt.value.trim()) return t('sweep.noPrompt');
  const used = ['x', 'y'].map((name) => axes[name].value).filter((axis) => axis.field);
  if (!axes.x.value.field) return t('sweep.noField');
  for (const axis of used) {
    const { values, wrong } = valuesOf(axis);
    if (wrong !== null) return t('sweep.wrong', { field: axisName(axis.field), value: wrong });
    if (!values.length) return t('sweep.noValues', { field: axisName(axis.field) });
    if (axis.field === 'prompt_replace' && !form.prompt.value.includes(values[0])) return t('sweep.notInPrompt', { text: values[0] });
  }
  if (used.length === 2 && used[0].field === used[1].field) return t('sweep.sameField');
  if (cells.value > MOST_CELLS) return t('sweep.tooMany', { count: cells.value, most: MOST_CELLS });
  return null;
});

/** Queue it. @returns {Promise<string>} its id. Throws Problem or Away. */
export async function submitSweep() {
  const { num_images: _images, priority: _priority, seed, ...request } = requestBody();
  const axis = ({ value }) => (value.field ? { field: value.field, values: valuesOf(value).values } : null);
  const body = { request: { ...request, ...(form.seedLocked.value && seed !== undefined && { seed }) }, x: axis(axes.x), y: axis(axes.y) };
  const sweep = await send('POST', '/sweeps', body);
  const mine = { id: sweep.id, prompt: request.prompt, at: sweep.created_at };
  sweeps.value = [mine, ...sweeps.value].slice(0, MOST_KEPT);
  return sweep.id;
}

export const forgetSweep = (id) => {
  sweeps.value = sweeps.value.filter((one) => one.id !== id);
};
