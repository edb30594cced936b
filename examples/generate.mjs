// A picture, told about while it is drawn, with nothing but what browsers and Node (18 or newer) have.
//
//     node examples/generate.mjs [SERVER]
//
// In a page of the server's own origin `server` is ""; other origins must be in ECURIE_ALLOWED_ORIGINS.

export async function generate(server, request, onEvent = () => {}, key = null) {
  const headers = key ? { Authorization: `Bearer ${key}` } : {};
  const job = await asked(`${server}/generate`, {
    method: "POST",
    headers: { ...headers, "Content-Type": "application/json" },
    body: JSON.stringify(request),
  });
  for await (const event of events(`${server}/jobs/${job.id}/events`, headers)) {
    onEvent(event.name, event.data);
    if (event.name === "state" && event.data.result) return event.data.result;
    if (event.name === "state" && event.data.finished_at) {
      throw new Error(event.data.error?.message ?? "the job was cancelled");
    }
  }
  throw new Error(`the connection ended before the job; ask GET ${job.status_url}`);
}

async function asked(url, options) {
  const answer = await fetch(url, options);
  const told = await answer.json();
  if (!answer.ok) throw new Error([told.detail, told.remedy].filter(Boolean).join("; "));
  return told;
}

// Server-sent events by `fetch`, since EventSource can send no key.
async function* events(url, headers) {
  const answer = await fetch(url, { headers });
  if (!answer.ok) throw new Error((await answer.json()).detail);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let pending = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (pending + value).split(/\r?\n\r?\n/);
    pending = blocks.pop();
    for (const block of blocks) {
      const field = (name) => block.match(new RegExp(`^${name}: ?(.*)$`, "m"))?.[1];
      if (field("data")) yield { name: field("event"), data: JSON.parse(field("data")) };
    }
  }
}

// Run by Node, not imported by a page.
if (globalThis.process?.argv[1] && import.meta.url === (await import("node:url")).pathToFileURL(process.argv[1]).href) {
  const { writeFile } = await import("node:fs/promises");
  const server = process.argv[2] ?? "http://localhost:8009";
  const key = process.env.ECURIE_API_KEY ?? null;
  const show = (name, data) => name === "step" && console.error(`${data.phase}: ${data.step} of ${data.total}`);
  const result = await generate(server, { prompt: "red apple", seed: 7, steps: 20 }, show, key);
  const picture = await fetch(server + result.images[0].url, {
    headers: key ? { Authorization: `Bearer ${key}` } : {},
  });
  await writeFile("apple.png", Buffer.from(await picture.arrayBuffer()));
  console.log("apple.png");
}
