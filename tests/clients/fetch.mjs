// Node's own fetch (undici) with the depot: the same requests as sessions.py.
//
// fetch.mjs URL TOKEN
// Prints what came of it.

import { createHash, randomBytes } from "node:crypto";
import { subscribe } from "node:diagnostics_channel";

const [url, token] = process.argv.slice(2);
const authorization = `Bearer ${token}`;

let connections = 0;
subscribe("undici:client:connected", () => connections++);

const described = (bytes) => ({ length: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") });

// As it comes.
async function get(path, headers = { authorization }) {
  const answer = await fetch(url + path, { headers });
  const pieces = [];
  for await (const piece of answer.body ?? []) pieces.push(piece);
  return Buffer.concat(pieces);
}

async function post(path, body) {
  const answer = await fetch(url + path, { method: "POST", headers: { authorization }, body, duplex: "half" });
  return answer.json();
}

// Reads the beginning alone.
async function abandon(path) {
  const controller = new AbortController();
  const answer = await fetch(url + path, { headers: { authorization }, signal: controller.signal });
  const { value } = await answer.body.getReader().read();
  controller.abort();
  return Math.min(value.length, 1000);
}

// Without a length, and of a size that nothing on the way has.
function inPieces(content) {
  let start = 0;
  return new ReadableStream({
    pull(controller) {
      if (start >= content.length) return controller.close();
      controller.enqueue(new Uint8Array(content.subarray(start, start + 54_321)));
      start += 54_321;
    },
  });
}

const report = { repeated: [], uploads: [], downloads: [], abandoned: [] };
for (let i = 0; i < 20; i++) report.repeated.push(described(await get("bytes/1000")));
for (const content of [randomBytes(5_000_000), randomBytes(1), Buffer.alloc(0)]) {
  for (const body of [content, inPieces(content)]) {
    report.uploads.push({ sent: described(content), arrived: await post("described", body) });
  }
}
for (const path of ["bytes/5000000", "chunks/5000000"]) report.downloads.push(described(await get(path)));
report.refused = JSON.parse(await get("bytes/1000", { authorization: "Bearer nonsense" })).code;
report.after = described(await get("bytes/1000"));
report.connections = connections;
report.at_once = await Promise.all(Array.from({ length: 100 }, async () => described(await get("bytes/1000"))));
for (let i = 0; i < 3; i++) report.abandoned.push(await abandon("bytes/5000000"));
report.in_the_end = described(await get("bytes/1000"));
console.log(JSON.stringify(report));
