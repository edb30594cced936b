/** Everybody's jobs, as far as the server tells them, looked at while the queue is open. */
import { get, ignoreRefusals, send } from './api.js';
import { hasEnded } from './jobs.js';
import { sayError } from './say.js';
import { signal } from './ui.js';

const MOST = 200;

/** Newest first; null before the first look. */
export const listed = signal(null);

/** What runs is asked for by itself: lists come without the pictures drawn so far. */
export async function lookAtQueue() {
  const { jobs } = await get(`/jobs?limit=${MOST}`);
  const running = jobs.filter((job) => !hasEnded(job) && job.state !== 'queued');
  const seen = await Promise.all(running.map((job) => get(`/jobs/${job.id}`)));
  const byId = new Map(seen.map((job) => [job.id, job]));
  listed.value = jobs.map((job) => byId.get(job.id) ?? job);
}

/** @param {'interactive' | 'normal' | 'batch'} priority */
export async function setPriority(id, priority) {
  try {
    await send('PATCH', `/jobs/${id}`, { priority });
    await lookAtQueue();
  } catch (error) {
    ignoreRefusals(error);
    sayError(error);
  }
}
