/** The jobs that this window asked for, followed until they end, also after a reload. */
import { Problem, epoch, get, ignoreRefusals, reachable, send } from './api.js';
import { kept, thisWindow } from './keeping.js';
import { listen } from './stream.js';
import { every } from './polling.js';
import { computed, effect, signal } from './ui.js';

const MOST = 40;
const PAUSE_MS = 1000;
const LOOK_MS = 2000;
/** A stream that says nothing for so long may be held back on its way: its job is asked for as well. */
const SILENCE_MS = 4000;
const ENDED = new Set(['succeeded', 'failed', 'cancelled']);

/** Newest first. */
const ids = kept(thisWindow, 'jobs', []);
const known = signal(new Map());
const heardAt = new Map();

export const hasEnded = (job) => ENDED.has(job.state);
/** Those that were found, newest first. */
export const jobs = computed(() => ids.value.map((id) => known.value.get(id)).filter(Boolean));
/** Which of them the stage shows; null: the newest. */
export const chosen = signal(null);
export const shownJob = computed(() => known.value.get(chosen.value) ?? jobs.value[0] ?? null);

export const isMine = (id) => ids.value.includes(id);

/** Send a request and follow its job. Throws Problem or Away. */
export async function submit(body) {
  const job = await send('POST', '/generate', body);
  adopt(job);
  return job;
}

/** Follow a job that this window has asked for. */
export function adopt(job) {
  learn(job);
  ids.value = [job.id, ...ids.value].slice(0, MOST);
  chosen.value = job.id;
  followAll();
}

/** One of those that are followed, as it is now. */
export const jobById = (id) => known.value.get(id);

export async function cancel(id) {
  learn(await send('DELETE', `/jobs/${id}`));
}

/** Take it out of this window; it stays on the server. */
export function dismiss(id) {
  ids.value = ids.value.filter((one) => one !== id);
}

function learn(job) {
  heardAt.set(job.id, Date.now());
  // Lists and new states come without the picture that was drawn so far.
  const preview = job.preview ?? (hasEnded(job) ? null : known.value.get(job.id)?.preview ?? null);
  known.value = new Map(known.value).set(job.id, { ...job, preview });
}

function hear(id, name, data) {
  const job = known.value.get(id);
  if (name === 'state') learn(data);
  else if (name === 'step') learn({ ...job, progress: data });
  else if (name === 'preview') learn({ ...job, preview: data.image });
  else if (name === 'queue') learn({ ...job, queue_position: data.position, estimated_start: data.estimated_start });
}

const unfinished = () => jobs.value.filter((job) => !hasEnded(job));

/** The one whose events are worth a connection. A browser opens six to a server, for all its windows. */
const mostTelling = () => unfinished().find((job) => job.state !== 'queued') ?? unfinished().at(-1);

let following = false;

async function followAll() {
  if (following) return;
  following = true;
  // Another epoch begins this anew.
  while (mostTelling() && reachable.value) {
    await followOne(mostTelling().id);
    if (mostTelling()) await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
  following = false;
}

/** Until its end, or the end of its stream, or another job is more telling. */
async function followOne(id) {
  const stream = new AbortController();
  const stop = every(LOOK_MS, async () => {
    await lookAtSilent();
    if (mostTelling()?.id !== id) stream.abort();
  });
  try {
    await listen(`/jobs/${id}/events`, (name, data) => hear(id, name, data), stream.signal);
  } catch (error) {
    if (error instanceof Problem && error.status === 404) dismiss(id);
    // Anything else is a connection that broke: the look above asks for the job, and the stream is opened again.
  } finally {
    stop();
  }
}

async function lookAtSilent() {
  const silent = unfinished().filter((job) => Date.now() - (heardAt.get(job.id) ?? 0) > SILENCE_MS);
  for (const { id } of silent) await look(id);
}

async function look(id) {
  try {
    learn(await get(`/jobs/${id}`));
  } catch (error) {
    if (error instanceof Problem && error.status === 404) dismiss(id);
    else ignoreRefusals(error);
  }
}

// After a reload, and whenever the server is back or another key is used.
effect(() => {
  epoch.value;
  (async () => {
    for (const id of ids.peek()) {
      const job = known.peek().get(id);
      if (!job || !hasEnded(job)) await look(id);
    }
    followAll();
  })();
});
