// A meeting, from the door to its end: joins the worker, the link and what people see.

import type { Ability } from "./browser";
import { ask, byId, el, icon, toast, warn, type IconName } from "./dom";
import { Ledger } from "./figures";
import { Link } from "./link";
import { codePanel, layersPanel, peoplePanel, type View } from "./panels";
import { Stage } from "./stage";
import type { Command, Demand, FromWorker, Group, Kind, Notice, Output, Person, Published, SeatConfig, Stream, ToWorker, Window } from "./protocol";

const SECOND = 1000;
/** Reports of windows are repeated so often, with the times of decoding. */
const REPORT = 5 * SECOND;
const SPEAKS = 0.02;
/** Whoever comes in is told for so long who was away before, which tiles show. */
const SETTLES = 3 * SECOND;
/** What happens without anything to be done about it is not said aloud. */
const SILENT = new Set(["epoch", "joined", "admitted", "arrived", "sending", "published", "unpublished", "demand", "connected", "link_up",
  "code", "person", "layers", "enforced", "waiting", "invitation", "ended", "disconnected", "newcomer"]);
/** They stay until they are put away. */
const GRAVE = new Set(["forked", "organizers_differ", "other_organizer", "held_back", "not_added", "commit_refused", "expelled", "group_lost",
  "forged", "unproven", "not_attested"]);

type Panel = "people" | "layers" | "code";

export interface Wish {
  config: SeatConfig;
  camera: boolean;
  voice: boolean;
  /** The certificate that links of the meeting name, for native participants. */
  certificate: string | null;
}

export class Meeting {
  readonly #worker: Worker;
  readonly #link: Link;
  readonly #stage: Stage;
  readonly #ledger = new Ledger();
  readonly #sources = new Map<Kind, MediaStreamTrack>();
  readonly #streams = new Map<number, Stream>();
  readonly #sounds = new Map<number, HTMLAudioElement>();
  readonly #tracks = new Map<number, MediaStreamTrack>();
  /** Why the relay forwards no more of a stream. */
  readonly #reasons = new Map<number, string>();
  readonly #own = new Map<Kind, Published>();
  readonly #demands = new Map<Kind, Demand>();
  readonly #buttons = new Map<string, HTMLButtonElement>();
  #people: Person[] = [];
  #group: Group | null = null;
  #windows: Window[] = [];
  #panel: Panel | null = null;
  #opener: HTMLElement | null = null;
  #locked = false;
  #storage = "";
  #inside = false;
  #insideSince = 0;
  #online = false;
  #over = false;
  /** Whether single letters press buttons: who speaks to the computer, or slips, may not want that. */
  #keys = true;

  constructor(
    private readonly ability: Ability,
    private readonly wish: Wish,
    private readonly ended: (why: string, wasInside: boolean) => void,
  ) {
    this.#worker = new Worker("/worker.js", { type: "module" });
    this.#worker.onmessage = ({ data }: MessageEvent<FromWorker>) => this.#said(data);
    this.#worker.onerror = (event) => this.#end(`The page failed: ${event.message}`);
    this.#link = new Link(this.#worker, ability.modes, {
      described: (link) => this.#tell({ link }),
      state: (linkState) => this.#tell({ linkState }),
      failed: (linkFailed) => {
        toast(capital(`${linkFailed}.`), true);
        this.#tell({ linkFailed });
      },
      track: (stream, track) => this.#track(stream, track),
    });
    this.#stage = new Stage(byId("stage"), "own", (windows) => this.#report(windows));
    this.#bar();
    this.#frame();
    // A browser may let nothing sound before somebody clicks.
    addEventListener("click", () => {
      for (const sound of this.#sounds.values()) if (sound.paused) sound.play().catch(() => {});
    });
    // A page that is loaded anew has no seat, and a guest's invitation has served.
    addEventListener("beforeunload", (event) => {
      if (this.#inside && !this.#over) event.preventDefault();
    });
    setInterval(() => void this.#tick(), SECOND);
    setInterval(() => this.#report(this.#stage.measure()), REPORT);
    this.#tell({ start: wish.config, socket: socketAddress() });
    this.#state();
    void this.#begin();
  }

  #tell(message: ToWorker): void {
    this.#worker.postMessage(message);
  }

  #command(command: Command): void {
    if (!this.#over) this.#tell({ command });
  }

  // ---- What comes ----

  #said(message: FromWorker): void {
    if ("output" in message) this.#output(message.output);
    else if ("passed" in message) this.#ledger.passed(message.passed, message.cost);
    else if ("online" in message) {
      this.#online = message.online;
      this.#state();
      this.#tiles();
    } else if ("failed" in message) this.#end(`The page failed: ${message.failed}`);
  }

  #output(output: Output): void {
    if (output.make_link) {
      // The browser begins the numbers of packets anew on another link, which nobody takes of streams that have gone on.
      for (const kind of this.#own.keys()) {
        this.#command({ do: "unpublish", kind });
        this.#publish(kind);
      }
      void this.#link.make();
    } else if (output.link) this.#link.connect(output.link);
    else if (output.published) {
      this.#own.set(output.published.kind, output.published);
      this.#link.publish(output.published);
    } else if (output.unpublished) {
      this.#own.delete(output.unpublished.kind);
      this.#demands.delete(output.unpublished.kind);
      this.#link.unpublish(output.unpublished.kind, output.unpublished.stream);
    } else if (output.stream) this.#stream(output.stream);
    else if (output.stream_ended !== undefined) this.#streamEnded(output.stream_ended);
    else if (output.demand) {
      this.#demands.set(output.demand.kind, output.demand);
      this.#link.demand(output.demand);
    } else if (output.notice) this.#notice(output.notice);
    else if (output.people) {
      this.#people = output.people;
      this.#tiles();
      this.#refresh("people");
    } else if (output.group !== undefined) {
      this.#group = output.group;
      this.#state();
      this.#refresh("people", "code");
    } else if (output.invitation !== undefined) void this.#invitation(output.invitation);
    else if (output.ended !== undefined) this.#end(output.ended);
  }

  #notice(notice: Notice): void {
    if (notice.notice === "joined") {
      this.#storage = `The relay is in ${String(notice.region)}. ${String(notice.storage)}`;
      byId("title").textContent = String(notice.title);
      document.title = `${String(notice.title)} – layercast`;
      byId("door-title").textContent = String(notice.title);
      byId("door-text").textContent = "You are at the door. The organizer sees your name, and lets you in.";
      byId("door-storage").textContent = this.#storage;
      // The code has served. It is not to stay where others can read it.
      const certificate = this.wish.certificate;
      history.replaceState(null, "", `/m/${this.wish.config.meeting}${certificate ? `#cert=${certificate}` : ""}`);
    } else if (notice.notice === "admitted" && !this.#inside) {
      this.#inside = true;
      this.#insideSince = performance.now();
      byId("door").hidden = true;
      byId("meeting").hidden = false;
      this.#stage.layout();
      toast("You are in the meeting.");
    } else if (notice.notice === "waiting") {
      const name = String(notice.name);
      toast(`${name} is at the door.`);
      if (this.#panel === null && matchMedia("(min-width: 761px)").matches && this.#group?.organizer) this.#open("people", null);
    } else if (notice.notice === "layers") {
      const stream = Number(notice.stream);
      if (this.#streams.has(stream)) this.#reasons.set(stream, String(notice.reason));
    } else if (notice.notice === "other_organizer") {
      // The seat sends nothing until the person has compared the fingerprint and switches it on again.
      for (const kind of [...this.#sources.keys()]) void this.#stop(kind);
    } else if (notice.notice === "locked") {
      this.#locked = Boolean(notice.locked);
      this.#refresh("people");
      this.#state();
    }
    const isOwn = notice.notice === "insider" && notice.own === true;
    const settles = notice.notice === "away" && performance.now() < this.#insideSince + SETTLES;
    if (GRAVE.has(notice.notice)) warn(capital(notice.text));
    else if (!SILENT.has(notice.notice) && !isOwn && !settles) toast(`${capital(notice.text)}.`, notice.notice === "refused");
  }

  async #invitation(code: string): Promise<void> {
    const fields = [`code=${code}`, ...(this.wish.certificate ? [`cert=${this.wish.certificate}`] : [])];
    const link = `${location.origin}/m/${this.wish.config.meeting}#${fields.join("&")}`;
    const chosen = await ask("An invitation for one guest", link, [{ label: "Copy", kind: "primary" }], "Close");
    if (chosen === null) return;
    try {
      await navigator.clipboard.writeText(link);
      toast("The invitation was copied.");
    } catch {
      toast("The browser does not let this page copy. Mark the link, and copy it yourself.", true);
    }
  }

  // ---- Streams ----

  #stream(stream: Stream): void {
    this.#streams.set(stream.stream, stream);
    this.#link.add(stream);
    this.#tiles();
  }

  #streamEnded(stream: number): void {
    const known = this.#streams.get(stream);
    this.#streams.delete(stream);
    this.#reasons.delete(stream);
    this.#link.remove(stream);
    this.#track(stream, null);
    if (known?.kind === "screen") this.#stage.drop(`s${stream}`);
    this.#tiles();
  }

  #track(stream: number, track: MediaStreamTrack | null): void {
    if (track) this.#tracks.set(stream, track);
    else this.#tracks.delete(stream);
    const sound = this.#sounds.get(stream);
    if (sound && !track) {
      sound.srcObject = null;
      sound.remove();
      this.#sounds.delete(stream);
    } else if (track?.kind === "audio" && !sound) {
      const made = el("audio", { autoplay: true });
      made.srcObject = new MediaStream([track]);
      made.play().catch(() => toast("Click anywhere to hear the others."));
      document.body.append(made);
      this.#sounds.set(stream, made);
    }
    this.#tiles();
  }

  /** Brings the tiles up to people and streams. */
  #tiles(): void {
    const own = this.#people.find((person) => person.own);
    const wanted = new Set(["own"]);
    const of = (participant: number, kind: Kind) =>
      [...this.#streams.values()].find((stream) => stream.participant === participant && stream.kind === kind);
    for (const person of this.#people) {
      if (person.own || person.waiting) continue;
      const tile = this.#stage.need(`p${person.participant}`, "camera");
      wanted.add(tile.key);
      const camera = of(person.participant, "camera");
      tile.name = person.name;
      tile.hand = person.hand;
      tile.away = person.away;
      // Without the relay nobody knows.
      tile.muted = this.#online && !person.away && !of(person.participant, "audio");
      const track = camera ? (this.#tracks.get(camera.stream) ?? null) : null;
      tile.show(track && camera ? camera.stream : null, track);
    }
    for (const stream of this.#streams.values()) {
      if (stream.kind !== "screen") continue;
      const tile = this.#stage.need(`s${stream.stream}`, "screen");
      wanted.add(tile.key);
      tile.name = stream.name;
      tile.muted = false;
      const track = this.#tracks.get(stream.stream) ?? null;
      tile.show(track ? stream.stream : null, track);
    }
    const mine = this.#stage.need("own", "camera");
    mine.name = own ? `${own.name} (you)` : "You";
    mine.hand = own?.hand ?? false;
    mine.muted = !this.#sources.has("audio");
    mine.show(null, this.#sources.get("camera") ?? null);
    for (const tile of [...this.#stage.tiles()]) if (!wanted.has(tile.key)) this.#stage.drop(tile.key);
    this.#stage.report();
    this.#marks();
  }

  #report(windows: Window[]): void {
    this.#windows = windows;
    const times = this.#ledger.decodeTimes();
    if (this.#inside) this.#command({ do: "windows", windows, ...(times.length > 0 ? { decode_times: times } : {}) });
  }

  async #tick(): Promise<void> {
    if (this.#over) return;
    const stats = await this.#link.stats();
    if (stats) {
      const loudness = this.#ledger.stats(stats, (ssrc) => this.#link.streamOf(ssrc));
      if (this.#ledger.unsealed) return this.#end("This browser sent something that was not sealed, and the page stopped it.");
      for (const person of this.#people) {
        const voice = [...this.#streams.values()].find((it) => it.participant === person.participant && it.kind === "audio");
        const tile = this.#stage.get(`p${person.participant}`);
        if (tile) tile.speaks = voice !== undefined && (loudness.get(voice.stream) ?? 0) > SPEAKS;
      }
    }
    this.#refresh("layers");
  }

  // ---- What is sent ----

  async #begin(): Promise<void> {
    if (this.wish.voice) await this.#start("audio");
    if (this.wish.camera && this.ability.sendsVideo) await this.#start("camera");
    this.#tiles();
  }

  async #start(kind: Kind): Promise<void> {
    let track: MediaStreamTrack | undefined;
    try {
      track = (await capture(kind)).getTracks().find((it) => it.kind === (kind === "audio" ? "audio" : "video"));
    } catch (error) {
      const what = { audio: "The microphone", camera: "The camera", screen: "The screen" }[kind];
      // Whoever changes their mind about sharing knows it.
      if (kind !== "screen") toast(`${what} cannot be used: ${(error as Error).message}`, true);
    }
    if (!track || this.#over) return;
    track.onended = () => void this.#stop(kind);
    this.#sources.set(kind, track);
    await this.#link.setTrack(kind, track);
    this.#publish(kind);
    this.#tiles();
  }

  #publish(kind: Kind): void {
    const { width, height } = this.#sources.get(kind)?.getSettings() ?? {};
    this.#command({ do: "publish", kind, ...(width && height ? { size: [width, height] } : {}) });
  }

  async #stop(kind: Kind): Promise<void> {
    const track = this.#sources.get(kind);
    if (!track) return;
    this.#sources.delete(kind);
    this.#command({ do: "unpublish", kind });
    track.stop();
    await this.#link.setTrack(kind, null);
    this.#tiles();
  }

  // ---- What people see ----

  #bar(): void {
    const button = (name: string, icons: IconName, label: string, device: boolean, act: () => void) => {
      const made = el("button", { type: "button", class: device ? "device" : null, "data-do": name, click: act }, icon(icons), el("span", { class: "name" }, label));
      this.#buttons.set(name, made);
      return made;
    };
    const toggle = (kind: Kind) => () => void (this.#sources.has(kind) ? this.#stop(kind) : this.#start(kind));
    const panel = (name: Panel) => (): void => (this.#panel === name ? this.#close() : this.#open(name, this.#buttons.get(name) ?? null));
    const canShare = this.ability.sendsVideo && "getDisplayMedia" in navigator.mediaDevices;
    byId("bar").replaceChildren(
      button("audio", "voice", "Mic", true, toggle("audio")),
      ...(this.ability.sendsVideo ? [button("camera", "camera", "Camera", true, toggle("camera"))] : []),
      ...(canShare ? [button("screen", "share", "Share", false, toggle("screen"))] : []),
      button("hand", "hand", "Hand", false, () => this.#command({ do: "hand", raised: !this.#people.find((it) => it.own)?.hand })),
      button("people", "people", "People", false, panel("people")),
      button("layers", "layers", "Layers", false, panel("layers")),
      button("leave", "leave", "Leave", false, () => void this.#leave()),
    );
    addEventListener("keydown", (event) => {
      const target = event.target as HTMLElement;
      if (byId("meeting").hidden || event.ctrlKey || event.metaKey || event.altKey || target.matches("input, dialog *") || event.repeat || this.#over) return;
      if (event.key === "Escape" && this.#panel) this.#close();
      const name = this.#keys ? KEYS[event.key.toUpperCase()] : undefined;
      if (name !== undefined) this.#buttons.get(name)?.click();
    });
    this.#marks();
  }

  #frame(): void {
    byId("show-code").replaceChildren(icon("shield"), "Compare the code");
    byId("show-code").onclick = () => (this.#panel === "code" ? this.#close() : this.#open("code", byId("show-code")));
    byId("side-close").replaceChildren(icon("close"));
    byId("side-close").onclick = () => this.#close();
    byId("door-leave").onclick = () => this.#command({ do: "leave" });
    byId("door").hidden = false;
    byId("door-title").textContent = "One moment";
    byId("door-text").textContent = "The relay is being reached.";
    byId("door-title").focus();
  }

  /** What the buttons say about how things are. */
  #marks(): void {
    for (const [key, name] of Object.entries(KEYS)) {
      const button = this.#buttons.get(name);
      if (this.#keys) button?.setAttribute("aria-keyshortcuts", key);
      else button?.removeAttribute("aria-keyshortcuts");
    }
    const own = this.#people.find((person) => person.own);
    // The name of a toggle stays, as "pressed" says how it is; the hint tells what a click does.
    const press = (name: string, pressed: boolean, label: string, does: string) => {
      const button = this.#buttons.get(name);
      const key = button?.getAttribute("aria-keyshortcuts");
      button?.setAttribute("aria-pressed", String(pressed));
      button?.setAttribute("aria-label", label);
      button?.setAttribute("title", key ? `${does} (${key})` : does);
    };
    const on = (kind: Kind) => this.#sources.has(kind);
    const mayShare = own?.rights?.share !== false;
    press("audio", on("audio"), "Microphone", on("audio") ? "Mute the microphone" : "Unmute the microphone");
    press("camera", on("camera"), "Camera", on("camera") ? "Switch the camera off" : "Switch the camera on");
    const share = on("screen") ? "Stop sharing the screen" : "Share a screen";
    press("screen", on("screen"), "Share a screen", mayShare ? share : "The organizer has not let you share a screen");
    press("hand", own?.hand ?? false, "Raised hand", own?.hand ? "Lower your hand" : "Raise your hand");
    const screen = this.#buttons.get("screen");
    if (screen) screen.disabled = !mayShare;
    for (const name of ["people", "layers"] as const) this.#buttons.get(name)?.setAttribute("aria-expanded", String(this.#panel === name));
    byId("show-code").setAttribute("aria-expanded", String(this.#panel === "code"));
    const waiting = this.#people.filter((person) => person.waiting).length;
    const people = this.#buttons.get("people");
    people?.querySelector(".count")?.remove();
    if (waiting > 0) people?.append(el("span", { class: "count" }, String(waiting)));
    people?.setAttribute("aria-label", waiting > 0 ? `People, ${waiting} at the door` : "People");
  }

  #state(): void {
    const says = [];
    if (!this.#online) says.push("Reaching the relay…");
    else if (this.#inside && !this.#group) says.push("Waiting for keys…");
    if (this.#locked) says.push("Locked");
    byId("state").textContent = says.join(" · ");
  }

  #open(panel: Panel, opener: HTMLElement | null): void {
    this.#panel = panel;
    this.#opener = opener;
    byId("side").hidden = false;
    byId("side-title").textContent = { people: "People", layers: "Layers", code: "Who can see and hear" }[panel];
    byId("side-body").replaceChildren();
    this.#refresh(panel);
    if (opener) byId("side-title").focus();
    this.#marks();
  }

  #close(): void {
    this.#panel = null;
    byId("side").hidden = true;
    this.#opener?.focus();
    this.#marks();
  }

  #refresh(...panels: Panel[]): void {
    if (this.#panel === null || !panels.includes(this.#panel)) return;
    const view: View = {
      people: this.#people, group: this.#group, locked: this.#locked, streams: this.#streams, reasons: this.#reasons, own: this.#own,
      demands: this.#demands, windows: this.#windows, ledger: this.#ledger, storage: this.#storage,
      keys: this.#keys,
      useKeys: (keys) => {
        this.#keys = keys;
        this.#marks();
      },
      command: (command) => this.#command(command),
      confirm: async (title, text, label) => (await ask(title, text, [{ label, kind: "danger" }])) === 0,
    };
    ({ people: peoplePanel, layers: layersPanel, code: codePanel })[this.#panel](byId("side-body"), view);
  }

  async #leave(): Promise<void> {
    const organizes = this.#group?.organizer ?? false;
    const text = organizes ? "You can hand the meeting over first, end it for everybody, or leave it." : "Nobody sees or hears you any more.";
    const chosen = await ask("Leave the meeting?", text, [
      ...(organizes ? [{ label: "End for all", kind: "danger" as const }] : []),
      { label: "Leave", kind: "primary" },
    ]);
    if (chosen === null) return;
    this.#command(organizes && chosen === 0 ? { do: "end" } : { do: "leave" });
  }

  #end(why: string): void {
    if (this.#over) return;
    // Nothing is done if the seat has ended by itself.
    this.#command({ do: "leave" });
    this.#over = true;
    for (const track of this.#sources.values()) track.stop();
    this.#link.close();
    this.#stage.clear();
    byId("toasts").replaceChildren();
    for (const sound of this.#sounds.values()) sound.remove();
    // The worker has last words to say.
    setTimeout(() => this.#worker.terminate(), SECOND);
    this.ended(why, this.#inside);
  }
}

/** The button that a letter presses. */
const KEYS: Record<string, string> = { M: "audio", V: "camera", S: "screen", H: "hand", P: "people", L: "layers" };

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function capture(kind: Kind): Promise<MediaStream> {
  if (kind === "audio") return navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: true, noiseSuppression: true } });
  if (kind === "camera") {
    return navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30, max: 30 } } });
  }
  return navigator.mediaDevices.getDisplayMedia({ video: { frameRate: { max: 15 } } }).then((stream) => {
    const track = stream.getVideoTracks()[0];
    if (track) track.contentHint = "detail";
    return stream;
  });
}

export function socketAddress(): string {
  return `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`;
}
