// What nobody is to see: those who were removed, those without keys, and everybody of what was tampered with.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { World, admit, camera, clock, invitation, sees, shown, sleep, until, videos } from "./world.mjs";

/** Does with frames what a relay could do, before the page's worker gets them. Every 20th frame is tampered with. */
const TAMPER = `
const way = location.hash.slice(1);
let passed = 0, kept = null;
const altered = (frame, metadata, data = frame.data) => ({
  get data() { return data; }, set data(opened) { throw new Error("a tampered frame opened"); },
  type: frame.type, getMetadata: () => ({ ...frame.getMetadata(), ...metadata }),
});
const copy = (frame, change) => { const bytes = new Uint8Array(frame.data.slice(0)); change(bytes); return bytes.buffer; };
const ways = {
  flip: (frame) => [altered(frame, {}, copy(frame, (bytes) => { bytes[bytes.length - 20] ^= 1; }))],
  number: (frame) => [altered(frame, { frameId: frame.getMetadata().frameId + 100, dependencies: frame.getMetadata().dependencies.map((id) => id + 100) })],
  layer: (frame) => [altered(frame, { spatialIndex: frame.getMetadata().spatialIndex ^ 1 })],
  dependency: (frame) => [altered(frame, { dependencies: [...frame.getMetadata().dependencies, frame.getMetadata().frameId - 7] })],
  replay: (frame) => { const again = kept; kept = altered(frame, {}, frame.data.slice(0)); return again ? [again, frame] : [frame]; },
  cut: (frame) => [altered(frame, {}, frame.data.slice(0, 12))],
  garbage: (frame) => [altered(frame, {}, crypto.getRandomValues(new Uint8Array(200)).buffer)],
};
// What comes of videos is kept, or is taken away before the worker sees it, or comes from another tab's record.
let handler = null, obey = null, silent = false, keeps = false, blind = false;
const recorded = [];
const Socket = WebSocket;
self.WebSocket = class extends Socket {
  // Whoever is removed may refuse to hear of it.
  set onmessage(given) { super.onmessage = (event) => { if (!silent) given(event); }; }
  set onclose(given) { super.onclose = (event) => { if (!silent) given(event); }; }
};
const asks = {
  set(given) { ({ silent = silent, keeps = keeps, blind = blind } = given); return true; },
  recorded() { return recorded.splice(0); },
  async try(frames) {
    const opened = [];
    const readable = new ReadableStream({ start(to) {
      for (const { bytes, type, metadata } of frames) to.enqueue({ data: new Uint8Array(bytes).buffer, type, getMetadata: () => metadata });
      to.close();
    } });
    await new Promise((done) => handler({ transformer: {
      readable, writable: new WritableStream({ write(frame) { opened.push(frame.getMetadata()); }, close: done, abort: done }),
      options: { side: "receive", kind: "video" },
    } }));
    return opened;
  },
};
Object.defineProperty(self, "onmessage", { set(given) { obey = given; } });
self.addEventListener("message", async (event) => {
  const { test, number, given } = event.data;
  if (test === undefined) obey(event);
  else postMessage({ test: number, answer: await asks[test](given) });
});
Object.defineProperty(self, "onrtctransform", { set(given) { handler = given; } });
self.addEventListener("rtctransform", ({ transformer }) => {
  const { readable, writable, options } = transformer;
  const attack = new TransformStream({ transform(frame, out) {
    if (options.side === "receive" && options.kind === "video") {
      if (keeps) recorded.push({ bytes: [...new Uint8Array(frame.data)], type: frame.type, metadata: frame.getMetadata() });
      if (blind) return;
    }
    if (way !== "" && options.side === "receive" && options.kind === "video" && ++passed > 60 && passed % 20 === 0) {
      for (const it of ways[way](frame)) out.enqueue(it);
    } else out.enqueue(frame);
  } });
  handler({ transformer: { readable: readable.pipeThrough(attack), writable, options } });
});
`;

let world, browser;
before(async () => {
  world = await World.start({ prelude: TAMPER });
  browser = await world.browser([`--use-file-for-fake-video-capture=${camera(640, 360)}`]);
});
after(async () => world.stop());

/** Puts somebody out. */
async function remove(tab, name) {
  const row = `[data-participant]:has(strong:text-is("${name}"))`;
  await tab.click(`${row} summary`);
  await tab.click(`${row} .danger`);
  await tab.click("#ask-buttons .danger");
}

test("whoever is removed sees nothing more, and the others go on", { timeout: 90_000 }, async (t) => {
  const ada = await world.host(browser);
  const bob = await world.guest(browser, await invitation(ada), "Bob");
  await admit(ada, "Bob");
  const eve = await world.guest(browser, await invitation(ada), "Eve");
  await admit(ada, "Eve");
  for (const [tab, name] of [[bob, "Ada"], [eve, "Ada"], [ada, "Eve"]]) await sees(tab, name);

  // When the last picture of anybody was shown, even if its tile is gone by then.
  await bob.evaluate(() => (window.__last = () => Math.max(...[...window.__shown.values()].flatMap((frames) => frames.map((frame) => frame.at)))));
  await remove(ada, "Bob");
  const at = await clock(bob);
  await bob.waitForSelector("#end:not([hidden])");
  assert.match(await bob.textContent("#end-text"), /removed/i);
  await sleep(1000);
  const late = (await bob.evaluate(() => window.__last())) - at;
  t.diagnostic(`the last picture came ${late.toFixed(0)} ms after the removal`);
  assert.ok(late < 300, `${late} ms`);

  // In the next epoch the others still see each other.
  const since = [await clock(eve), await clock(ada)];
  await until(async () => (await shown(eve, "Ada", since[0])).count > 10 && (await shown(ada, "Eve", since[1])).count > 10, "the others stopped");
  assert.equal(await ada.locator('.tile[aria-label="Bob"]').count(), 0);
  for (const tab of [ada, bob, eve]) await tab.context().close();
});

/** Asks a tab's worker something of the above. */
function ask(tab, test, given) {
  return tab.evaluate(([test, given]) => new Promise((done) => {
    const number = Math.random();
    const listen = ({ data }) => {
      if (data.test !== number) return;
      window.__worker.removeEventListener("message", listen);
      done(data.answer);
    };
    window.__worker.addEventListener("message", listen);
    window.__worker.postMessage({ test, number, given });
  }), [test, given]);
}

test("what was recorded after a removal does not open with the keys of who was removed", { timeout: 90_000 }, async (t) => {
  const ada = await world.host(browser);
  const bob = await world.guest(browser, await invitation(ada), "Bob");
  await admit(ada, "Bob");
  const eve = await world.guest(browser, await invitation(ada), "Eve");
  await admit(ada, "Eve");
  for (const [tab, name] of [[bob, "Ada"], [eve, "Ada"]]) await sees(tab, name);
  const known = new Set((await videos(bob, "inbound-rtp")).map((it) => it.ssrc));
  const record = async (milliseconds) => {
    await ask(eve, "set", { keeps: true });
    await sleep(milliseconds);
    await ask(eve, "set", { keeps: false });
    return (await ask(eve, "recorded")).filter(({ metadata }) => known.has(metadata.synchronizationSource));
  };

  // What Eve gets while Bob is in the meeting and looks away, and what she gets when he is not. He hears of nothing, and keeps
  // all that he has.
  await ask(bob, "set", { blind: true });
  const before = await record(1000);
  await ask(bob, "set", { silent: true });
  await remove(ada, "Bob");
  await sleep(2000);
  const after = await record(1500);
  assert.ok(before.length > 5 && after.length > 5, `${before.length} and ${after.length} frames`);
  const opened = [await ask(bob, "try", before), await ask(bob, "try", after)];
  t.diagnostic(`with Bob's keys open ${opened[0].length} of ${before.length} frames from before the removal, and ${opened[1].length} of ${after.length} from after it`);
  assert.ok(opened[0].length > before.length / 2, "his keys open what was sent while he was in");
  assert.equal(opened[1].length, 0);
  for (const tab of [ada, bob, eve]) await tab.context().close();
});

const REFUSED = {
  flip: /not authentic/, number: /not authentic|relabelled|too far/, layer: /not authentic|relabelled/, dependency: /not authentic|relabelled|metadata/,
  replay: /came again|too old/i, cut: /malformed|not authentic|unlabelled/, garbage: /malformed|not authentic|unknown key|wrong|unlabelled|payload/,
};

test("what a relay tampers with is refused, and counted by kind", { timeout: 240_000 }, async (t) => {
  const ada = await world.organizer(Object.keys(REFUSED).length, ["--video", "scene", "--size", "320x180"]);
  await Promise.all(Object.entries(REFUSED).map(async ([how, expected], at) => {
    const tab = await world.guest(browser, ada.links[at], `Eve ${at}`, { camera: false, voice: false, way: how });
    await sees(tab, "Ada", 60_000);
    await tab.click("[data-do=layers]");
    const refused = () => tab.evaluate(() => document.querySelector("#side-body .error, #side-body .twice")?.textContent);
    const said = await until(refused, () => `${how}: nothing was refused: ${tab.said.join("\n")}`, 60_000);
    t.diagnostic(`${how}: ${said}`);
    assert.match(said, expected, how);
    assert.deepEqual(tab.said.filter((line) => line.includes("a tampered frame opened")), []);
    await tab.context().close();
  }));
  ada.say("quit");
});

test("an observer with the keys of the base layer sees that, and nothing above", { timeout: 90_000 }, async (t) => {
  const ada = await world.organizer(1, ["--video", "scene", "--size", "1280x720", "--guest-limit", "0"]);
  const tab = await world.guest(browser, ada.links[0], "Eve", { camera: false, voice: false });
  await sees(tab, "Ada", 30_000);
  await sleep(3000);
  const { width, height } = await shown(tab, "Ada");
  assert.deepEqual([width, height], [320, 180]);
  const [inbound] = await videos(tab, "inbound-rtp");
  assert.equal(inbound.frameWidth, 320);
  await tab.click("[data-do=layers]");
  const layers = await until(() => tab.$eval(".stream", (it) => it.dataset.layers), "no layers");
  t.diagnostic(`layers: ${layers}`);
  assert.match(layers, /^S0T\d(, S0T\d)*$/);
});
