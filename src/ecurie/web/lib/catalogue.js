/** What a request may name, asked for once and again when the server comes back. */
import { epoch, get, ignoreRefusals } from './api.js';
import { computed, effect, signal } from './ui.js';

/** null until they are here. */
export const models = signal(null);
export const loras = signal([]);
export const ipAdapters = signal([]);
export const presets = signal([]);
export const schedulers = signal([]);

export const defaultModel = computed(() => models.value?.find((model) => model.default) ?? models.value?.[0] ?? null);
export const loraById = computed(() => new Map(loras.value.map((lora) => [lora.id, lora])));

/** The picture of an adapter, which need not be there. */
export const thumbnailOf = (id) => `/loras/${encodeURIComponent(id)}/thumbnail`;

async function loadCatalogue() {
  const [m, l, i, p, s] = await Promise.all(
    ['/models', '/loras', '/ip-adapters', '/presets', '/schedulers'].map((path) => get(path)),
  );
  models.value = m.models;
  loras.value = l.loras;
  ipAdapters.value = i.ip_adapters;
  presets.value = p.presets;
  schedulers.value = s.schedulers;
}

effect(() => {
  epoch.value;
  loadCatalogue().catch(ignoreRefusals);
});
