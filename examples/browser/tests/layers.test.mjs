// What somebody watches is what is sent and coded.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { World, admit, camera, clock, invitation, sees, setVisible, shown, sleep, until, videos, wall } from "./world.mjs";

/** What nobody watches is coded for so long at most, in ms. */
const CODED = process.env.IDLE === "1" ? 2500 : 3500;
let world, browser;
before(async () => {
  world = await World.start();
  browser = await world.browser([`--use-file-for-fake-video-capture=${camera(1280, 720, 60)}`]);
});
after(async () => world.stop());

/** Has a tab keep what it codes, each 50 ms: how many frames so far, and how wide the last one was. */
function watchCoder(tab) {
  return tab.evaluate(() => {
    const coded = (window.__coded = []);
    setInterval(async () => {
      const at = performance.timeOrigin + performance.now();
      const all = await window.__links.findLast((link) => link.connectionState !== "closed").getStats();
      const out = [...all.values()].find((it) => it.type === "outbound-rtp" && it.kind === "video");
      if (out) coded.push({ at, frames: out.framesEncoded, width: out.frameWidth });
    }, 50);
  });
}

/** How long after a time the coder coded the last frame, or the last that was wider, within some seconds. */
async function coderUntil(tab, since, seconds, width) {
  await sleep(Math.max(0, since + seconds * 1000 - (await wall(tab))));
  const [looks, last] = await tab.evaluate(([since, width]) => {
    const is = ({ at, frames, width: coded }, n, all) => at >= since && frames > (all[n - 1]?.frames ?? 0) && coded > width;
    return [window.__coded.filter(({ at }) => at >= since).length, window.__coded.filter(is).at(-1)?.at ?? since];
  }, [since, width]);
  assert.ok(looks > seconds * 2, `${looks} looks at the coder`);
  return last - since;
}

test("layers follow the window, and so does the coder", { timeout: 240_000 }, async (t) => {
  const ada = await world.host(browser, "Ada", { viewport: { width: 1500, height: 1000 } });
  const link = await invitation(ada);
  // Bob looks and shows nothing, on a screen that has room for all.
  const bob = await world.guest(browser, link, "Bob", { camera: false, voice: false, viewport: { width: 1500, height: 1000 } });
  await admit(ada, "Bob");
  await sees(bob, "Ada");
  await bob.hover('.tile[aria-label="Ada"]');
  await bob.click('.tile[aria-label="Ada"] .pin');
  await until(async () => (await shown(bob, "Ada")).width === 1280, async () => `no more than ${(await shown(bob, "Ada")).width} came`, 60_000);

  const tile = (style) => bob.evaluate((style) => {
    Object.assign(document.querySelector('.tile[aria-label="Ada"]').style, style);
  }, style);
  const received = async () => (await videos(bob, "inbound-rtp"))[0].bytesReceived;

  // 320x180: the lowest layer alone, within a second.
  await watchCoder(ada);
  let at = await clock(bob);
  let began = await wall(bob);
  await tile({ flex: "none", width: "320px", height: "180px" });
  const small = await until(async () => (await shown(bob, "Ada", at)).width === 320 && (await clock(bob)), "it stays large", 10_000);
  t.diagnostic(`S0 is shown ${(small - at).toFixed(0)} ms after the window became small`);
  assert.ok(small - at < 2500, `${small - at} ms`);
  const coded = await coderUntil(ada, began, 4, 320);
  t.diagnostic(`the last picture with more than S0 is coded ${coded.toFixed(0)} ms after that`);
  assert.ok(coded < CODED, `${coded} ms`);

  // Hidden: nothing, and then nothing is coded.
  began = await wall(bob);
  await setVisible(bob, false);
  await sleep(1000);
  const bytes = await received();
  const still = await coderUntil(ada, began, 4, 0);
  assert.equal(await received(), bytes, "nothing comes");
  t.diagnostic(`the last picture is coded ${still.toFixed(0)} ms after the page was hidden`);
  assert.ok(still < CODED, `${still} ms`);

  // Back: a picture within half a second.
  at = await setVisible(bob, true);
  await until(async () => (await shown(bob, "Ada", at)).count > 0, "nothing comes back", 10_000);
  const back = (await shown(bob, "Ada", at)).first - at;
  t.diagnostic(`a picture ${back.toFixed(0)} ms after it was shown again`);
  assert.ok(back < 1500, `${back} ms`);

  // Large again: more layers, as far as the machine and the path carry them.
  await tile({ flex: "", width: "", height: "" });
  await until(async () => (await shown(bob, "Ada")).width > 320, "it stays small", 45_000);
});

test("a screen is shared and pinned, a camera goes off and on", { timeout: 90_000 }, async (t) => {
  const ada = await world.host(browser, "Ada", { viewport: { width: 900, height: 600 } });
  const bob = await world.guest(browser, await invitation(ada), "Bob", { camera: false, voice: false, viewport: { width: 900, height: 600 } });
  await admit(ada, "Bob");
  await sees(bob, "Ada");

  await ada.click("[data-do=screen]");
  await sees(bob, "Ada's screen");
  const pinned = (name) => bob.getAttribute(`.tile[aria-label="${name}"] .pin`, "aria-pressed");
  assert.equal(await pinned("Ada's screen"), "true");
  // Who looks at a camera meanwhile has the screen back afterwards, and who wants neither has a grid.
  await bob.click('.tile[aria-label="Ada"] .pin');
  assert.deepEqual([await pinned("Ada"), await pinned("Ada's screen")], ["true", "false"]);
  await bob.click('.tile[aria-label="Ada"] .pin');
  assert.deepEqual([await pinned("Ada"), await pinned("Ada's screen")], ["false", "true"]);
  await bob.click('.tile[aria-label="Ada\'s screen"] .pin');
  assert.deepEqual([await pinned("Ada"), await pinned("Ada's screen")], ["false", "false"]);
  await ada.click("[data-do=screen]");
  await until(async () => (await bob.locator(".tile.screen").count()) === 0, "the screen stays");

  await ada.click("[data-do=camera]");
  await until(() => bob.evaluate(() => !document.querySelector('.tile[aria-label="Ada"]').classList.contains("shows")), "the last picture stays");
  const at = await clock(bob);
  await ada.click("[data-do=camera]");
  await until(async () => (await shown(bob, "Ada", at)).count > 5, "the camera does not come back");
  t.diagnostic(`the camera is back after ${((await shown(bob, "Ada", at)).first - at).toFixed(0)} ms`);
});
