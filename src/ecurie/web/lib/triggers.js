/** The trigger words of the adapters in use: which are in the prompt, and which the server adds. */
import { loraById } from './catalogue.js';
import { form } from './form.js';
import { preview } from './prompt-preview.js';
import { batch, computed } from './ui.js';

const holds = (text, word) => text.toLowerCase().includes(word.toLowerCase());

/** @type {import('./ui.js').Signal<{word: string, adapter: string, where: 'typed' | 'added' | 'out'}[]>} */
export const triggers = computed(() => {
  const named = form.stack.value
    .filter((one) => one.on)
    .flatMap(({ id }) => (loraById.value.get(id)?.trigger_words ?? []).map((word) => ({ word, adapter: id })));
  // Those that only a file's metadata name, the server knows.
  const told = (preview.value?.triggers ?? []).map(({ text, adapter }) => ({ word: text, adapter }));
  const words = new Map([...told, ...named].map((one) => [one.word.toLowerCase(), one]));
  return [...words.values()].map((one) => ({ ...one, where: whereIs(one.word) }));
});

function whereIs(word) {
  if (holds(form.prompt.value, word)) return 'typed';
  return form.triggers.value ? 'added' : 'out';
}

function insert(word) {
  const text = form.prompt.value.trimEnd();
  form.prompt.value = text ? `${text.replace(/,$/, '')}, ${word}` : word;
}

function takeOut(word) {
  const escaped = word.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const text = form.prompt.value.replace(new RegExp(`\\s*,?\\s*${escaped}`, 'i'), '');
  form.prompt.value = text.replace(/^\s*,\s*/, '');
}

/**
 * Put a word into the prompt, or leave it out. From then on the user decides: the others that the server would
 * have added are written into the prompt, where they can be seen and moved.
 */
export function toggleTrigger({ word, where }) {
  batch(() => {
    const added = triggers.value.filter((one) => one.where === 'added' && one.word !== word);
    form.triggers.value = false;
    for (const one of added) insert(one.word);
    if (where === 'out') insert(word);
    else if (where === 'typed') takeOut(word);
  });
}
