/** What a job is doing, in words for people. */
import { bytes, duration, percent, secondsUntil } from './format.js';
import { t } from './i18n.js';

const WORDS = {
  queued: 'phase.queued',
  preparing: 'phase.preparing',
  downloading: 'phase.downloading',
  'loading model': 'phase.loading',
  'applying adapters': 'phase.applying',
  'encoding prompt': 'phase.reading',
  'encoding picture': 'phase.looking',
  denoising: 'phase.drawing',
  decoding: 'phase.developing',
  saving: 'phase.saving',
};

/** Without numbers, so that a screen reader is told of each phase once. */
export function phase(job) {
  if (job.state === 'queued') return t('phase.queued');
  const key = WORDS[job.progress.phase] ?? 'phase.working';
  return t(key, { count: job.request.loras.length });
}

/** `step 12 of 30`, `43 %`, or the place in the queue; '' where there is no number. */
export function howFar(job) {
  const { progress } = job;
  if (job.state === 'queued') return job.queue_position ? t('queue.place', { n: job.queue_position }) : '';
  if (progress.phase === 'downloading' && progress.bytes_done) {
    return progress.bytes_total ? percent(progress.bytes_done / progress.bytes_total) : bytes(progress.bytes_done);
  }
  return progress.step ? t('phase.step', { n: progress.step, total: progress.total }) : '';
}

/** From 0 to 1; null where it cannot be told. */
export function share(job) {
  const { step, total, bytes_done: done, bytes_total: all } = job.progress;
  if (job.progress.phase === 'downloading') return all ? done / all : null;
  return step ? step / total : null;
}

/** `about 12 s left`, `starts in about 40 s`; '' where it is not known. */
export function outlook(job) {
  const moment = job.state === 'queued' ? job.estimated_start : job.estimated_end;
  if (!moment) return '';
  const seconds = Math.max(1, Math.round(secondsUntil(moment)));
  return t(job.state === 'queued' ? 'phase.startsIn' : 'phase.left', { time: duration(seconds) });
}
