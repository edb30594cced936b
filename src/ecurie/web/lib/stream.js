/** Server-sent events by `fetch`, since EventSource cannot send a key. */
import { ask } from './api.js';

/**
 * Call `on(name, data)` for each event until the server ends the stream.
 * @throws {Problem | Away | Error} what `ask` throws, or when the connection is cut
 */
export async function listen(path, on, signal) {
  const response = await ask(path, { signal, headers: { Accept: 'text/event-stream' } });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split(/\r?\n\r?\n/);
    rest = blocks.pop();
    for (const block of blocks) tell(block, on);
  }
}

function tell(block, on) {
  let name = 'message';
  const data = [];
  for (const line of block.split(/\r?\n/)) {
    if (line.startsWith('event:')) name = line.slice(6).trim();
    else if (line.startsWith('data:')) data.push(line.slice(5).trim());
  }
  if (data.length) on(name, JSON.parse(data.join('\n')));
}
