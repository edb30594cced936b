/** The page begins here. */
import { speak } from './lib/i18n.js';
import { html, render } from './lib/ui.js';
import { Shell } from './parts/shell.js';

await speak();
render(html`<${Shell} />`, document.getElementById('app'));
