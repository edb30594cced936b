/** What can be done with a finished image. */
import { Problem, ask, get, hasKey, ignoreRefusals, send } from './api.js';
import { form, randomSeed, useSettings, useStart } from './form.js';
import { t } from './i18n.js';
import { adopt } from './jobs.js';
import { repeatable } from './repeating.js';
import { go } from './router.js';
import { say, sayError } from './say.js';
import { sendRequest } from './submitting.js';

/** Run it; what the server refuses is said. @returns {Promise<any>} undefined then */
export async function trying(work) {
  try {
    return await work();
  } catch (error) {
    ignoreRefusals(error);
    if (error instanceof Problem) sayError(error);
    return undefined;
  }
}

export function takeSettings(image) {
  useSettings(image.metadata);
  go('create');
  say(t('image.settingsTaken'));
}

export async function varySeed(image) {
  await sendRequest({ ...repeatable(image.metadata), seed: randomSeed() });
  go('create');
}

export function startFromImage(image) {
  useStart({ id: image.filename, url: image.url });
  go('create');
  say(t('image.started'));
}

export function referToImage(image) {
  const others = form.references.value.filter((one) => one.id !== image.filename);
  form.references.value = [...others, { id: image.filename, url: image.url }];
  go('create');
  say(t('image.referred'));
}

/** Queue it once more; the ended job compares the two. @returns {Promise<string>} the id of the job */
export async function replay(job, index) {
  const sent = await send('POST', '/replay', await told(job, index));
  adopt(sent);
  return sent.id;
}

async function told(job, index) {
  const image = job.result.images[index];
  if (image.metadata.metadata) return (await ask(image.url, { headers: { Accept: 'image/*' } })).blob();
  // The image itself tells nothing.
  const { manifests } = await get(`/jobs/${job.id}/manifests`);
  return manifests[index];
}

/** A command that makes the image on this server. */
export function curlOf(image) {
  const body = JSON.stringify(repeatable(image.metadata)).replaceAll("'", String.raw`'\''`);
  const key = hasKey() ? ' -H "Authorization: Bearer $ECURIE_API_KEY"' : '';
  return `curl -X POST "${location.origin}/generate?wait=600"${key} -d '${body}'`;
}

/** Save a file of the server's that needs the key. */
export async function download(path, name) {
  const file = await (await ask(path, { headers: { Accept: 'image/*' } })).blob();
  const link = document.createElement('a');
  link.href = URL.createObjectURL(file);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
