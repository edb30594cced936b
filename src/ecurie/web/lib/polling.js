/** Looking again and again, while somebody looks at the page. */
import { ignoreRefusals, reachable } from './api.js';

const seen = () =>
  new Promise((resolve) => {
    document.addEventListener('visibilitychange', resolve, { once: true });
  });

/**
 * Call `look` now and `ms` after each end; not while the window is hidden, the server away or a key wanted.
 * What `ask` throws only means that there is nothing new.
 * @returns {() => void} what ends it
 */
export function every(ms, look) {
  let ended = false;
  (async () => {
    while (!ended) {
      try {
        if (reachable.value) await look();
      } catch (error) {
        ignoreRefusals(error);
      }
      await new Promise((resolve) => setTimeout(resolve, ms));
      if (document.hidden && !ended) await seen();
    }
  })();
  return () => {
    ended = true;
  };
}
