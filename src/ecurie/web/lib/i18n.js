/** Every text of the page, in English or French. */
import { device, read, write } from './keeping.js';
import { computed, signal } from './ui.js';

const LOADERS = {
  en: () => import('../lang/en/all.js'),
  fr: () => import('../lang/fr/all.js'),
};
export const LANGUAGES = Object.keys(LOADERS);

/** The language in use; read it, set it by `speak`. */
export const language = signal('en');
const texts = signal({});

const preferred = () =>
  read(device, 'language') ?? navigator.languages.map((tag) => tag.slice(0, 2)).find((tag) => tag in LOADERS) ?? 'en';

/** As people of the browser's country write numbers and times, if it is of the language in use. */
export const locale = computed(
  () => navigator.languages.find((tag) => tag.startsWith(language.value)) ?? language.value,
);

/** Load a language and show the page in it; without one, that of the browser. */
export async function speak(chosen) {
  if (chosen) write(device, 'language', chosen);
  const wanted = chosen ?? preferred();
  const { default: loaded } = await LOADERS[wanted]();
  texts.value = loaded;
  language.value = wanted;
  document.documentElement.lang = wanted;
}

/**
 * The text of a key, `{name}` replaced by values. Where it has forms (`{one, other}`), `count` chooses.
 * @param {string} key
 * @param {Record<string, string | number>} [values]
 */
export function t(key, values = {}) {
  let text = texts.value[key];
  if (text === undefined) throw new Error(`no text for ${key}`);
  if (typeof text === 'object') text = text[new Intl.PluralRules(language.value).select(values.count)] ?? text.other;
  return text.replace(/\{(\w+)\}/g, (_, name) => shown(values[name]));
}

const shown = (value) => (typeof value === 'number' ? value.toLocaleString(locale.value) : String(value));

/** Whether there is such a text: for words that come from the server. */
export const has = (key) => key in texts.value;
