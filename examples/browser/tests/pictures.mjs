// Takes the pictures of the page in docs/: a call of four, the layers, and a phone. `node pictures.mjs DIRECTORY`.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { World, admit, camera, invitation, sees, sleep } from "./world.mjs";

const out = process.argv[2] ?? ".";

/** The same person elsewhere: mirrored, or in other light. */
function other(file, name, { mirror, degrees }) {
  const video = readFileSync(file);
  const header = video.indexOf(10) + 1;
  const [width, height] = /W(\d+) H(\d+)/.exec(video.subarray(0, header).toString()).slice(1).map(Number);
  const [luma, chroma] = [width * height, (width * height) / 4];
  const [cos, sin] = [Math.cos((degrees * Math.PI) / 180), Math.sin((degrees * Math.PI) / 180)];
  for (let at = header; at < video.length; at += 6 + luma + 2 * chroma) {
    const [u, v] = [at + 6 + luma, at + 6 + luma + chroma];
    for (let n = 0; n < chroma; n += 1) {
      const [x, y] = [video[u + n] - 128, video[v + n] - 128];
      video[u + n] = 128 + x * cos - y * sin;
      video[v + n] = 128 + x * sin + y * cos;
    }
    if (!mirror) continue;
    for (const [plane, rows, stride] of [[at + 6, height, width], [u, height / 2, width / 2], [v, height / 2, width / 2]]) {
      for (let row = 0; row < rows; row += 1) video.subarray(plane + row * stride, plane + (row + 1) * stride).reverse();
    }
  }
  const made = file.replace(/\.y4m$/, `-${name}.y4m`);
  writeFileSync(made, video);
  return made;
}

const world = await World.start();
try {
  const file = camera(960, 540, 90);
  const flags = (file) => [`--use-file-for-fake-video-capture=${file}`];
  const host = await world.browser(flags(file));
  const ada = await world.host(host, "Ada Lovelace", { viewport: { width: 1280, height: 800 }, colorScheme: "light" });
  const guests = {
    "Grace Hopper": { mirror: true, degrees: 14 },
    "Alan Turing": { mirror: false, degrees: -22 },
    "Mary Somerville": { mirror: true, degrees: -8 },
  };
  const tabs = [];
  for (const [at, [name, turn]] of Object.entries(guests).entries()) {
    const browser = await world.browser(flags(other(file, at, turn)));
    const phone = at === 2;
    const tab = await world.guest(browser, await invitation(ada), name,
      phone ? { viewport: { width: 390, height: 844 }, deviceScaleFactor: 1.5, isMobile: true, hasTouch: true, colorScheme: "dark" } : {});
    await admit(ada, name);
    await sees(ada, name, 60_000);
    tabs.push(tab);
  }
  await tabs[0].click("[data-do=hand]");
  await ada.click("#side-close");
  await sleep(12_000);
  await ada.mouse.move(5, 5);
  await ada.screenshot({ path: join(out, "browser-call.png") });
  await ada.click("[data-do=layers]");
  await ada.click('.tile[aria-label="Grace Hopper"] .pin', { force: true });
  await ada.mouse.move(5, 5);
  await sleep(10_000);
  await ada.screenshot({ path: join(out, "browser-layers.png") });
  await tabs[2].screenshot({ path: join(out, "browser-phone.png") });
} finally {
  if (process.env.VERBOSE) console.log(world.said());
  await world.stop();
}
process.exit(0);
