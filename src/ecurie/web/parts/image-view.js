/** One image, large, with everything that made it. */
import { Problem, epoch, get, ignoreRefusals } from '../lib/api.js';
import { NO_FILTER, filter, look, neighbours, remove, state } from '../lib/gallery.js';
import { t } from '../lib/i18n.js';
import { go, href } from '../lib/router.js';
import { say, sayError } from '../lib/say.js';
import { html, useEffect, useRef, useState } from '../lib/ui.js';
import { IconButton } from './button.js';
import { ConfirmDelete } from './confirm-delete.js';
import { Icon } from './icon.js';
import { ImageActions } from './image-actions.js';
import { ImageFacts } from './image-facts.js';
import { Replay } from './replay.js';
import { Zoom } from './zoom.js';

/** @param {{jobId: string, index: number}} props */
export function ImageView({ jobId, index }) {
  const [job, setJob] = useState(null);
  const [missing, setMissing] = useState('');
  const [deleting, setDeleting] = useState(false);
  const [replayed, setReplayed] = useState(null);
  const view = useRef(null);
  const back = href('gallery', shownFilter());
  const { newer, older } = neighbours(`${jobId}/${index}`);
  const image = job?.result?.images[index];

  useEffect(() => {
    let left = false;
    get(`/jobs/${jobId}`).then(
      (found) => {
        if (left) return;
        setJob(found);
        setMissing(found.result?.images[index] ? '' : t('image.unknown'));
      },
      (error) => {
        ignoreRefusals(error);
        if (!left && error instanceof Problem) setMissing(error.message);
      },
    );
    return () => {
      left = true;
    };
  }, [epoch.value]);
  useEffect(() => {
    view.current.focus({ preventScroll: true });
    scrollTo(0, 0);
    // For the images beside it, where this one was opened by its address.
    if (state.value === 'new') look(NO_FILTER);
  }, []);

  const show = (other) => other && location.replace(href(`gallery/${other.job_id}/${other.index}`));
  const onKeyDown = (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || document.querySelector('dialog[open]') || event.target.closest('input, textarea, select')) return;
    const act = {
      ArrowLeft: () => show(newer),
      ArrowRight: () => show(older),
      Escape: () => go(back.slice(2)),
      Delete: () => image && setDeleting(true),
    }[event.key];
    if (!act || event.defaultPrevented) return;
    event.preventDefault();
    act();
  };
  useEffect(() => {
    document.addEventListener('keydown', onKeyDown);
    return () => document.removeEventListener('keydown', onKeyDown);
  });
  const confirmed = async () => {
    setDeleting(false);
    try {
      await remove(image);
    } catch (error) {
      ignoreRefusals(error);
      sayError(error);
      return;
    }
    say(t('image.deleted'));
    if (older ?? newer) show(older ?? newer);
    else go('gallery');
  };

  return html`<div class="image-view" ref=${view} tabindex="-1">
    <div class="image-stage">
      <div class="image-bar">
        <a class="icon-button" href=${back} aria-label=${t('image.back')} title=${t('image.back')}><${Icon} name="gallery" /></a>
        <span class="image-turn">
          <${IconButton} icon="left" label=${t('image.newer')} disabled=${!newer} onClick=${() => show(newer)} />
          <${IconButton} icon="right" label=${t('image.older')} disabled=${!older} onClick=${() => show(older)} />
        </span>
      </div>
      ${image && html`<${Zoom} image=${image} alt=${t('image.alt', { prompt: job.request.prompt })} />`}
      ${missing && html`<div class="empty"><p class="display">${t('image.none')}</p><p>${missing}</p></div>`}
    </div>
    <div class="image-side">
      ${image &&
      html`<${ImageActions} job=${job} index=${index} onDelete=${() => setDeleting(true)} onReplayed=${setReplayed} />
        ${replayed && html`<${Replay} id=${replayed} original=${`${jobId}/${index}`} />`}
        <${ImageFacts} job=${job} image=${image} />`}
    </div>
    ${deleting && html`<${ConfirmDelete} image=${image} onConfirm=${confirmed} onClose=${() => setDeleting(false)} />`}
  </div>`;
}

const shownFilter = () => (state.value === 'new' ? {} : Object.entries(filter.value).filter(([, value]) => value));
