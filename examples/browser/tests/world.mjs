// A relay with the page, Chromium, and native participants, for tests and pictures.
import { spawn, spawnSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../../..");
const { chromium } = createRequire(join(root, "examples/browser/page/package.json"))("playwright-core");
const target = resolve(root, process.env.CARGO_TARGET_DIR ?? "target");
const programs = process.env.PROGRAMS ?? join(target, process.env.PROFILE === "release" ? "release" : "debug");
const page = process.env.DIST ?? join(root, "examples/browser/dist");
const password = "correct horse battery";

const FLAGS = [
  "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--disable-features=WebRtcHideLocalIpsWithMdns",
  "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", "--autoplay-policy=no-user-gesture-required",
  // A window that no screen shows is still one that somebody watches.
  "--disable-backgrounding-occluded-windows", "--disable-renderer-backgrounding", "--disable-background-timer-throttling",
  "--ignore-certificate-errors", "--auto-select-desktop-capture-source=Entire screen",
];

/** Waits until `what` is truthy, and returns it. */
export async function until(what, describe, milliseconds = 20_000) {
  const end = Date.now() + milliseconds;
  for (;;) {
    const found = await what();
    if (found) return found;
    if (Date.now() > end) throw new Error(`not within ${milliseconds} ms: ${typeof describe === "function" ? await describe() : describe}`);
    await sleep(50);
  }
}

export const sleep = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

/** A video call drawn by code, as a camera of Chromium. */
export function camera(width, height, pictures = 150) {
  const file = join(target, `camera-${width}x${height}-${pictures}.y4m`);
  mkdirSync(target, { recursive: true });
  if (!existsSync(file)) run(join(programs, "examples/draw"), [String(width), String(height), String(pictures), file]);
  return file;
}

function run(program, args, input) {
  const { status, stderr, error } = spawnSync(program, args, { input, encoding: "utf8" });
  if (status !== 0) throw new Error(`${program}: ${error ?? stderr}`);
}

export class World {
  #processes = [];
  #browsers = [];
  #pages = [];
  #paths = [];
  #page = page;
  #arguments = [];

  /** A relay on this machine with one account, ada's. */
  static async start({ relay = [], prelude = "" } = {}) {
    const world = new World();
    world.directory = mkdtempSync(join(tmpdir(), "layercast-browser-"));
    if (prelude !== "") {
      // A page whose worker does something else first.
      world.#page = join(world.directory, "page");
      cpSync(page, world.#page, { recursive: true });
      rmSync(join(world.#page, "worker.js.gz"));
      writeFileSync(join(world.#page, "worker.js"), prelude + readFileSync(join(page, "worker.js"), "utf8"));
    }
    world.password = join(world.directory, "password");
    writeFileSync(world.password, `${password}\n`);
    world.#arguments = relay;
    run(join(programs, "relay"), ["account", "add", "ada", "--data", join(world.directory, "data")], `${password}\n`);
    await world.serve("127.0.0.1:0", "127.0.0.1:0");
    return world;
  }

  /** Starts the relay at these addresses. */
  async serve(listen, udp) {
    const said = this.#spawn("relay", [
      "serve", "--data", join(this.directory, "data"), "--listen", listen, "--udp", udp, "--page", this.#page, "--region", "this machine", ...this.#arguments,
    ]);
    const line = await until(() => /relay on https:\/\/[^ ]*:(\d+), media on udp:\/\/([^ ]*), certificate ([0-9a-f]+)/.exec(said.text), () => said.text);
    [this.port, this.media, this.certificate] = [Number(line[1]), line[2], line[3]];
    this.address = `https://localhost:${this.port}`;
    this.relay = said;
  }

  /** Kills the relay, and starts it again at the same place. */
  async crash(milliseconds) {
    this.relay.child.kill("SIGKILL");
    await until(() => this.relay.ended, "the relay is still there");
    await sleep(milliseconds);
    await this.serve(`127.0.0.1:${this.port}`, this.media);
  }

  #spawn(program, args) {
    const child = spawn(join(programs, program), args, { stdio: ["pipe", "pipe", "pipe"] });
    const said = { text: "", child, ended: false, say: (line) => child.stdin.write(`${line}\n`) };
    child.stdout.on("data", (text) => (said.text += text));
    child.stderr.on("data", (text) => (said.text += text));
    child.on("exit", () => (said.ended = true));
    this.#processes.push(child);
    return said;
  }

  /** A native participant, whose lines are JSON in `lines()`. */
  participant(args) {
    const said = this.#spawn("participant", [...args, "--json"]);
    said.lines = () => said.text.split("\n").filter((line) => line.startsWith("{")).flatMap((line) => {
      try { return [JSON.parse(line)]; } catch { return []; }
    });
    return said;
  }

  /** Ada, as a native participant who lets everybody in; and a link for each guest. */
  async organizer(guests, args = []) {
    const ada = this.participant([
      "--relay", `https://127.0.0.1:${this.port}#cert=${this.certificate}`, "--account", "ada", "--password-file", this.password,
      "--plan", "A meeting", "--guests", String(guests), "--admit", "all", "--name", "Ada", ...args,
    ]);
    const found = () => ada.lines().filter((line) => line.notice === "invitation").map((line) => line.link);
    ada.links = await until(() => found().length === guests && found(), () => ada.text);
    return ada;
  }

  async browser(flags = []) {
    const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", headless: false, args: [...FLAGS, ...flags] });
    this.#browsers.push(browser);
    return browser;
  }

  /** A tab at an address of the relay. */
  async tab(browser, path = "/", options = {}) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ignoreHTTPSErrors: true, ...options });
    const page = await context.newPage();
    const said = [];
    page.on("console", (message) => said.push(`${message.type()}: ${message.text()}`));
    page.on("pageerror", (error) => said.push(`error: ${error.message}`));
    page.said = said;
    await page.addInitScript(watch);
    if (options.mode) await page.addInitScript(hasMode, options.mode);
    if (options.media) await page.addInitScript(detour, options.media);
    if (options.way) await page.addInitScript(hasWay, options.way);
    await page.goto(this.address + path);
    await page.waitForSelector("#entry:not([hidden])");
    this.#pages.push(page);
    return page;
  }

  /** Another account, with the same password. */
  account(name) {
    run(join(programs, "relay"), ["account", "add", name, "--data", join(this.directory, "data")], `${password}\n`);
  }

  /** A tab that comes to a meeting with an account. */
  async member(browser, meeting, account, name, options = {}) {
    const page = await this.tab(browser, new URL(meeting).pathname, options);
    await signIn(page, account, name, options);
    return page;
  }

  /** A tab that comes by a link of the meeting. */
  async guest(browser, link, name, options = {}) {
    const page = await this.tab(browser, link.slice(link.indexOf("/m/")), options);
    await page.fill("[name=name]", name);
    if (options.camera === false) await page.uncheck("[name=camera]");
    if (options.voice === false) await page.uncheck("[name=voice]");
    await page.click("#join button");
    return page;
  }

  /** A tab that plans a meeting with ada's account. */
  async host(browser, name = "Ada", options = {}) {
    const page = await this.tab(browser, "/", options);
    for (const [field, text] of [["title", "Monday"], ["name", name], ["account", "ada"], ["password", password]]) await page.fill(`[name=${field}]`, text);
    await page.click("#join button");
    await page.waitForSelector("#meeting:not([hidden])");
    return page;
  }

  /** A path to the relay's media that loses packets each way, in percent. Its port goes to `tab` as `media`. */
  async path(percent) {
    const path = new Path(this.media, percent);
    this.#paths.push(path);
    path.port = await path.listen();
    return path;
  }

  async stop() {
    for (const browser of this.#browsers) await browser.close().catch(() => {});
    for (const child of this.#processes) if (child.exitCode === null) child.kill("SIGTERM");
    await sleep(200);
    for (const child of this.#processes) if (child.exitCode === null) child.kill("SIGKILL");
    for (const path of this.#paths) path.close();
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** What all tabs said, for a test that failed. */
  said() {
    return this.#pages.map((page) => page.said.join("\n")).join("\n--\n");
  }
}

/** Fills the entry of a meeting's page for somebody with an account, and goes in. */
async function signIn(page, account, name, { camera = true, voice = true } = {}) {
  await page.waitForSelector("#entry:not([hidden])");
  for (const [field, text] of [["name", name], ["account", account], ["password", password]]) await page.fill(`[name=${field}]`, text);
  if (!camera) await page.uncheck("[name=camera]");
  if (!voice) await page.uncheck("[name=voice]");
  await page.click("#join button");
}

/** Runs in the page before its own scripts: keeps the links, the worker with what it reports to have sealed and opened, and what
 * is shown of each video, which tests look at. */
function watch() {
  const reports = (window.__reports = []);
  const Thread = window.Worker;
  window.Worker = class extends Thread {
    constructor(...args) {
      super(...args);
      window.__worker = this;
      this.addEventListener("message", ({ data }) => {
        if (data.passed) reports.push({ at: performance.timeOrigin + performance.now(), passed: data.passed });
      });
    }
  };
  const links = (window.__links = []);
  const Link = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Link {
    constructor(...args) {
      super(...args);
      links.push(this);
    }
  };
  const shown = (window.__shown = new Map());
  const follow = (video) => {
    if (shown.has(video)) return;
    const frames = [];
    shown.set(video, frames);
    const next = (now, { width, height, presentedFrames }) => {
      frames.push({ at: now, width, height, presented: presentedFrames });
      video.requestVideoFrameCallback(next);
    };
    video.requestVideoFrameCallback(next);
  };
  new MutationObserver(() => document.querySelectorAll(".tile:not(.own) video").forEach(follow)).observe(document, { childList: true, subtree: true });
}

/** Runs in the page: the browser codes these layers, or fewer. */
function hasMode(mode) {
  const own = MediaCapabilities.prototype.encodingInfo;
  MediaCapabilities.prototype.encodingInfo = async function (wanted) {
    const modes = ["L3T3_KEY", "L3T3", "L2T3_KEY", "L1T3"];
    const info = await own.call(this, wanted);
    return modes.indexOf(wanted.video?.scalabilityMode) < modes.indexOf(mode) ? { ...info, supported: false } : info;
  };
}

/** Runs in the page too: the relay's media is at another port, where a path begins. */
function detour(port) {
  const set = RTCPeerConnection.prototype.setRemoteDescription;
  RTCPeerConnection.prototype.setRemoteDescription = function (description) {
    const sdp = description.sdp.replace(/^(a=candidate:.* udp \d+) \S+ \d+ typ host/gm, `$1 127.0.0.1 ${port} typ host`);
    return set.call(this, { ...description, sdp });
  };
}

/** Runs in the page: its worker finds behind the `#` of its address what it is to do. */
function hasWay(way) {
  const Real = Worker;
  window.Worker = class extends Real {
    constructor(url, options) {
      super(`${url}#${way}`, options);
    }
  };
}

/** Carries datagrams between tabs and the relay, and loses some, by a generator that begins the same each time. */
class Path {
  #sockets = new Map();
  #front = createSocket("udp4");
  #state = 1;

  constructor(relay, percent) {
    [this.percent, this.lost, this.carried] = [percent, 0, 0];
    const [host, port] = [relay.slice(0, relay.lastIndexOf(":")), Number(relay.slice(relay.lastIndexOf(":") + 1))];
    this.#front.on("message", (datagram, from) => {
      const key = `${from.address}:${from.port}`;
      let back = this.#sockets.get(key);
      if (!back) {
        back = createSocket("udp4");
        this.#sockets.set(key, back);
        back.on("message", (answer) => this.#passes() && this.#front.send(answer, from.port, from.address));
      }
      if (this.#passes()) back.send(datagram, port, host);
    });
  }

  #passes() {
    this.#state = (Math.imul(this.#state, 1664525) + 1013904223) >>> 0;
    const passes = (this.#state / 2 ** 32) * 100 >= this.percent;
    if (passes) this.carried += 1;
    else this.lost += 1;
    return passes;
  }

  listen() {
    return new Promise((done) => this.#front.bind(0, "127.0.0.1", () => done(this.#front.address().port)));
  }

  close() {
    for (const socket of [this.#front, ...this.#sockets.values()]) socket.close();
  }
}

/** What a tab has shown of somebody since a time of its clock: frames, and the longest pause in ms. */
export function shown(page, name, since = 0) {
  return page.evaluate(([name, since]) => {
    const tile = [...document.querySelectorAll(".tile:not(.own)")].find((tile) => tile.getAttribute("aria-label") === name);
    const frames = (tile && window.__shown.get(tile.querySelector("video"))) ?? [];
    const of = frames.filter((frame) => frame.at >= since);
    let longest = 0;
    for (let at = 1; at < of.length; at += 1) longest = Math.max(longest, of[at].at - of[at - 1].at);
    const last = of.at(-1);
    return { count: of.length, presented: (last?.presented ?? 0) - (of[0]?.presented ?? 1) + 1, longest, first: of[0]?.at ?? null, last: last?.at ?? null, width: last?.width ?? 0, height: last?.height ?? 0, now: performance.now() };
  }, [name, since]);
}

/** The clock of a tab, in ms; and that of all tabs. */
export const clock = (page) => page.evaluate(() => performance.now());
export const wall = (page) => page.evaluate(() => performance.timeOrigin + performance.now());

/** The pictures that a tab sealed of a stream between two of its reports, the first and the last in a span of all tabs' clock: how
 * many of each temporal layer, by the frames of the lowest spatial layer, which each picture has; and when the reports were. */
export function sealed(page, stream, from, to) {
  return page.evaluate(([stream, from, to]) => {
    const reports = window.__reports.filter(({ at }) => at >= from && at <= to);
    const pictures = [0, 0, 0];
    for (const { passed } of reports.slice(1)) {
      const { layers = {} } = passed.find(([id]) => id === stream)?.[1] ?? {};
      for (const [layer, [count]] of Object.entries(layers)) if (layer.startsWith("S0")) pictures[layer[3]] += count;
    }
    return { pictures, from: reports[0]?.at ?? from, to: reports.at(-1)?.at ?? to };
  }, [stream, from, to]);
}

/** The temporal layers that a tab opened of a stream in such a span, and the spatial ones. */
export function opened(page, stream, from, to) {
  return page.evaluate(([stream, from, to]) => {
    const layers = new Set();
    for (const { at, passed } of window.__reports) {
      const it = passed.find(([id]) => id === stream)?.[1];
      if (at >= from && at <= to) for (const [layer, [count]] of Object.entries(it?.layers ?? {})) if (count > 0) layers.add(layer);
    }
    return [...layers].sort();
  }, [stream, from, to]);
}

/** The pictures that a tab presented of somebody in a span of all tabs' clock. */
export function presented(page, name, from, to) {
  return page.evaluate(([name, from, to]) => {
    const tile = [...document.querySelectorAll(".tile:not(.own)")].find((tile) => tile.getAttribute("aria-label") === name);
    const frames = (tile && window.__shown.get(tile.querySelector("video"))) ?? [];
    const of = frames.filter(({ at }) => performance.timeOrigin + at > from && performance.timeOrigin + at <= to);
    const before = frames.filter(({ at }) => performance.timeOrigin + at <= from).at(-1);
    return (of.at(-1)?.presented ?? 0) - (before?.presented ?? 0);
  }, [name, from, to]);
}

/** The stream that a tab shows of somebody. */
export function streamOf(page, name) {
  return page.$eval(`.tile:not(.own)[aria-label="${name}"]`, (tile) => Number(tile.dataset.stream));
}

/** The counts of a tab's video streams, ours or others', by their SSRC. */
export async function videos(page, type) {
  return (await stats(page)).filter((it) => it.type === type && it.kind === "video");
}

/** Has a tab believe that nobody sees it, or that somebody does again. Returns its clock. */
export function setVisible(page, visible) {
  return page.evaluate((visible) => {
    Object.defineProperty(document, "visibilityState", { value: visible ? "visible" : "hidden", configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
    return performance.now();
  }, visible);
}

/** The browser's statistics of a tab's live link, as a list. */
export function stats(page) {
  return page.evaluate(async () => {
    const link = window.__links.findLast((link) => link.connectionState !== "closed");
    return link ? [...(await link.getStats()).values()] : [];
  });
}

/** Waits until a tab shows pictures of somebody. */
export function sees(page, name, milliseconds = 20_000) {
  return until(async () => (await shown(page, name)).count > 5, async () => `${name} is not seen: ${page.said.join("\n")}`, milliseconds);
}

/** Opens the panel of the people, unless a panel is open. One step in the page: an organizer's opens by itself when somebody comes to
 * the door, and a press of the button that comes after that closes it. */
export function people(tab) {
  return tab.evaluate(() => document.getElementById("side").hidden && document.querySelector("[data-do=people]").click());
}

/** Asks for an invitation, and returns it. */
export async function invitation(tab) {
  await people(tab);
  await tab.click("[data-key=invite]");
  const link = await until(() => tab.evaluate(() => document.getElementById("ask").open && document.getElementById("ask-text").textContent), "no invitation");
  await tab.click("#ask-buttons button");
  return link;
}

/** Lets somebody in. */
export async function admit(tab, name) {
  await people(tab);
  await tab.click(`[aria-label="Let ${name} in"]`);
}
