// What somebody watches is what is sent and coded.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { World, admit, camera, clock, invitation, sees, setVisible, shown, sleep, until, videos } from "./world.mjs";

let world, browser;
before(async () => {
  world = await World.start();
  browser = await world.browser([`--use-file-for-fake-video-capture=${camera(1280, 720, 60)}`]);
});
after(async () => world.stop());

/** Frames that a tab codes a second, and their width. */
async function codes(tab) {
  const [one] = await videos(tab, "outbound-rtp");
  await sleep(500);
  const [two] = await videos(tab, "outbound-rtp");
  return { rate: (two.framesEncoded - one.framesEncoded) * 2, width: two.frameWidth };
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
  let at = await clock(bob);
  await tile({ flex: "none", width: "320px", height: "180px" });
  const small = await until(async () => (await shown(bob, "Ada", at)).width === 320 && (await clock(bob)), "it stays large", 10_000);
  t.diagnostic(`S0 is shown ${(small - at).toFixed(0)} ms after the window became small`);
  assert.ok(small - at < 2500, `${small - at} ms`);
  const coded = await until(async () => ((await codes(ada)).width === 320) && (await clock(bob)), "the coder goes on with more", 15_000);
  t.diagnostic(`no more than S0 is coded ${(coded - at).toFixed(0)} ms after that`);
  assert.ok(coded - at < 6000, `${coded - at} ms`);

  // Hidden: nothing, and then nothing is coded.
  at = await setVisible(bob, false);
  await sleep(1500);
  const bytes = await received();
  await sleep(1000);
  assert.equal(await received(), bytes, "nothing comes");
  const still = await until(async () => ((await codes(ada)).rate === 0) && (await clock(bob)), "the coder goes on", 15_000);
  t.diagnostic(`nothing is coded ${(still - at).toFixed(0)} ms after the page was hidden`);
  assert.ok(still - at < 6000, `${still - at} ms`);

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
  assert.equal(await bob.getAttribute('.tile[aria-label="Ada\'s screen"] .pin', "aria-pressed"), "true");
  await ada.click("[data-do=screen]");
  await until(async () => (await bob.locator(".tile.screen").count()) === 0, "the screen stays");

  await ada.click("[data-do=camera]");
  await until(() => bob.evaluate(() => !document.querySelector('.tile[aria-label="Ada"]').classList.contains("shows")), "the last picture stays");
  const at = await clock(bob);
  await ada.click("[data-do=camera]");
  await until(async () => (await shown(bob, "Ada", at)).count > 5, "the camera does not come back");
  t.diagnostic(`the camera is back after ${((await shown(bob, "Ada", at)).first - at).toFixed(0)} ms`);
});
