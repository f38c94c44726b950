// What people do with the page: come in, see who is there, have their rights, and leave; by keyboard too.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { World, admit, clock, invitation, people, sees, shown, sleep, until, videos } from "./world.mjs";

let world, browser;
before(async () => {
  world = await World.start();
  browser = await world.browser();
});
after(async () => world.stop());

const quiet = { camera: false, voice: false };
const person = (name) => `#side-body [data-participant]:has(strong:text-is("${name}"))`;
const toast = (tab, text) => until(() => tab.evaluate((text) => document.getElementById("toasts").innerText.includes(text), text), async () => `"${text}" is not said: ${await tab.innerText("#toasts")}`);

test("the page runs nothing but its own scripts, and the relay serves nothing else", async () => {
  const tab = await world.tab(browser);
  const response = await tab.request.get(world.address);
  const policy = response.headers()["content-security-policy"];
  assert.match(policy, /default-src 'none'/);
  assert.doesNotMatch(policy, /unsafe-inline|unsafe-eval'.*unsafe-eval'|https?:|\*/);
  assert.equal(response.headers()["x-content-type-options"], "nosniff");
  for (const path of ["/../Cargo.toml", "/%2e%2e/data/key.pem", "/data/key.pem", "/worker.js.gz", "/nothing"]) {
    assert.equal((await tab.request.get(world.address + path)).status(), 404, path);
  }
  await tab.evaluate(() => {
    const script = document.createElement("script");
    script.textContent = "window.ran = true";
    document.body.append(script);
  });
  assert.equal(await tab.evaluate(() => window.ran), undefined);
  await tab.context().close();
});

test("a wrong password is told, and lets nobody in", async () => {
  const tab = await world.tab(browser);
  for (const [field, text] of [["title", "Monday"], ["name", "Eve"], ["account", "ada"], ["password", "not the password"]]) await tab.fill(`[name=${field}]`, text);
  await tab.click("#join button");
  await until(async () => /Wrong name or password/.test(await tab.innerText("#entry-error")), "nothing is told");
  await tab.context().close();
});

test("the organizer's rights, hands, fingerprints, and the keyboard", { timeout: 90_000 }, async () => {
  const ada = await world.host(browser);
  const bob = await world.guest(browser, await invitation(ada), "Bob", quiet);
  await bob.waitForSelector("#door:not([hidden])");
  await until(async () => /at the door/.test(await bob.innerText("#door-text")), "nobody tells Bob to wait");
  assert.doesNotMatch(bob.url(), /code=/, "the code stays in the address");
  await admit(ada, "Bob");
  await bob.waitForSelector("#meeting:not([hidden])");

  // By keyboard: a hand, and a panel that gives the focus back.
  await bob.keyboard.press("h");
  await ada.waitForSelector('.tile[aria-label="Bob"] .raised:not([hidden])');
  await bob.click("[data-do=people]");
  assert.equal(await bob.evaluate(() => document.activeElement.id), "side-title");
  await bob.keyboard.press("Escape");
  assert.equal(await bob.evaluate(() => document.activeElement.dataset.do), "people");
  // Letters are keys until somebody does not want that.
  const layers = () => bob.evaluate(() => document.querySelector("[data-do=layers]").getAttribute("aria-keyshortcuts"));
  await bob.click("[data-do=people]");
  assert.equal(await layers(), "L");
  await bob.uncheck("[data-key=keys]");
  await bob.focus("#side-title");
  await bob.keyboard.press("l");
  assert.deepEqual([await layers(), await bob.innerText("#side-title")], [null, "People"]);
  await bob.check("[data-key=keys]");
  await bob.focus("#side-title");
  await bob.keyboard.press("l");
  assert.equal(await bob.innerText("#side-title"), "Layers");

  // The same fingerprint on both sides, and the same code.
  await ada.click(`${person("Bob")} summary`);
  const seen = await ada.innerText(`${person("Bob")} .mono`);
  await bob.click("#show-code");
  assert.equal(seen, await bob.innerText("#side-body p.mono"));
  const code = await bob.innerText(".code");
  await ada.click("#show-code");
  assert.equal(await ada.innerText(".code"), code);
  assert.match(code.replace(/\s/g, ""), /^\d{60}$/);

  // Rights.
  await ada.click("[data-do=people]");
  assert.ok(await bob.isDisabled("[data-do=screen]"), "guests may not share");
  await ada.click(`${person("Bob")} summary`);
  await ada.click('[aria-label="Screen of Bob"]');
  await until(async () => !(await bob.isDisabled("[data-do=screen]")), "Bob may not share");
  assert.equal(await bob.locator("[data-key=lock]").count(), 0, "Bob locks the meeting");

  // Nobody new after a lock, and whoever is let in may still come.
  const late = await invitation(ada);
  await ada.click("[data-key=lock]");
  await until(async () => /Locked/.test(await ada.innerText("#state")), "it is not locked");
  const eve = await world.guest(browser, late, "Eve", quiet);
  await eve.waitForSelector("#end:not([hidden])");
  assert.match(await eve.innerText("#end-text"), /locked/i);

  // Guests do not organize.
  await ada.click('[data-key^="hand"]');
  await ada.click("#ask-buttons .danger");
  await toast(ada, "guests and people from outside do not organize");

  // Every control has a name that a screen reader says.
  for (const tab of [ada, bob]) {
    const nameless = await tab.$$eval("button, input", (all) => all.filter((it) => !(it.getAttribute("aria-label") || it.textContent.trim() || it.labels?.length)).map((it) => it.outerHTML));
    assert.deepEqual(nameless, []);
  }

  await ada.click("[data-do=leave]");
  await ada.click("#ask-buttons .danger");
  for (const tab of [ada, bob]) {
    await tab.waitForSelector("#end:not([hidden])");
    assert.match(await tab.innerText("#end-text"), /ended the meeting|is over/i);
    assert.deepEqual(tab.said.filter((line) => line.startsWith("error")), []);
  }
});

test("a meeting that is handed over has another organizer", { timeout: 90_000 }, async () => {
  world.account("grace");
  const ada = await world.host(browser, "Ada", quiet);
  const grace = await world.member(browser, ada.url(), "grace", "Grace", quiet);
  await grace.waitForSelector("#door:not([hidden])");
  await admit(ada, "Grace");
  const bob = await world.guest(browser, await invitation(ada), "Bob", quiet);
  await admit(ada, "Bob");
  for (const tab of [grace, bob]) {
    await tab.waitForSelector("#meeting:not([hidden])");
    await people(tab);
    assert.equal(await tab.locator("[data-key=invite]").count(), 0, "only the organizer invites");
  }

  await ada.click(`${person("Grace")} summary`);
  await ada.click(`${person("Grace")} [data-key^="hand"]`);
  await ada.click("#ask-buttons .danger");
  await grace.waitForSelector("[data-key=invite]");
  await until(async () => (await ada.locator("[data-key=invite]").count()) === 0, "Ada still organizes");
  await toast(bob, "Grace");

  // Grace does what an organizer does, by keys: she lets somebody in and puts somebody out. Ada cannot any more.
  const eve = await world.guest(browser, await invitation(grace), "Eve", quiet);
  await admit(grace, "Eve");
  await eve.waitForSelector("#meeting:not([hidden])");
  assert.equal(await ada.locator(`${person("Bob")} .danger`).count(), 0);
  await grace.click(`${person("Bob")} summary`);
  await grace.click(`${person("Bob")} .danger`);
  await grace.click("#ask-buttons .danger");
  await bob.waitForSelector("#end:not([hidden])");
  const code = async (tab) => {
    if ((await tab.locator(".code").count()) === 0) await tab.click("#show-code");
    return (await tab.innerText(".code")).replace(/\s/g, "");
  };
  await until(async () => new Set(await Promise.all([ada, grace, eve].map(code))).size === 1, "they are not in one group");
  for (const tab of [ada, grace, eve, bob]) await tab.context().close();
});

test("nothing is sent to a group of another organizer until somebody has compared the fingerprint", { timeout: 90_000 }, async () => {
  const ada = await world.host(browser, "Ada", quiet);
  const bob = await world.guest(browser, await invitation(ada), "Bob");
  await admit(ada, "Bob");
  await sees(ada, "Bob");
  // Ada's tab is made anew, and with it her key: the relay could have done the same.
  const meeting = ada.url();
  await ada.context().close();
  const other = await world.member(browser, meeting, "ada", "Ada", quiet);
  await other.waitForSelector("#meeting:not([hidden])");
  // Her group is another one, in which nobody is whom she has not let in.
  await admit(other, "Bob");
  const warned = () => bob.evaluate(() => document.getElementById("warnings")?.innerText ?? "");
  await until(async () => /fingerprint/i.test(await warned()), async () => `nothing is told: ${await warned()} ${await bob.innerText("#toasts")}`, 15_000);
  await until(async () => (await bob.getAttribute("[data-do=camera]", "aria-pressed")) === "false", "the camera stays on");
  const bytes = async () => (await videos(bob, "outbound-rtp")).reduce((sum, it) => sum + it.bytesSent, 0);
  const before = await bytes();
  await sleep(1000);
  assert.equal(await bytes(), before, "something is sent");
  // Bob has compared, and switches the camera on.
  const since = await clock(other);
  await bob.click("[data-do=camera]");
  await until(async () => (await shown(other, "Bob", since)).count > 5, "Bob is not seen again");
  for (const tab of [other, bob]) await tab.context().close();
});
