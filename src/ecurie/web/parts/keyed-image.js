/** A picture of the server's that an `<img>` could not ask for by itself, since it sends no key. */
import { ask, epoch, hasKey, ignoreRefusals } from '../lib/api.js';
import { html, useEffect, useState } from '../lib/ui.js';

/** Addresses that are signed, or no addresses of the server at all, are used as they are. */
const needsKey = (src) => hasKey() && src.startsWith('/') && !src.includes('?');

export function KeyedImage({ src, alt, ...rest }) {
  const [url, setUrl] = useState(null);
  const asked = needsKey(src);
  useEffect(() => {
    if (!asked) return undefined;
    const stop = new AbortController();
    let made;
    ask(src, { signal: stop.signal, headers: { Accept: 'image/*' } })
      .then((response) => response.blob())
      .then((blob) => {
        made = URL.createObjectURL(blob);
        setUrl(made);
      })
      .catch((error) => {
        if (!stop.signal.aborted) ignoreRefusals(error);
      });
    return () => {
      stop.abort();
      if (made) URL.revokeObjectURL(made);
    };
  }, [src, asked, epoch.value]);
  return html`<img src=${asked ? url : src} alt=${alt} ...${rest} />`;
}
