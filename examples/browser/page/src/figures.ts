// What comes of each stream and why no more, and what is sent because somebody watches it.

import type { Cost, Demand, Kind, Passed, Stream, Window } from "./protocol";

/** So often in a row the browser may say that it sent more of a stream, and the worker that it sealed nothing of it. */
const UNSEALED = 5;

/** What the browser counts of a video stream. */
export interface Counts {
  width: number;
  height: number;
  rate: number;
  kbps: number;
}

export interface Figures {
  layers: Record<string, number>;
  refused: Record<string, number>;
  counts: Counts | null;
}

/** Collects what the worker and the browser count. */
export class Ledger {
  readonly #passed = new Map<number, Passed>();
  readonly #counts = new Map<number, Counts>();
  readonly #before = new Map<number, { frames: number; bytes: number; at: number }>();
  readonly #decoding = new Map<number, number>();
  readonly #suspect = new Map<number, { count: number; bytes: number; total: number }>();
  cost: Cost | null = null;
  /** Whether the worker reported since the statistics were looked at. */
  #isFresh = false;

  passed(passed: [number, Passed][], cost: Cost): void {
    this.#passed.clear();
    for (const [stream, it] of passed) this.#passed.set(stream, it);
    this.cost = cost;
    this.#isFresh = true;
  }

  /** Whether the browser sent something of a stream that nobody sealed. */
  unsealed = false;

  /** Takes the browser's statistics; `streamOf` knows the stream of an SSRC. Returns the loudness of each stream of sound. */
  stats(report: RTCStatsReport, streamOf: (ssrc: number) => number | null): Map<number, number> {
    const loudness = new Map<number, number>();
    this.#counts.clear();
    for (const it of report.values()) {
      const ways = it.type === "inbound-rtp" ? "received" : it.type === "outbound-rtp" ? "sent" : null;
      const stream = ways === null ? null : streamOf(it.ssrc);
      if (ways === null || stream === null) continue;
      if (ways === "sent" && this.#isFresh) this.#suspects(stream, it.bytesSent);
      if (it.kind === "audio") {
        if (ways === "received") loudness.set(stream, it.audioLevel ?? 0);
        continue;
      }
      const frames: number = (ways === "received" ? it.framesDecoded : it.framesSent) ?? 0;
      const bytes: number = (ways === "received" ? it.bytesReceived : it.bytesSent) ?? 0;
      const before = this.#before.get(stream);
      this.#before.set(stream, { frames, bytes, at: it.timestamp });
      const seconds = before ? (it.timestamp - before.at) / 1000 : 0;
      if (ways === "received" && it.framesDecoded > 0 && it.frameWidth > 0) {
        this.#decoding.set(it.frameWidth * it.frameHeight, Math.round((it.totalDecodeTime / it.framesDecoded) * 1e6));
      }
      if (!before || seconds <= 0) continue;
      const own = ways === "sent" ? this.#pictures(stream) : null;
      this.#counts.set(stream, {
        width: it.frameWidth ?? 0,
        height: it.frameHeight ?? 0,
        rate: own ?? Math.max(0, frames - before.frames) / seconds,
        kbps: (Math.max(0, bytes - before.bytes) * 8) / 1000 / seconds,
      });
    }
    this.#isFresh = false;
    return loudness;
  }

  /** Every frame passes the worker. What does not is sent in clear, whatever the reason. */
  #suspects(stream: number, sent: number): void {
    const { count, bytes, total } = this.#suspect.get(stream) ?? { count: 0, bytes: 0, total: 0 };
    const now = this.#passed.get(stream)?.total ?? 0;
    const isSuspect = sent > bytes && now <= total;
    this.#suspect.set(stream, { count: isSuspect ? count + 1 : 0, bytes: sent, total: now });
    if (isSuspect && count + 1 >= UNSEALED) this.unsealed = true;
  }

  /** Pictures that were sent in the last second: Chrome counts each layer of one. */
  #pictures(stream: number): number {
    const pictures: number[] = [];
    for (const [layer, [count]] of Object.entries(this.#passed.get(stream)?.layers ?? {})) {
      const spatial = Number(layer[1]);
      pictures[spatial] = (pictures[spatial] ?? 0) + count;
    }
    return Math.max(0, ...pictures.filter((count) => count > 0));
  }

  /** Mean times of decoding, by the samples of a picture, in microseconds. */
  decodeTimes(): [number, number][] {
    return [...this.#decoding].filter(([, us]) => us > 0).slice(-8);
  }

  figures(stream: number): Figures {
    const { layers = {}, refused = {} } = this.#passed.get(stream) ?? {};
    const frames = Object.fromEntries(Object.entries(layers).map(([layer, [count]]) => [layer, count]));
    return { layers: frames, refused, counts: this.#counts.get(stream) ?? null };
  }
}

/** Of each spatial layer that comes, its temporal layers. */
export function ladder(layers: Record<string, number>): Set<string> {
  return new Set(Object.entries(layers).filter(([, count]) => count > 0).map(([layer]) => layer));
}

const REASONS = new Map(Object.entries({
  full: "This is all that the sender codes.",
  window: "The picture is shown no larger than this.",
  cap: "A limit keeps the rest from you.",
  cpu: "This machine decodes no more than this.",
  network: "Your network carries no more than this.",
  loss: "Your network loses packets, so that less is sent.",
  proving: "Your network may carry more, which is being found out.",
  hidden: "It is not shown, so that nothing of it comes.",
  not_on_offer: "The sender codes nothing at the moment.",
}));

/** Why this and no more comes of a stream. */
export function why(stream: Stream, window: Window | undefined, figures: Figures, reason: string | undefined): string {
  const said = reason === undefined ? undefined : REASONS.get(reason);
  if (said !== undefined) return said;
  const comes = ladder(figures.layers).size > 0;
  if (!window?.visible) return comes ? "It is not shown: what comes ends soon." : "It is not shown, so that nothing of it comes.";
  if (!comes) return "Nothing comes: the sender codes nothing, or the path is broken.";
  const top = Math.max(...[...ladder(figures.layers)].map((layer) => Number(layer[1])));
  if (stream.max_spatial_id !== null && top >= stream.max_spatial_id) return "You have no keys of the layers above.";
  const { counts } = figures;
  if (counts && counts.width >= window.size[0]) return `It is shown ${window.size[0]}x${window.size[1]}: more would not be seen.`;
  return `It is shown ${window.size[0]}x${window.size[1]}: the relay sends what your network carries and the sender codes.`;
}

/** What is sent of one's own, and because of what. */
export function becauseOf(kind: Kind, demand: Demand | undefined): string {
  if (kind === "audio") return "Everybody hears it.";
  if (!demand) return "It has just begun.";
  if (demand.wanted.length === 0) return "Nobody watches it, so that nothing is coded.";
  const layers = demand.wanted.join(", ");
  return `Others watch it as ${layers}: nothing above is coded.`;
}
