// Two tabs and a native participant in one meeting: the criteria of a browser's part in it.
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { after, before, test } from "node:test";
import { World, camera, sees, shown, sleep, until, videos } from "./world.mjs";

/** As long as CI has; 60 s by hand. */
const SECONDS = Number(process.env.SECONDS_LONG ?? 20);
/** A machine that does nothing else shows more, and stops less. */
const idle = process.env.IDLE === "1";
const [SHARE, FREEZE] = idle ? [0.95, 500] : [0.5, 3000];

let world;
before(async () => (world = await World.start()));
after(async () => world.stop());

test("two tabs and a native participant see and hear each other", { timeout: (SECONDS + 60) * 1000 }, async (t) => {
  const browser = await world.browser([`--use-file-for-fake-video-capture=${camera(640, 360)}`]);
  const ada = await world.organizer(2, ["--video", "scene", "--audio", "tone", "--window", "640x360", "--lines", "1000", "--record", `${world.directory}/ada`]);
  const tabs = { Bob: await world.guest(browser, ada.links[0], "Bob"), Eve: await world.guest(browser, ada.links[1], "Eve") };
  const others = { Bob: ["Ada", "Eve"], Eve: ["Ada", "Bob"] };
  for (const [name, tab] of Object.entries(tabs)) for (const other of others[name]) await sees(tab, other, 30_000);
  await sleep(3000);
  const began = {};
  for (const [name, tab] of Object.entries(tabs)) began[name] = { at: await tab.evaluate(() => performance.now()), inbound: await videos(tab, "inbound-rtp") };
  await sleep(SECONDS * 1000);

  for (const [name, tab] of Object.entries(tabs)) {
    const inbound = await videos(tab, "inbound-rtp");
    assert.equal(inbound.length, 2);
    for (const now of inbound) {
      const before = began[name].inbound.find((it) => it.ssrc === now.ssrc);
      const received = now.framesReceived - before.framesReceived;
      const decoded = now.framesDecoded - before.framesDecoded - (now.framesDropped - before.framesDropped);
      t.diagnostic(`${name}, ${now.ssrc}: ${received} frames received, ${decoded} shown, ${now.frameWidth}x${now.frameHeight}, ${now.nackCount} NACKs`);
      assert.ok(received > SECONDS * 5, `${received} frames came`);
      assert.ok(decoded >= SHARE * received, `${decoded} of ${received} frames were shown`);
    }
    for (const other of others[name]) {
      const { presented, longest } = await shown(tab, other, began[name].at);
      t.diagnostic(`${name} sees ${other}: ${presented} pictures, longest pause ${longest.toFixed(0)} ms`);
      assert.ok(longest <= FREEZE, `${name} saw ${other} stand still for ${longest} ms`);
    }
    const sounds = (await tab.evaluate(async () => [...(await window.__links.at(-1).getStats()).values()])).filter((it) => it.type === "inbound-rtp" && it.kind === "audio");
    assert.equal(sounds.length, 2);
    for (const sound of sounds) assert.ok(sound.packetsReceived > SECONDS * 25, `${sound.packetsReceived} packets of sound`);
    await tab.click("[data-do=layers]");
    const layers = await until(() => tab.$$eval(".stream", (all) => all.length >= 3 && all.map((it) => `${it.getAttribute("aria-label")}: ${it.dataset.layers}`)), "no layers are shown");
    t.diagnostic(`${name}: ${layers.join("; ")}`);
    t.diagnostic(await tab.$eval("#side-body > p:last-child", (it) => it.textContent));
    assert.deepEqual(await tab.$$eval("#side-body .error", (all) => all.map((it) => it.textContent)), [], "nothing was refused");
  }
  const streams = ada.lines().filter((line) => line.line === "stream" && ["camera", "voice"].includes(line.kind)).slice(-4);
  for (const line of streams) t.diagnostic(`Ada gets ${line.who}, ${line.kind}: ${JSON.stringify({ ...line, who: undefined })}`);
  assert.equal(streams.length, 4);
  for (const line of streams) assert.deepEqual(line.closed ?? {}, {}, "all that came opened");
  for (const name of ["Bob", "Eve"]) {
    const camera = streams.find((line) => line.who.startsWith(name) && line.kind === "camera");
    assert.ok(camera.rate > 5 && camera.size !== null, `${name}: ${JSON.stringify(camera)}`);
  }

  // All have the same code, which they could not have if somebody led them apart.
  const codes = new Set();
  for (const tab of Object.values(tabs)) {
    await tab.click("#show-code");
    codes.add(await tab.$eval(".code", (it) => it.textContent));
  }
  ada.say("code");
  const code = await until(() => ada.lines().findLast((line) => line.notice === "code")?.code, "no code");
  codes.add(code.replaceAll(" ", ""));
  assert.equal(codes.size, 1, [...codes].join("; "));

  // What the relay handed on is ciphertext: all bytes are about as frequent, and nothing of the opened pictures is in it.
  ada.say("quit");
  await until(() => ada.ended, "Ada does not go");
  const sealed = packets(readFileSync(`${world.directory}/ada/packets.bin`));
  assert.ok(sealed.length > 100_000, `${sealed.length} bytes were recorded`);
  const bits = entropy(sealed);
  t.diagnostic(`${sealed.length} bytes of sealed video have ${bits.toFixed(4)} bits of entropy each`);
  assert.ok(bits > 7.99, `${bits} bits`);
  const opened = readdirSync(`${world.directory}/ada`).filter((name) => name.endsWith(".ivf"));
  assert.equal(opened.length, 2, "nothing was opened");
  for (const name of opened) {
    const video = readFileSync(`${world.directory}/ada/${name}`);
    for (let at = 1; at < 100; at += 1) {
      const part = video.subarray(Math.floor((video.length * at) / 100)).subarray(0, 16);
      assert.ok(!sealed.includes(part), "a part of a picture was sent in clear");
    }
  }
});

/** The payloads of the video packets in a record, each without the byte of aggregation and the OBU's header. */
function packets(record) {
  const payloads = [];
  for (let at = 0; at + 16 <= record.length; ) {
    const packet = record.subarray(at + 16, at + 16 + record.readUInt32BE(at + 12));
    at += 16 + packet.length;
    if ((packet[1] & 0x7f) !== 45) continue;
    const fixed = 12 + 4 * (packet[0] & 15);
    const start = packet[0] & 0x10 ? fixed + 4 + 4 * packet.readUInt16BE(fixed + 2) : fixed;
    payloads.push(packet.subarray(start + 2));
  }
  return Buffer.concat(payloads);
}

/** Bits of entropy of a byte, by how frequent each is. */
function entropy(bytes) {
  const counts = new Array(256).fill(0);
  for (const byte of bytes) counts[byte] += 1;
  return counts.filter((count) => count > 0).reduce((sum, count) => sum - (count / bytes.length) * Math.log2(count / bytes.length), 0);
}
