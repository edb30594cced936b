/** What the user has set, each field a signal. It survives a reload and the end of the browser. */
import { defaultModel, loraById, models } from './catalogue.js';
import { device, read, thisWindow, write } from './keeping.js';
import { repeatable } from './repeating.js';
import { batch, computed, effect, signal } from './ui.js';

/**
 * An adapter of the stack; `text` is the weight of the text encoders, the UNet's own where `split` is off.
 * `blocks` and `strict` are those of a request that was taken over.
 * @typedef {{id: string, on: boolean, unet: number, text: number, split: boolean, blocks?: object, strict?: boolean}} Adapter
 * A picture that the server has.
 * @typedef {{id: string, url: string}} Picture
 */

/** `null` means what the server takes by itself: the model's own value. */
const INITIAL = {
  prompt: '',
  negative: '',
  negativeOff: false,
  model: null,
  /** @type {Adapter[]} */
  stack: [],
  triggers: true,
  prefix: true,
  /** @type {{width: number, height: number} | null} */
  size: null,
  steps: 30,
  guidance: 7.5,
  scheduler: 'default',
  clipSkip: null,
  count: 1,
  seed: null,
  seedLocked: false,
  format: 'png',
  quality: 90,
  priority: 'normal',
  hires: null,
  /** @type {Picture | null} */
  start: null,
  strength: 0.75,
  resize: 'crop',
  /** @type {Picture | null} */
  mask: null,
  maskBlur: 4,
  /** @type {Picture[]} */
  references: [],
  referenceStrength: 0.6,
  ipAdapter: null,
};
export const HIRES = { scale: 1.5, strength: 0.4, upscaler: 'lanczos' };
export const SEEDS = 2 ** 32;

// Another window may have kept something since; this one goes on with its own.
const before = read(thisWindow, 'form') ?? read(device, 'form') ?? {};

/** @type {{[name in keyof typeof INITIAL]: import('./ui.js').Signal}} */
export const form = Object.fromEntries(
  Object.entries(INITIAL).map(([name, initial]) => [name, signal(before[name] ?? initial)]),
);

effect(() => {
  const values = Object.fromEntries(Object.entries(form).map(([name, field]) => [name, field.value]));
  write(thisWindow, 'form', values);
  write(device, 'form', values);
});

/** The chosen model, or the server's default; null until the catalogue is here. */
export const model = computed(
  () => models.value?.find((one) => one.id === form.model.value) ?? defaultModel.value,
);

/** Its size unless another was chosen. */
export const size = computed(() => {
  const [width, height] = model.value?.size ?? [1024, 1024];
  return form.size.value ?? { width, height };
});

export const randomSeed = () => crypto.getRandomValues(new Uint32Array(1))[0];

/** What `POST /generate` gets. */
export function requestBody() {
  return {
    prompt: form.prompt.value,
    ...(form.negativeOff.value ? { negative_prompt: '' } : form.negative.value && { negative_prompt: form.negative.value }),
    ...(model.value && { model: model.value.id }),
    loras: form.stack.value.filter((one) => one.on).map(adapterBody),
    inject_triggers: form.triggers.value,
    prompt_prefix: form.prefix.value,
    ...form.size.value,
    steps: form.steps.value,
    guidance_scale: form.guidance.value,
    scheduler: form.scheduler.value,
    ...(form.clipSkip.value && { clip_skip: form.clipSkip.value }),
    num_images: form.count.value,
    ...(form.seed.value !== null && { seed: form.seed.value }),
    format: form.format.value,
    quality: form.quality.value,
    priority: form.priority.value,
    ...startBody(),
    ...referencesBody(),
  };
}

const adapterBody = ({ id, unet, text, split, ...rest }) => {
  const { blocks = {}, strict = true } = rest;
  return { name: id, unet, text_encoder: split ? text : unet, blocks, strict };
};

/** A second pass and a picture to start from exclude each other. */
function startBody() {
  if (!form.start.value) return form.hires.value ? { hires: form.hires.value } : {};
  const mask = form.mask.value && { mask: form.mask.value.id, mask_blur: form.maskBlur.value };
  return { init_image: form.start.value.id, strength: form.strength.value, resize: form.resize.value, ...mask };
}

function referencesBody() {
  if (!form.references.value.length) return {};
  return {
    reference_images: form.references.value.map((picture) => picture.id),
    ip_strength: form.referenceStrength.value,
    ...(form.ipAdapter.value && { ip_adapter: form.ipAdapter.value }),
  };
}

/** Fill the form with a request as the server describes it: `job.request`, or `metadata` of an image. */
export function useSettings(request) {
  batch(() => {
    form.prompt.value = request.prompt;
    form.model.value = request.model;
    form.negativeOff.value = request.negative_prompt === '';
    form.negative.value = request.negative_prompt === model.value?.default_negative ? '' : request.negative_prompt;
    form.stack.value = request.loras.map(({ name, unet, text_encoder: text, blocks, strict }) => ({
      id: name, on: true, unet, text, split: unet !== text, blocks, strict,
    }));
    form.triggers.value = request.inject_triggers;
    form.prefix.value = request.prompt_prefix;
    form.size.value = { width: request.width, height: request.height };
    form.steps.value = request.steps;
    form.guidance.value = request.guidance_scale;
    form.scheduler.value = request.scheduler;
    form.clipSkip.value = request.clip_skip;
    form.count.value = request.num_images;
    form.seed.value = request.seed;
    form.seedLocked.value = true;
    form.format.value = request.format;
    form.quality.value = request.quality;
    form.hires.value = repeatable(request).hires ?? null;
    useStart(request.init_image && picture(request.init_image));
    form.strength.value = request.strength ?? INITIAL.strength;
    form.resize.value = request.resize ?? INITIAL.resize;
    form.mask.value = request.mask && picture(request.mask);
    form.maskBlur.value = request.mask_blur ?? INITIAL.maskBlur;
    form.references.value = request.reference_images.map(picture);
    form.referenceStrength.value = request.ip_strength || INITIAL.referenceStrength;
    form.ipAdapter.value = request.ip_adapter;
  });
}

const picture = (id) => ({ id, url: `/images/${id}` });

/** Another picture to start from (null: none); a mask belongs to the one before. */
export function useStart(start) {
  form.start.value = start;
  form.mask.value = null;
}

export function usePreset(preset) {
  batch(() => {
    form.steps.value = preset.steps ?? form.steps.value;
    form.guidance.value = preset.guidance_scale ?? form.guidance.value;
    form.scheduler.value = preset.scheduler ?? form.scheduler.value;
    for (const { name, weight } of preset.loras) addAdapter(name, weight);
  });
}

/** At the end of the stack, once; `weight`: the catalogue's by default. */
export function addAdapter(id, weight = loraById.value.get(id)?.default_weight ?? 1) {
  const others = form.stack.value.filter((one) => one.id !== id);
  form.stack.value = [...others, { id, on: true, unet: weight, text: weight, split: false }];
}

export function removeAdapter(id) {
  form.stack.value = form.stack.value.filter((one) => one.id !== id);
}

export function changeAdapter(id, changes) {
  form.stack.value = form.stack.value.map((one) => (one.id === id ? { ...one, ...changes } : one));
}

/** @param {number} to its index afterwards */
export function moveAdapter(id, to) {
  const moved = form.stack.value.find((one) => one.id === id);
  const others = form.stack.value.filter((one) => one.id !== id);
  form.stack.value = others.toSpliced(Math.max(0, Math.min(to, others.length)), 0, moved);
}
