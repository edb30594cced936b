/** An image that can be looked at closely: by wheel, fingers, keys or buttons. */
import { t } from '../lib/i18n.js';
import { html, useEffect, useLayoutEffect, useRef, useState } from '../lib/ui.js';
import { IconButton } from './button.js';
import { KeyedImage } from './keyed-image.js';

const MOST = 16;
const STEP = 1.5;
const PAN = 60;
/** `scale` 1: the image as it fits; `x` and `y`: how far its middle is off, in pixels of the screen. */
const FIT = { scale: 1, x: 0, y: 0 };

export function Zoom({ image, alt }) {
  const frame = useRef(null);
  const pointers = useRef(new Map());
  const [view, setView] = useState(FIT);
  const [fitting, setFitting] = useState(null);
  useEffect(() => setView(FIT), [image.filename]);
  useLayoutEffect(() => {
    const measured = () => setFitting(fit(image, frame.current));
    const watcher = new ResizeObserver(measured);
    watcher.observe(frame.current);
    measured();
    return () => watcher.disconnect();
  }, [image.width, image.height]);

  const limited = ({ scale, x, y }) => {
    const box = frame.current.getBoundingClientRect();
    const slack = (size, whole) => Math.max(0, (size * scale - whole) / 2);
    const [most, least] = [slack(fitting.width, box.width), slack(fitting.height, box.height)];
    const within = (value, limit) => Math.min(limit, Math.max(-limit, value));
    return { scale, x: within(x, most), y: within(y, least) };
  };
  /** Enlarge by `factor`, what lies under a point of the screen staying there. */
  const enlarge = (factor, point) =>
    setView((before) => {
      const box = frame.current.getBoundingClientRect();
      const scale = Math.min(MOST, Math.max(1, before.scale * factor));
      const by = scale / before.scale;
      const at = point ?? { x: box.left + box.width / 2, y: box.top + box.height / 2 };
      const from = { x: at.x - box.left - box.width / 2, y: at.y - box.top - box.height / 2 };
      return limited({ scale, x: from.x - (from.x - before.x) * by, y: from.y - (from.y - before.y) * by });
    });
  const pan = (dx, dy) => setView((before) => limited({ ...before, x: before.x + dx, y: before.y + dy }));

  useEffect(() => {
    const onWheel = (event) => {
      // Without Ctrl the wheel scrolls the page, until the image is enlarged.
      if (!event.ctrlKey && view.scale === 1 && event.deltaY > 0) return;
      event.preventDefault();
      enlarge(Math.exp(-event.deltaY / 400), { x: event.clientX, y: event.clientY });
    };
    // A listener of Preact's could not keep the page from scrolling.
    const element = frame.current;
    element.addEventListener('wheel', onWheel, { passive: false });
    return () => element.removeEventListener('wheel', onWheel);
  });
  const onPointerMove = (event) => {
    const held = pointers.current;
    if (!held.has(event.pointerId)) return;
    const before = held.get(event.pointerId);
    const now = { x: event.clientX, y: event.clientY };
    const other = [...held].find(([id]) => id !== event.pointerId)?.[1];
    held.set(event.pointerId, now);
    if (other) enlarge(distance(now, other) / distance(before, other), { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 });
    else pan(now.x - before.x, now.y - before.y);
  };
  const onPointerDown = (event) => {
    if (event.button !== 0) return;
    event.currentTarget.setPointerCapture(event.pointerId);
    pointers.current.set(event.pointerId, { x: event.clientX, y: event.clientY });
  };
  const onPointerUp = (event) => pointers.current.delete(event.pointerId);
  const onKeyDown = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const moves = { ArrowLeft: [PAN, 0], ArrowRight: [-PAN, 0], ArrowUp: [0, PAN], ArrowDown: [0, -PAN] };
    if (event.key === '+' || event.key === '=') enlarge(STEP);
    else if (event.key === '-') enlarge(1 / STEP);
    else if (event.key === '0') setView(FIT);
    else if (view.scale > 1 && event.key in moves) pan(...moves[event.key]);
    else return;
    event.preventDefault();
  };
  const whole = fitting ? image.width / fitting.width : 1;
  const shown = Math.round((view.scale / whole) * 100);
  return html`<div class="zoom">
    <div
      ref=${frame}
      class=${view.scale > 1 ? 'zoom-frame zoom-near' : 'zoom-frame'}
      role="group"
      tabindex="0"
      aria-label=${t('zoom.label')}
      onKeyDown=${onKeyDown}
      onPointerDown=${onPointerDown}
      onPointerMove=${onPointerMove}
      onPointerUp=${onPointerUp}
      onPointerCancel=${onPointerUp}
      onDblClick=${(event) => (view.scale > 1 ? setView(FIT) : enlarge(Math.max(2, whole), { x: event.clientX, y: event.clientY }))}
    >
      ${fitting &&
      html`<${KeyedImage}
        class=${view.scale > 1 && view.scale / whole >= 3 ? 'zoom-image zoom-pixels' : 'zoom-image'}
        src=${image.url}
        alt=${alt}
        draggable=${false}
        style=${{ width: `${fitting.width}px`, height: `${fitting.height}px`, transform: `translate(${view.x}px, ${view.y}px) scale(${view.scale})` }}
      />`}
    </div>
    <div class="zoom-tools" role="group" aria-label=${t('zoom.tools')}>
      <${IconButton} icon="minus" label=${t('zoom.out')} disabled=${view.scale <= 1} onClick=${() => enlarge(1 / STEP)} />
      <output class="numbers">${shown}%</output>
      <${IconButton} icon="plus" label=${t('zoom.in')} disabled=${view.scale >= MOST} onClick=${() => enlarge(STEP)} />
      <${IconButton} icon="expand" label=${t('zoom.fit')} disabled=${view.scale === 1} onClick=${() => setView(FIT)} />
    </div>
  </div>`;
}

const distance = (a, b) => Math.max(1, Math.hypot(a.x - b.x, a.y - b.y));

/** As large as there is room for, small ones at most eightfold. */
function fit({ width, height }, element) {
  const { width: most, height: least } = element.getBoundingClientRect();
  const scale = Math.min(most / width, least / height, 8);
  return { width: width * scale, height: height * scale };
}
