// Loads the module as .ci/wasm built it, lets two pages meet, and measures what sealing and opening cost. It fails if a frame
// does not open, or if the module is too large.
import { readFileSync } from "node:fs";
import { performance } from "node:perf_hooks";
import { gzipSync } from "node:zlib";
import assert from "node:assert";
import { Seat, initSync } from "./pkg/layercast_page.js";

const MAX_GZIPPED = 1_000_000;
const FRAMES = 3000;
const SIZE = 6000;

const module = readFileSync(new URL("./pkg/layercast_page_bg.wasm", import.meta.url));
const packed = gzipSync(module, { level: 9 }).length;
console.log(`module: ${module.length} bytes, ${packed} by gzip`);
assert(packed < MAX_GZIPPED);
initSync({ module });

const now = () => performance.now() * 1000;
const rights = { voice: true, camera: true, share: true };

/** A relay's desk that believes everybody, as far as two pages need one. */
class Desk {
  pages = [];
  messages = 0;
  streams = 0;

  open(config) {
    const page = { seat: new Seat(JSON.stringify(config), performance.timeOrigin * 1000), id: this.pages.length + 1, outputs: [], name: config.name };
    this.pages.push(page);
    page.seat.connected(now());
    this.run();
    return page;
  }

  tell(page, event) {
    page.seat.message(now(), JSON.stringify({ event }));
  }

  others(page, event) {
    for (const other of this.pages) if (other !== page && other.admitted) this.tell(other, event);
  }

  admit(page) {
    page.admitted = true;
    this.tell(page, { event: "admitted", rights, messages: this.messages, begins: page.id === 1 });
    this.others(page, { event: "arrived", participant: page.id, role: page.role, name: page.name, rights });
    for (const other of this.pages)
      if (other !== page && other.admitted)
        this.tell(page, { event: "arrived", participant: other.id, role: other.role, name: other.name, rights });
  }

  handle(page, { id, ask, ...fields }) {
    const answer = (result) => page.seat.message(now(), JSON.stringify({ answer: { id, result: { Ok: result } } }));
    switch (ask) {
      case "login":
        return answer({ session: { token: "token", expires_in: 3600 } });
      case "join":
        page.role = page.id === 1 ? "organizer" : "member";
        answer({ joined: { participant: page.id, role: page.role, token: "token", title: "Plans", region: "here", storage: "" } });
        if (page.id === 1) return this.admit(page);
        return this.tell(this.pages[0], {
          event: "waiting", participant: page.id, role: page.role, name: fields.name, key_package: fields.key_package,
          insiders_key_package: fields.insiders_key_package, outsider: false,
        });
      case "commit": {
        answer("done");
        this.messages += 1;
        const number = this.messages;
        for (const added of fields.added) {
          const newcomer = this.pages[added - 1];
          if (fields.group === "meeting") this.admit(newcomer);
          this.tell(newcomer, { event: "welcome", group: fields.group, number, message: fields.welcome });
        }
        return this.tell(page, { event: "mls", group: fields.group, number, from: page.id, message: fields.message });
      }
      case "link":
        return answer({ link: { ufrag: "r", password: "p", fingerprint: "sha-256 11", addresses: [] } });
      case "publish": {
        this.streams += 1;
        const stream = { stream: this.streams, ssrc: 0x1000 + 2 * this.streams };
        answer({ published: stream });
        const { kind, member, track } = fields;
        return this.others(page, { event: "published", participant: page.id, ...stream, kind, member, track });
      }
      case "say":
        this.others(page, { event: "said", participant: page.id, message: fields.message });
        return answer("done");
      default:
        return answer("done");
    }
  }

  run() {
    for (let busy = true; busy; ) {
      busy = false;
      for (const page of this.pages) {
        for (const output of JSON.parse(page.seat.poll(now()))) {
          if ("timeout" in output) continue;
          busy = true;
          page.outputs.push(output);
          if (output.send) this.handle(page, JSON.parse(output.send));
          if (output.make_link)
            page.seat.link(now(), JSON.stringify({ ufrag: "u", password: "p", fingerprint: "sha-256 00", addresses: [] }));
          if (output.link) page.seat.link_state(now(), true);
        }
      }
    }
  }
}

const desk = new Desk();
const open = (name) => desk.open({ meeting: "plans", name, entry: { account: [name, "password"] }, admit_all: true });
const started = performance.now();
const [ann, bob] = ["Ann", "Bob"].map(open);
console.log(`two pages met in ${(performance.now() - started).toFixed(0)} ms`);
const last = (page, key) => page.outputs.filter((output) => output[key]).at(-1)?.[key];
assert.equal(last(ann, "group").members, 2);
assert.equal(last(ann, "group").code, last(bob, "group").code);
ann.seat.command(now(), JSON.stringify({ do: "publish", kind: "camera" }));
ann.seat.command(now(), JSON.stringify({ do: "publish", kind: "audio" }));
desk.run();
const [camera, audio] = ["camera", "audio"].map((kind) => ann.outputs.find(({ published }) => published?.kind === kind).published.stream);

/** What a receiver's transform gets of what a sender's transform gave: the OBU with its size. */
function received(sent) {
  const size = [];
  for (let rest = sent.length - 1; ; rest >>= 7) {
    size.push((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
    if (rest <= 0x7f) break;
  }
  const obu = new Uint8Array(sent.length + size.length);
  obu.set([sent[0] | 2, ...size]);
  obu.set(sent.subarray(1), 1 + size.length);
  return obu;
}

const frame = crypto.getRandomValues(new Uint8Array(SIZE));
const sealed = [];
let begun = performance.now();
const dependencies = (id) => Float64Array.from(id ? [id - 1] : []);
for (let id = 0; id < FRAMES; id++) sealed.push(ann.seat.seal_video(now(), camera, id, id % 3, 0, id === 0, dependencies(id), frame));
const seal = (performance.now() - begun) / FRAMES;
const obus = sealed.map(received);
begun = performance.now();
const opened = obus.map((obu, id) => bob.seat.open_video(now(), camera, id, id % 3, 0, dependencies(id), obu));
const unseal = (performance.now() - begun) / FRAMES;
for (const one of opened) assert.deepEqual(one, frame);
console.log(`${SIZE} bytes of video: ${seal.toFixed(3)} ms to seal, ${unseal.toFixed(3)} ms to open, ${sealed[9].length - SIZE} bytes more`);

const kindOf = (act) => {
  try {
    act();
    return "opened";
  } catch (kind) {
    return kind;
  }
};
const again = (id, obu) => kindOf(() => bob.seat.open_video(now(), camera, id, id % 3, 0, dependencies(id), obu));
assert.equal(again(7, obus[7]), "replayed");
const next = received(ann.seat.seal_video(now(), camera, FRAMES, 0, 0, false, dependencies(FRAMES), frame));
assert.equal(again(FRAMES + 3, next), "not_authentic");
assert.equal(again(FRAMES, next), "opened");
assert.equal(JSON.parse(bob.seat.closed(camera)).replayed, 1);

const sound = frame.subarray(0, 120);
begun = performance.now();
for (let n = 0; n < FRAMES; n++) {
  const packet = ann.seat.seal_audio(now(), audio, sound);
  assert.equal(bob.seat.open_audio(now(), audio, packet, n & 0xffff).length, sound.length);
}
console.log(`120 bytes of sound: ${((performance.now() - begun) / FRAMES).toFixed(3)} ms to seal and open`);

// Beside it, what the ciphers alone cost by WebCrypto.
const key = await crypto.subtle.generateKey({ name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]);
begun = performance.now();
for (let n = 0; n < FRAMES; n++) await crypto.subtle.encrypt({ name: "AES-GCM", iv: new Uint8Array(12) }, key, frame);
console.log(`${SIZE} bytes by WebCrypto, the cipher alone: ${((performance.now() - begun) / FRAMES).toFixed(3)} ms`);
