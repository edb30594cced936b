/** What can be done with an image. */
import { curlOf, download, referToImage, replay, startFromImage, takeSettings, trying, varySeed } from '../lib/acting.js';
import { copy } from '../lib/clipboard.js';
import { t } from '../lib/i18n.js';
import { go } from '../lib/router.js';
import { canSend } from '../lib/submitting.js';
import { html, useState } from '../lib/ui.js';
import { Button, IconButton } from './button.js';

/** @param {{job: object, index: number, onDelete: () => void, onReplayed: (id: string) => void}} props */
export function ImageActions({ job, index, onDelete, onReplayed }) {
  const [busy, setBusy] = useState(false);
  const image = job.result.images[index];
  const again = async () => {
    setBusy(true);
    const id = await trying(() => replay(job, index));
    setBusy(false);
    if (id) onReplayed(id);
  };
  const key = `${job.id}/${index}`;
  return html`<div class="image-actions">
    <div class="actions">
      <${Button} icon="sliders" kind="primary" onClick=${() => takeSettings(image)}>${t('image.useSettings')}<//>
      <${Button} icon="dice" disabled=${!canSend.value} onClick=${() => varySeed(image)}>${t('image.vary')}<//>
      <${Button} icon="retry" disabled=${busy || !canSend.value} onClick=${again}>${t('image.replay')}<//>
      <${Button} icon="compare" onClick=${() => go('gallery', { compare: key })}>${t('image.compare')}<//>
      <${Button} icon="image" onClick=${() => startFromImage(image)}>${t('image.start')}<//>
      <${Button} icon="eye" onClick=${() => referToImage(image)}>${t('image.refer')}<//>
    </div>
    <div class="image-small-actions">
      <${Button} icon="copy" onClick=${() => copy(job.request.prompt, t('image.prompt'))}>${t('image.prompt')}<//>
      <${Button} icon="copy" onClick=${() => copy(String(image.seed), t('image.seed'))}>${t('image.seed')}<//>
      <${Button} icon="copy" onClick=${() => copy(curlOf(image), t('image.curl'))}>curl<//>
      <span class="image-gap"></span>
      <${IconButton} icon="download" label=${t('image.download')} onClick=${() => trying(() => download(image.url, image.filename))} />
      <${IconButton} icon="trash" class="image-delete" label=${t('image.delete')} onClick=${onDelete} />
    </div>
  </div>`;
}
