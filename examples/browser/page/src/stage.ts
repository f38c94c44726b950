// The pictures: a grid, or one pinned above a strip of the others; and how large each is, which the relay is told.

import { el, icon, initials } from "./dom";
import type { Window } from "./protocol";

const GAP = 10;
const RATIO = 16 / 9;

/** Somebody's camera, or a screen. */
export class Tile {
  readonly root: HTMLElement;
  readonly video: HTMLVideoElement;
  readonly #initials = el("div", { class: "initials", "aria-hidden": "true" });
  readonly #name = el("span");
  readonly #muted = icon("muted");
  readonly #away = el("span", { class: "away" }, "connection lost");
  readonly #pin: HTMLButtonElement;
  readonly #hand = el("div", { class: "raised", role: "img", "aria-label": "raises a hand" }, icon("hand"));
  /** The stream that is shown. */
  stream: number | null = null;
  visible = true;

  constructor(readonly key: string, readonly kind: "camera" | "screen", own: boolean, pin: (tile: Tile) => void) {
    this.video = el("video", { autoplay: true, playsinline: true, muted: true });
    // The attribute says nothing of an element that a script made.
    this.video.muted = true;
    this.#pin = el("button", { type: "button", class: "pin plain", "aria-pressed": "false", click: () => pin(this) }, icon("pin"));
    this.root = el(
      "section",
      { class: `tile ${kind}${own ? " own" : ""}` },
      this.#initials,
      this.video,
      this.#hand,
      el("div", { class: "label" }, this.#muted, this.#name, this.#away),
      this.#pin,
    );
    this.#hand.hidden = true;
    this.#away.hidden = true;
    this.video.addEventListener("resize", () => this.root.dispatchEvent(new Event("sized")));
  }

  set name(name: string) {
    const shown = this.kind === "screen" ? `${name}'s screen` : name;
    if (this.#name.textContent === shown) return;
    this.#name.textContent = shown;
    this.#initials.textContent = initials(name);
    this.root.setAttribute("aria-label", shown);
    this.#pin.setAttribute("aria-label", `Pin ${shown}`);
  }

  set muted(muted: boolean) {
    this.#muted.style.display = muted ? "" : "none";
  }

  set away(away: boolean) {
    this.#away.hidden = !away;
  }

  set hand(raised: boolean) {
    this.#hand.hidden = !raised;
  }

  set pinned(pinned: boolean) {
    this.root.classList.toggle("main", pinned);
    this.#pin.setAttribute("aria-pressed", String(pinned));
  }

  set speaks(speaks: boolean) {
    this.root.classList.toggle("speaks", speaks);
  }

  show(stream: number | null, track: MediaStreamTrack | null): void {
    this.stream = stream;
    if (stream === null) delete this.root.dataset.stream;
    else this.root.dataset.stream = String(stream);
    const shown = this.video.srcObject instanceof MediaStream ? this.video.srcObject.getTracks()[0] : null;
    if (track !== shown) {
      this.video.srcObject = track ? new MediaStream([track]) : null;
      this.root.classList.remove("shows");
      if (track) this.video.requestVideoFrameCallback(() => this.root.classList.add("shows"));
    }
  }

  /** The rectangle that the whole picture is fitted into, in device pixels. */
  get size(): [number, number] {
    const { width, height } = this.video.getBoundingClientRect();
    const ratio = this.video.videoWidth > 0 ? this.video.videoWidth / this.video.videoHeight : RATIO;
    const covers = getComputedStyle(this.video).objectFit === "cover";
    const wide = covers ? Math.max(width, height * ratio) : Math.min(width, height * ratio);
    return [Math.round(wide * devicePixelRatio), Math.round((wide / ratio) * devicePixelRatio)];
  }
}

export class Stage {
  readonly #tiles = new Map<string, Tile>();
  readonly #seen: IntersectionObserver;
  #pinned: string | null = null;
  #timer = 0;
  #told = "";

  constructor(readonly root: HTMLElement, readonly own: string, private readonly windows: (windows: Window[]) => void) {
    new ResizeObserver(() => this.layout()).observe(root);
    this.#seen = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        const tile = [...this.#tiles.values()].find((tile) => tile.root === entry.target);
        if (tile) tile.visible = entry.isIntersecting;
      }
      this.report();
    });
    document.addEventListener("visibilitychange", () => this.report(0));
  }

  get(key: string): Tile | undefined {
    return this.#tiles.get(key);
  }

  tiles(): Iterable<Tile> {
    return this.#tiles.values();
  }

  /** The tile with this key, which is made if it is not there. */
  need(key: string, kind: "camera" | "screen"): Tile {
    const known = this.#tiles.get(key);
    if (known) return known;
    const tile = new Tile(key, kind, key === this.own, (tile) => this.pin(this.#pinned === tile.key ? this.#instead(tile) : tile.key));
    tile.root.addEventListener("sized", () => this.report());
    this.#tiles.set(key, tile);
    this.#seen.observe(tile.root);
    // One's own picture comes last, screens first.
    if (kind === "screen") this.root.prepend(tile.root);
    else if (this.#tiles.has(this.own) && key !== this.own) this.root.insertBefore(tile.root, this.#tiles.get(this.own)?.root ?? null);
    else this.root.append(tile.root);
    if (kind === "screen" && this.#pinned === null) this.pin(key);
    this.layout();
    return tile;
  }

  drop(key: string): void {
    const tile = this.#tiles.get(key);
    if (!tile) return;
    this.#seen.unobserve(tile.root);
    tile.root.remove();
    tile.video.srcObject = null;
    this.#tiles.delete(key);
    if (this.#pinned === key) this.#pinned = this.#instead(tile);
    this.layout();
  }

  /** What is large when a tile is no longer: a screen after somebody's camera, if one is shared. */
  #instead(tile: Tile): string | null {
    if (tile.kind === "screen") return null;
    return [...this.#tiles.values()].find((other) => other.kind === "screen")?.key ?? null;
  }

  clear(): void {
    for (const key of [...this.#tiles.keys()]) this.drop(key);
  }

  pin(key: string | null): void {
    this.#pinned = key;
    this.layout();
  }

  layout(): void {
    const { clientWidth, clientHeight } = this.root;
    const style = getComputedStyle(this.root);
    const width = clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
    const count = this.#tiles.size;
    for (const tile of this.#tiles.values()) tile.pinned = tile.key === this.#pinned;
    const pinned = this.#pinned !== null && count > 1;
    this.root.classList.toggle("pinned", pinned);
    if (pinned) {
      // The others stand in one row.
      const strip = Math.min(180, (width - GAP * (count - 2)) / (count - 1), clientHeight * 0.28 * RATIO);
      this.root.style.setProperty("--strip", `${Math.max(48, Math.floor(strip))}px`);
      this.root.style.setProperty("--strip-height", `${Math.ceil(Math.max(48, strip) / RATIO)}px`);
    } else if (count > 0) {
      const fit = (columns: number) => {
        const rows = Math.ceil(count / columns);
        return Math.min((width - GAP * (columns - 1)) / columns, ((clientHeight - GAP * (rows - 1)) / rows) * RATIO);
      };
      let best = 1;
      for (let columns = 2; columns <= count; columns += 1) if (fit(columns) > fit(best)) best = columns;
      this.root.style.setProperty("--columns", String(best));
      this.root.style.setProperty("--width", `${Math.max(40, Math.floor(fit(best)))}px`);
    }
    this.report();
  }

  /** Tells the sizes soon, if they are others than before. */
  report(wait = 100): void {
    if (this.#timer !== 0 && wait > 0) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#timer = 0;
      const windows = this.measure();
      const told = JSON.stringify(windows);
      if (told !== this.#told) {
        this.#told = told;
        this.windows(windows);
      }
    }, wait);
  }

  measure(): Window[] {
    const windows: Window[] = [];
    for (const tile of this.#tiles.values()) {
      if (tile.stream === null || tile.key === this.own) continue;
      const size = tile.size;
      windows.push({
        stream: tile.stream,
        size,
        priority: tile.key === this.#pinned ? "pinned" : tile.kind === "screen" ? "screen_share" : "thumbnail",
        visible: tile.visible && document.visibilityState === "visible" && size[0] > 0 && size[1] > 0,
      });
    }
    return windows;
  }
}
