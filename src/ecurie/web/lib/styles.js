/** Styles of views that come later than the page. */
const asked = new Map();

/** @returns {Promise<void>} when they are in use, or could not be had */
export function styles(name) {
  if (!asked.has(name)) {
    asked.set(
      name,
      new Promise((resolve) => {
        const link = document.createElement('link');
        link.rel = 'stylesheet';
        link.href = new URL(`../styles/${name}.css`, import.meta.url).href;
        link.onload = link.onerror = () => resolve();
        document.head.append(link);
      }),
    );
  }
  return asked.get(name);
}
