/** Pictures that are dropped on the page, anywhere but on a place of their own. What to do with one is asked. */
import { t } from '../lib/i18n.js';
import { picturesIn } from '../lib/pictures.js';
import { html, useEffect, useState } from '../lib/ui.js';

const carriesFiles = (event) => event.dataTransfer?.types.includes('Files') ?? false;

export function DropAnywhere() {
  const [over, setOver] = useState(false);
  const [file, setFile] = useState(null);
  const [Question, setQuestion] = useState(null);
  useEffect(() => {
    const onDragOver = (event) => {
      if (event.defaultPrevented || !carriesFiles(event)) {
        setOver(false);
        return;
      }
      event.preventDefault();
      setOver(true);
    };
    const onDragLeave = (event) => event.relatedTarget === null && setOver(false);
    const onDrop = (event) => {
      setOver(false);
      if (event.defaultPrevented || !carriesFiles(event)) return;
      // Else the browser would leave the page and open the file.
      event.preventDefault();
      setFile(picturesIn(event.dataTransfer)[0] ?? null);
    };
    const listeners = { dragover: onDragOver, dragleave: onDragLeave, drop: onDrop };
    for (const [name, listener] of Object.entries(listeners)) addEventListener(name, listener);
    return () => {
      for (const [name, listener] of Object.entries(listeners)) removeEventListener(name, listener);
    };
  }, []);
  useEffect(() => {
    if (file && !Question) import('./dropped.js').then((module) => setQuestion(() => module.Dropped));
  }, [file]);
  return html`
    ${over && html`<div class="drop-veil" aria-hidden="true"><p class="display">${t('dropped.here')}</p></div>`}
    ${file && Question && html`<${Question} key=${file.name} file=${file} onClose=${() => setFile(null)} />`}
  `;
}
