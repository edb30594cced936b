/** What a picture's file tells of how it was made. */
import { get, send } from './api.js';
import { useSettings } from './form.js';

/** @returns {Promise<{made_by: 'ecurie' | 'a1111' | null, request: object, notes: string[]}>} */
export const readImage = (file) => send('POST', '/read-image', file);

/** What a request leaves open, as the server would describe it. */
const OPEN = {
  prompt: '',
  negative_prompt: '',
  loras: [],
  inject_triggers: true,
  prompt_prefix: true,
  steps: 30,
  guidance_scale: 7.5,
  scheduler: 'default',
  clip_skip: null,
  num_images: 1,
  seed: null,
  format: 'png',
  quality: 90,
  hires: null,
  init_image: null,
  mask: null,
  reference_images: [],
  ip_strength: 0,
  ip_adapter: null,
};

/** Fill the form with a request that may leave fields out. */
export async function useRead(request) {
  const { models } = await get('/models');
  const model = models.find((one) => one.id === request.model) ?? models.find((one) => one.default);
  const [width, height] = model?.size ?? [1024, 1024];
  useSettings({ ...OPEN, model: model?.id ?? null, width, height, ...request, loras: (request.loras ?? []).map(withBoth) });
}

/** One weight may stand for both. */
const withBoth = ({ weight = 1, ...lora }) => ({ unet: weight, text_encoder: weight, ...lora });
