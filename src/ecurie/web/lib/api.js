/** Asking the server. What goes wrong becomes a Problem; that it is away, or wants a key, is told to the whole page. */
import { device, read, thisWindow, write } from './keeping.js';
import { computed, signal } from './ui.js';

/** false while the server does not answer. */
export const online = signal(true);
/** null, or why the page needs a key: `missing` or `wrong`. */
export const keyWanted = signal(null);
/** Whether it makes sense to ask at all. */
export const reachable = computed(() => online.value && keyWanted.value === null);
/** Counts up when everything should be asked for anew: the server is back, or another key is used. */
export const epoch = signal(0);

const PROBE_MS = [500, 1000, 2000, 4000];
let key = read(thisWindow, 'key') ?? read(device, 'key') ?? null;

/** What the server refused, and why: RFC 9457, as `docs/api.md` has it. */
export class Problem extends Error {
  constructor(status, document = {}) {
    super(document.detail ?? document.title ?? `HTTP ${status}`);
    this.status = status;
    this.code = document.code ?? `http-${status}`;
    this.field = document.field;
    this.remedy = document.remedy;
  }
}

/** The server did not answer. */
export class Away extends Error {}

/** For what may fail without harm: the page tells by itself that the server is away or wants a key. */
export function ignoreRefusals(error) {
  if (!(error instanceof Away || error instanceof Problem)) throw error;
}

/** Use this key from now on; `remember`: also in other windows and after this one is closed. */
export function useKey(entered, remember) {
  key = entered || null;
  write(thisWindow, 'key', key ?? undefined);
  write(device, 'key', remember && key ? key : undefined);
  keyWanted.value = null;
  epoch.value += 1;
}

export const hasKey = () => key !== null;

/**
 * A request as `fetch` makes it, with the key.
 * @returns {Promise<Response>} one whose status is good
 * @throws {Problem | Away}
 */
export async function ask(path, options = {}) {
  const sent = key;
  const headers = { Accept: 'application/json', ...options.headers, ...(sent && { Authorization: `Bearer ${sent}` }) };
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    wentAway();
    throw new Away(error.message);
  }
  if (response.ok) return response;
  // An answer to another key than the one in use now says nothing about this one.
  if (response.status === 401 && sent === key) keyWanted.value = sent === null ? 'missing' : 'wrong';
  throw new Problem(response.status, await response.json().catch(() => ({})));
}

/** GET, and the JSON of the answer. */
export const get = async (path, options) => (await ask(path, options)).json();

/** Send JSON, or a file as it is, and get JSON. */
export async function send(method, path, body, options = {}) {
  const isFile = body instanceof Blob;
  const type = isFile ? body.type || 'application/octet-stream' : 'application/json';
  const sent = body === undefined ? {} : { body: isFile ? body : JSON.stringify(body), headers: { 'Content-Type': type } };
  const response = await ask(path, { method, ...sent, ...options });
  return response.status === 204 ? null : response.json();
}

async function wentAway() {
  if (!online.value) return;
  online.value = false;
  for (let attempt = 0; !online.value; attempt += 1) {
    await new Promise((resolve) => setTimeout(resolve, PROBE_MS[Math.min(attempt, PROBE_MS.length - 1)]));
    online.value = await fetch('/healthz').then((response) => response.ok, () => false);
  }
  epoch.value += 1;
}
