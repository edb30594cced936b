/** What the server makes of the prompt as it is typed: tokens, trigger words, the final text. */
import { epoch, ignoreRefusals, send } from './api.js';
import { form, model, requestBody } from './form.js';
import { effect, signal } from './ui.js';

const PAUSE_MS = 300;

/** The newest answer of `POST /prompt/preview`; null while there is none. */
export const preview = signal(null);

let timer;
let asked = new AbortController();

async function askFor(body) {
  asked.abort();
  asked = new AbortController();
  const { signal: aborted } = asked;
  try {
    preview.value = await send('POST', '/prompt/preview', body, { signal: aborted });
  } catch (error) {
    if (aborted.aborted) return;
    preview.value = null;
    // That a field is wrong, or a file not here yet, is told when it matters: at Generate.
    ignoreRefusals(error);
  }
}

/** The fields that change what the text encoders get. */
const told = () => {
  const { prompt, negative_prompt, model: id, loras, inject_triggers, prompt_prefix, clip_skip } = requestBody();
  const seed = /[{_]/.test(prompt) ? { seed: form.seed.value } : {};
  return { prompt, negative_prompt, model: id, loras, inject_triggers, prompt_prefix, clip_skip, ...seed };
};

effect(() => {
  epoch.value;
  const body = told();
  clearTimeout(timer);
  if (!body.prompt.trim() || !model.value?.downloaded) {
    asked.abort();
    preview.value = null;
    return;
  }
  timer = setTimeout(askFor, PAUSE_MS, body);
});
