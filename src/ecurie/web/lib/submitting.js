/** Generate: send the form, and say what the server does not accept. */
import { Away, Problem, online } from './api.js';
import { form, randomSeed, requestBody } from './form.js';
import { t } from './i18n.js';
import { submit } from './jobs.js';
import { computed, signal } from './ui.js';

/** Why the last request was refused; null: it was not. */
export const refusal = signal(null);
export const sending = signal(false);
export const canSend = computed(() => online.value && !sending.value);
export const canSubmit = computed(() => canSend.value && form.prompt.value.trim() !== '');

export async function submitForm() {
  if (!canSubmit.value) return;
  if (!form.seedLocked.value || form.seed.value === null) form.seed.value = randomSeed();
  await sendRequest(requestBody());
}

/** Queue this request. What is refused is kept in `refusal`. */
export async function sendRequest(body) {
  if (!canSend.value) return;
  sending.value = true;
  try {
    await submit(body);
    refusal.value = null;
  } catch (error) {
    if (error instanceof Away) refusal.value = { message: t('generate.notSent') };
    else if (error instanceof Problem) refusal.value = error.status === 401 ? null : error;
    else throw error;
  } finally {
    sending.value = false;
  }
}
