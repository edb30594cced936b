/** How busy the server is: for the number beside the queue. */
import { get, ignoreRefusals } from './api.js';
import { jobs } from './jobs.js';
import { every } from './polling.js';
import { computed, effect, signal } from './ui.js';

/** Jobs that wait or run. */
export const unfinished = signal(0);
const LOOK_MS = 5000;

async function look() {
  const { jobs: counts } = await get('/system');
  unfinished.value = counts.queued + counts.preparing + counts.running;
}

every(LOOK_MS, look);

/** Those of this window are known sooner. */
const states = computed(() => jobs.value.map((job) => job.state).join());
effect(() => {
  if (states.value) look().catch(ignoreRefusals);
});
