/** Paints on the picture to start from what is drawn anew: by pointer, finger or keys. */
import { ask } from '../lib/api.js';
import { trying } from '../lib/acting.js';
import { form } from '../lib/form.js';
import { t } from '../lib/i18n.js';
import { MaskPainting } from '../lib/mask-painting.js';
import { upload } from '../lib/pictures.js';
import { styles } from '../lib/styles.js';
import { html, useEffect, useRef, useState } from '../lib/ui.js';
import { Button, IconButton } from './button.js';
import { Dialog } from './dialog.js';
import { Choice } from './fields.js';
import { Slider } from './number.js';

await styles('mask');

/** Of the picture's longer side. */
const SIZES = { least: 0.01, usual: 0.12, most: 0.5 };
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export function MaskEditor({ start, mask, onClose }) {
  const canvas = useRef(null);
  const painting = useRef(null);
  const held = useRef(null);
  const [picture, setPicture] = useState(null);
  const [tool, setTool] = useState('brush');
  const [size, setSize] = useState(0);
  const [at, setAt] = useState(null);
  const [, setDone] = useState(0);
  const [busy, setBusy] = useState(false);
  const again = () => setDone((count) => count + 1);
  const side = picture ? Math.max(picture.naturalWidth, picture.naturalHeight) : 1;

  useEffect(() => {
    trying(async () => {
      const [shown, before] = await Promise.all([imageOf(start.url), mask && imageOf(mask.url)]);
      const { naturalWidth: width, naturalHeight: height } = shown;
      Object.assign(canvas.current, { width, height });
      const colour = getComputedStyle(canvas.current).getPropertyValue('color');
      painting.current = new MaskPainting(canvas.current, colour, before);
      setPicture(shown);
      setSize(Math.round(Math.max(width, height) * SIZES.usual));
    });
  }, []);
  useEffect(() => () => picture && URL.revokeObjectURL(picture.src), [picture]);

  const pointOf = (event) => {
    const box = canvas.current.getBoundingClientRect();
    const scale = canvas.current.width / box.width;
    return { x: (event.clientX - box.left) * scale, y: (event.clientY - box.top) * scale };
  };
  const onPointerDown = (event) => {
    if (event.button !== 0 || held.current !== null || !painting.current) return;
    held.current = event.pointerId;
    canvas.current.setPointerCapture(event.pointerId);
    painting.current.begin(pointOf(event), size, tool === 'eraser');
    again();
  };
  const onPointerMove = (event) => {
    setAt(pointOf(event));
    if (event.pointerId !== held.current) return;
    // A fast hand is told of in bundles.
    for (const one of event.getCoalescedEvents?.() ?? [event]) painting.current.extend(pointOf(one));
  };
  const onPointerUp = (event) => {
    if (event.pointerId === held.current) held.current = null;
  };
  const undo = () => {
    if (!painting.current?.canUndo) return;
    painting.current.undo();
    again();
  };
  const onKeyDown = (event) => {
    if (!picture) return;
    const middle = at ?? { x: picture.naturalWidth / 2, y: picture.naturalHeight / 2 };
    if (event.key in MOVES) {
      const [dx, dy] = MOVES[event.key];
      const step = Math.max(1, size / (event.shiftKey ? 8 : 2));
      setAt({ x: clamp(middle.x + dx * step, picture.naturalWidth), y: clamp(middle.y + dy * step, picture.naturalHeight) });
    } else if (event.key === ' ') {
      painting.current.begin(middle, size, tool === 'eraser');
      setAt(middle);
      again();
    } else return;
    event.preventDefault();
  };
  const onKeys = (event) => {
    if (event.target.closest('input')) return;
    if (event.key === 'z' && (event.ctrlKey || event.metaKey)) undo();
    else if (event.key === '[') setSize((before) => Math.max(1, Math.round(before / 1.25)));
    else if (event.key === ']') setSize((before) => Math.min(side, Math.round(before * 1.25) + 1));
    else return;
    event.preventDefault();
  };
  const all = (kind) => {
    painting.current.all(kind);
    again();
  };
  const use = async () => {
    if (painting.current.empty) form.mask.value = null;
    else {
      setBusy(true);
      const sent = await upload(await painting.current.file());
      setBusy(false);
      if (!sent) return;
      form.mask.value = sent;
    }
    onClose();
  };
  const ratio = picture ? picture.naturalWidth / picture.naturalHeight : 1;
  return html`<${Dialog} wide title=${t('mask.title')} onClose=${onClose}>
    <div class="mask-editor" onKeyDown=${onKeys}>
      <div class="mask-tools">
        <${Choice} quiet label=${t('mask.tool')} value=${tool} options=${['brush', 'eraser'].map((value) => ({ value, label: t(`mask.${value}`) }))} onChange=${setTool} />
        <div class="mask-buttons">
          <${IconButton} icon="undo" label=${t('mask.undo')} disabled=${!painting.current?.canUndo} onClick=${undo} />
          <${IconButton} icon="invert" label=${t('mask.invert')} onClick=${() => all('invert')} />
          <${IconButton} icon="trash" label=${t('mask.clear')} onClick=${() => all('clear')} />
        </div>
        <${Slider} small label=${t('mask.size')} min=${Math.max(1, Math.round(side * SIZES.least))} max=${Math.round(side * SIZES.most)} step=${1} value=${size} onChange=${setSize} />
      </div>
      <p id="mask-keys" class="hidden-text">${t('mask.keys')}</p>
      <div class="mask-easel" style=${{ '--ratio': ratio }}>
        ${picture && html`<img src=${picture.src} alt="" draggable=${false} />`}
        <canvas
          ref=${canvas}
          role="application"
          tabindex="0"
          aria-label=${t('mask.canvas')}
          aria-describedby="mask-keys"
          onKeyDown=${onKeyDown}
          onPointerDown=${onPointerDown}
          onPointerMove=${onPointerMove}
          onPointerUp=${onPointerUp}
          onPointerCancel=${onPointerUp}
          onPointerLeave=${() => held.current === null && setAt(null)}
        ></canvas>
        ${at && picture && html`<span class="mask-cursor" style=${cursor(at, size, picture)}></span>`}
      </div>
      <div class="actions actions-end">
        <${Button} onClick=${onClose}>${t('mask.leave')}<//>
        <${Button} kind="primary" icon="check" disabled=${busy || !picture} onClick=${use}>${t('mask.use')}<//>
      </div>
    </div>
  <//>`;
}

const clamp = (value, most) => Math.min(most, Math.max(0, value));

/** In shares of the picture, whatever size it is shown in. */
function cursor({ x, y }, size, { naturalWidth: width, naturalHeight: height }) {
  const share = (part, whole) => `${(part / whole) * 100}%`;
  return { left: share(x, width), top: share(y, height), width: share(size, width) };
}

/** From the server, with the key if there is one, so that it may be read as pixels. */
async function imageOf(url) {
  const file = await (await ask(url, { headers: { Accept: 'image/*' } })).blob();
  const image = new Image();
  image.src = URL.createObjectURL(file);
  await image.decode();
  return image;
}
