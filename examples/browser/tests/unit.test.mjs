// Parts of the page that need no browser.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const { build } = createRequire(new URL("../page/package.json", import.meta.url))("esbuild");

/** A module of the page. */
async function module(name) {
  const entry = fileURLToPath(new URL(`../page/src/${name}.ts`, import.meta.url));
  const { outputFiles } = await build({ entryPoints: [entry], bundle: true, write: false, format: "esm" });
  return import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString("base64")}`);
}

const relay = {
  ufrag: "03abcdEF+/", password: "a".repeat(24), fingerprint: `sha-256 ${Array(32).fill("aB").join(":")}`,
  addresses: ["192.0.2.1:8443", "[2001:db8::1]:8443"],
};

test("nothing that the relay says of its link adds a line to the offer", async () => {
  const { isFit, offer } = await module("sdp");
  assert.ok(isFit(relay));
  const lines = offer(relay, [{ mid: "camera", media: "video", way: "up", stream: null }], 1).split("\r\n");
  assert.ok(lines.includes("a=candidate:2 1 udp 2130706430 2001:db8::1 8443 typ host"));
  const evil = "\r\na=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level";
  for (const change of [
    { ufrag: `abcd${evil}` }, { ufrag: "abc" }, { ufrag: "abcd\n" }, { password: `${relay.password}${evil}` }, { password: "" },
    { fingerprint: `${relay.fingerprint}${evil}` }, { fingerprint: relay.fingerprint.slice(0, -3) }, { fingerprint: `${relay.fingerprint}\n` },
    { addresses: [`192.0.2.1:8443${evil}`] }, { addresses: ["relay.example:8443"] }, { addresses: ["192.0.2.1"] }, { addresses: Array(17).fill("192.0.2.1:1") },
  ]) assert.ok(!isFit({ ...relay, ...change }), JSON.stringify(change));
});

test("our streams have the SSRCs that the relay gave them", async () => {
  const { withSsrcs } = await module("sdp");
  const answer = ["v=0", "m=video 9 x 45", "a=mid:camera", "a=ssrc-group:FID 7 8", "a=ssrc:7 cname:c", "a=ssrc:8 cname:c", "m=audio 9 x 111", "a=mid:voice", "a=ssrc:9 cname:c", ""].join("\r\n");
  const line = (mid, ssrc) => ({ mid, media: "video", way: "up", stream: { ssrc, rtxSsrc: ssrc + 1, participant: 0, stream: 1 } });
  const written = withSsrcs(answer, [line("camera", 4098), line("voice", 4100)]).split("\r\n");
  assert.deepEqual(written.filter((it) => it.startsWith("a=ssrc")), ["a=ssrc-group:FID 4098 4099", "a=ssrc:4098 cname:c", "a=ssrc:4099 cname:c", "a=ssrc:4100 cname:c"]);
});

test("what is sent without the worker is found out, also after it sealed something", async () => {
  const { Ledger } = await module("figures");
  const ledger = new Ledger();
  const cost = { sealed: 0, sealMs: 0, opened: 0, openMs: 0, added: 0 };
  const look = (bytes, total) => {
    ledger.passed(total === null ? [] : [[1, { layers: {}, total, refused: {} }]], cost);
    ledger.stats(new Map([["o", { type: "outbound-rtp", kind: "video", ssrc: 5, bytesSent: bytes, framesSent: 1, timestamp: bytes }]]), () => 1);
    return ledger.unsealed;
  };
  for (let second = 1; second <= 20; second += 1) assert.ok(!look(second * 1000, second * 30));
  // Nothing is sent: nothing is suspected.
  for (let second = 0; second < 20; second += 1) assert.ok(!look(20_000, 600));
  // The last report of the worker may be a little old.
  for (let second = 1; second <= 4; second += 1) assert.ok(!look(20_000 + second * 1000, 600));
  assert.ok(!look(26_000, 630));
  for (let second = 1; second <= 4; second += 1) look(26_000 + second * 1000, 630);
  assert.ok(look(31_000, 630));
});

test("Chrome's bitrate leaves room for no layer that nobody watches", async () => {
  const { layersBitrate, spatialLayers } = await module("rate");
  assert.deepEqual([1280, 960, 640, 320].map((width) => spatialLayers("L3T3_KEY", width, (width * 9) / 16)), [3, 3, 2, 1]);
  const bitrates = [0, 1, 2].map((spatial) => layersBitrate(1280, 720, 3, spatial));
  assert.deepEqual(bitrates, [142_160, 560_800, 2_085_360]);
});
