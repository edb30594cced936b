/** Pictures that the user brings: dropped, pasted or chosen. */
import { ignoreRefusals, send } from './api.js';
import { form, useStart } from './form.js';
import { sayError } from './say.js';

/** Of a paste or a drop. @returns {File[]} */
export const picturesIn = (data) => [...(data?.files ?? [])].filter((file) => file.type.startsWith('image/'));

/** Hand a file to the server. @returns {Promise<import('./form.js').Picture | null>} null when it is refused, which is said */
export async function upload(file) {
  try {
    const { id, url } = await send('POST', '/images', file);
    return { id, url };
  } catch (error) {
    ignoreRefusals(error);
    sayError(error);
    return null;
  }
}

export async function startFrom(file) {
  const picture = await upload(file);
  if (picture) useStart(picture);
}

export async function addReferences(files) {
  for (const file of files) {
    const picture = await upload(file);
    if (picture && !form.references.value.some((one) => one.id === picture.id)) {
      form.references.value = [...form.references.value, picture];
    }
  }
}
