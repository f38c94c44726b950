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
let handler = null;
Object.defineProperty(self, "onrtctransform", { set(given) { handler = given; } });
self.addEventListener("rtctransform", ({ transformer }) => {
  const { readable, writable, options } = transformer;
  const attack = new TransformStream({ transform(frame, out) {
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

test("whoever is removed sees nothing more, and the others go on", { timeout: 90_000 }, async (t) => {
  const ada = await world.host(browser);
  const bob = await world.guest(browser, await invitation(ada), "Bob");
  await admit(ada, "Bob");
  const eve = await world.guest(browser, await invitation(ada), "Eve");
  await admit(ada, "Eve");
  for (const [tab, name] of [[bob, "Ada"], [eve, "Ada"], [ada, "Eve"]]) await sees(tab, name);

  // When the last picture of anybody was shown, even if its tile is gone by then.
  await bob.evaluate(() => (window.__last = () => Math.max(...[...window.__shown.values()].flatMap((frames) => frames.map((frame) => frame.at)))));
  const row = '[data-participant]:has(strong:text-is("Bob"))';
  await ada.click(`${row} summary`);
  await ada.click(`${row} .danger`);
  await ada.click("#ask-buttons .danger");
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
  const ada = await world.organizer(1, ["--video", "scene", "--guest-limit", "0"]);
  const tab = await world.guest(browser, ada.links[0], "Eve", { camera: false, voice: false });
  await sees(tab, "Ada", 30_000);
  await sleep(3000);
  const { width, height } = await shown(tab, "Ada");
  assert.deepEqual([width, height], [160, 90]);
  const [inbound] = await videos(tab, "inbound-rtp");
  assert.equal(inbound.frameWidth, 160);
  await tab.click("[data-do=layers]");
  const layers = await until(() => tab.$eval(".stream", (it) => it.dataset.layers), "no layers");
  t.diagnostic(`layers: ${layers}`);
  assert.match(layers, /^S0T\d(, S0T\d)*$/);
});
