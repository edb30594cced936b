/** A place for pictures: to drop them on, or to choose them by. */
import { picturesIn } from '../lib/pictures.js';
import { classes, html, useId, useRef, useState } from '../lib/ui.js';
import { Icon } from './icon.js';

const TYPES = 'image/png,image/webp,image/jpeg';

/** @param {{label: string, hint: string, multiple?: boolean, onFiles: (files: File[]) => Promise<void>}} props */
export function Drop({ label, hint, multiple = false, onFiles }) {
  const [over, setOver] = useState(false);
  const [busy, setBusy] = useState(false);
  const input = useRef(null);
  const id = useId();
  const take = async (files) => {
    if (!files.length) return;
    setBusy(true);
    await onFiles(files);
    setBusy(false);
  };
  const onDrop = (event) => {
    event.preventDefault();
    setOver(false);
    take(picturesIn(event.dataTransfer));
  };
  const onChange = () => {
    take([...input.current.files]);
    input.current.value = '';
  };
  return html`<label
    class=${classes('drop', over && 'drop-over')}
    for=${id}
    aria-busy=${busy}
    onDragOver=${(event) => {
      event.preventDefault();
      setOver(true);
    }}
    onDragLeave=${() => setOver(false)}
    onDrop=${onDrop}
  >
    <input ref=${input} id=${id} class="hidden-text" type="file" accept=${TYPES} multiple=${multiple} onChange=${onChange} />
    <${Icon} name="image" />
    <span class="drop-label">${label}</span>
    <small class="soft">${hint}</small>
  </label>`;
}
