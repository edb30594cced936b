/** What moves a row of a list: dragged by a pointer, or by the arrow keys. */
import { html, useLayoutEffect, useRef } from '../lib/ui.js';
import { Icon } from './icon.js';

/**
 * @param {{label: string, index: number, onMove: (to: number) => void, indexAt: (y: number) => number,
 *   onHold: (held: boolean) => void}} props `indexAt`: which place a height on the screen belongs to
 */
export function Grip({ label, index, onMove, indexAt, onHold }) {
  const button = useRef(null);
  const now = useRef({});
  now.current = { index, onMove, indexAt };
  const moved = useRef(false);
  const move = (to) => {
    if (to === now.current.index) return;
    moved.current = true;
    now.current.onMove(to);
  };
  // A row that changes places in the document loses the focus.
  useLayoutEffect(() => {
    if (moved.current) button.current.focus();
    moved.current = false;
  }, [index]);

  const onPointerDown = (event) => {
    event.preventDefault();
    button.current.focus();
    onHold(true);
    // And the capture of the pointer, so the whole window is listened to.
    const end = new AbortController();
    const stop = () => {
      end.abort();
      onHold(false);
    };
    const { signal } = end;
    addEventListener('pointermove', ({ clientY }) => move(now.current.indexAt(clientY)), { signal });
    addEventListener('pointerup', stop, { signal });
    addEventListener('pointercancel', stop, { signal });
  };
  const onKeyDown = (event) => {
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    move(index + step);
  };
  return html`<button
    ref=${button}
    type="button"
    class="grip"
    aria-label=${label}
    title=${label}
    onPointerDown=${onPointerDown}
    onKeyDown=${onKeyDown}
  >
    <${Icon} name="grip" />
  </button>`;
}
