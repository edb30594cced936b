/** How busy the server is: for the number beside the queue. */
import { get, keyWanted, online } from './api.js';
import { every } from './polling.js';
import { signal } from './ui.js';

/** Jobs that wait or run. */
export const unfinished = signal(0);
/** Of the server. */
export const version = signal('');

const LOOK_MS = 5000;

every(LOOK_MS, async () => {
  if (!online.value || keyWanted.value) return;
  const system = await get('/system');
  version.value = system.version;
  unfinished.value = system.jobs.queued + system.jobs.preparing + system.jobs.running;
});
