import common from './common.js';
import create from './create.js';
import gallery from './gallery.js';
import queue from './queue.js';
import sweep from './sweep.js';

export default { ...common, ...create, ...queue, ...gallery, ...sweep };
