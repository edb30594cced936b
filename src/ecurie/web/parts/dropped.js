/** Asks what a picture that was dropped is for. */
import { trying } from '../lib/acting.js';
import { t } from '../lib/i18n.js';
import { addReferences, startFrom } from '../lib/pictures.js';
import { readImage, useRead } from '../lib/reading.js';
import { go } from '../lib/router.js';
import { say } from '../lib/say.js';
import { html, useEffect, useMemo, useState } from '../lib/ui.js';
import { Button } from './button.js';
import { Dialog } from './dialog.js';
import { Icon } from './icon.js';

/** @param {{file: File, onClose: () => void}} props */
export function Dropped({ file, onClose }) {
  const [told, setTold] = useState(null);
  const picture = useMemo(() => URL.createObjectURL(file), [file]);
  useEffect(() => () => URL.revokeObjectURL(picture), [picture]);
  useEffect(() => {
    trying(() => readImage(file)).then((found) => (found ? setTold(found) : onClose()));
  }, [file]);
  const then = (work, text) => async () => {
    onClose();
    await trying(work);
    go('create');
    if (text) say(text);
  };
  return html`<${Dialog} title=${t('dropped.title')} onClose=${onClose}>
    <div class="dropped">
      <img class="dropped-picture" src=${picture} alt=${file.name} />
      <div class="dropped-told" role="status"><${Told} told=${told} /></div>
    </div>
    ${told?.notes.length > 0 &&
    html`<ul class="facts-notes dropped-notes" aria-label=${t('dropped.notes')}>${told.notes.map((note) => html`<li key=${note}><${Icon} name="warning" size=${15} />${note}</li>`)}</ul>`}
    <div class="dropped-uses">
      <${Button} kind="primary" icon="sliders" disabled=${!told?.request.prompt} onClick=${then(() => useRead(told.request), t('image.settingsTaken'))}>${t('dropped.settings')}<//>
      <${Button} icon="image" onClick=${then(() => startFrom(file))}>${t('dropped.start')}<//>
      <${Button} icon="eye" onClick=${then(() => addReferences([file]))}>${t('dropped.refer')}<//>
    </div>
  <//>`;
}

function Told({ told }) {
  if (!told) return html`<p class="soft">${t('dropped.reading')}</p>`;
  const by = told.made_by ? t(`dropped.by.${told.made_by}`) : t('dropped.silent');
  return html`<p class="soft">${by}</p>${told.request.prompt && html`<p class="dropped-prompt">${told.request.prompt}</p>`}
    <p class="soft numbers"><small>${told.width} × ${told.height}</small></p>`;
}
