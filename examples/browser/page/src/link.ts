// The link to the relay: one RTCPeerConnection, whose other end's SDP is written here. Streams come and go on m-lines that
// are used again.

import { layersBitrate, spatialLayers } from "./rate";
import { type Line, isFit, offer, withSsrcs } from "./sdp";
import type { Demand, Kind, LinkDescription, Published, Stream } from "./protocol";

/** `disconnected` may pass by itself; so long it is given, in ms. */
const PATIENCE = 3000;
/** A link that does not come up is given up after so long, in ms; the relay does so after 10 s. */
const CONNECT_WITHIN = 8000;
const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

export interface LinkHooks {
  /** Our end is made. */
  described(description: LinkDescription): void;
  /** The link is up, or broken. */
  state(up: boolean): void;
  /** It cannot be made as the relay says. */
  failed(why: string): void;
  /** A stream's track is there, or is gone. */
  track(stream: number, track: MediaStreamTrack | null): void;
}

interface Own {
  published: Published;
  demand: Demand | null;
}

export class Link {
  #pc: RTCPeerConnection | null = null;
  #relay: LinkDescription | null = null;
  /** They outlive a link that broke: streams end by the seat's word alone. */
  readonly #lines: Line[] = [
    { mid: "camera", media: "video", way: "up", stream: null },
    { mid: "screen", media: "video", way: "up", stream: null },
    { mid: "voice", media: "audio", way: "up", stream: null },
    // A second line for sound: with one alone, the browser would give it what it knows no line for.
    { mid: "a3", media: "audio", way: "down", stream: null },
  ];
  #version = 0;
  #making = 0;
  #dirty = false;
  #running = false;
  #adjusting = Promise.resolve();
  #up = false;
  #timer = 0;
  #deadline = 0;
  #transformed = new WeakSet<RTCRtpTransceiver>();
  readonly #own = new Map<Kind, Own>();
  readonly #tracks = new Map<Kind, MediaStreamTrack>();

  constructor(
    private readonly worker: Worker,
    private readonly modes: string[],
    private readonly hooks: LinkHooks,
  ) {}

  /** Makes this end anew. */
  async make(): Promise<void> {
    this.close();
    const making = ++this.#making;
    const certificate = await RTCPeerConnection.generateCertificate({ name: "ECDSA", namedCurve: "P-256" } as EcKeyGenParams);
    if (making !== this.#making) return;
    // Without encodedInsertableStreams Chrome sends in clear whatever has no transform in the task in which its sender came to be.
    const configuration = { certificates: [certificate], bundlePolicy: "max-bundle", encodedInsertableStreams: true };
    const pc = new RTCPeerConnection(configuration as RTCConfiguration);
    this.#pc = pc;
    // What comes goes past a transform that is set any later.
    pc.ontrack = ({ transceiver }) => {
      const line = this.#lines.find((line) => line.mid === transceiver.mid);
      if (line) this.#transform(transceiver, line);
    };
    pc.onconnectionstatechange = () => this.#changed(pc);
    const fingerprint = certificate.getFingerprints().find((it) => it.algorithm === "sha-256")?.value ?? "";
    // The relay never checks us (it is ICE-lite), so that these say nothing.
    const random = (length: number) => Array.from(crypto.getRandomValues(new Uint8Array(length)), (byte) => LETTERS[byte % LETTERS.length]).join("");
    this.hooks.described({ ufrag: random(8), password: random(24), fingerprint: `sha-256 ${fingerprint}`, addresses: [] });
  }

  /** The relay's end. */
  connect(relay: LinkDescription): void {
    if (!isFit(relay)) return this.hooks.failed("the relay describes its end of the link wrongly");
    const pc = this.#pc;
    this.#relay = relay;
    this.#negotiate();
    clearTimeout(this.#deadline);
    this.#deadline = setTimeout(() => {
      if (pc === this.#pc && !this.#up) this.hooks.state(false);
    }, CONNECT_WITHIN);
  }

  close(): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#deadline);
    if (this.#pc) {
      this.#pc.onconnectionstatechange = null;
      this.#pc.close();
    }
    for (const { way, stream } of this.#lines) if (way === "down" && stream) this.hooks.track(stream.stream, null);
    [this.#pc, this.#relay, this.#up] = [null, null, false];
  }

  #changed(pc: RTCPeerConnection): void {
    if (pc !== this.#pc) return;
    clearTimeout(this.#timer);
    const broken = () => {
      if (pc !== this.#pc) return;
      this.#up = false;
      this.hooks.state(false);
    };
    if (pc.connectionState === "connected") {
      if (!this.#up) this.hooks.state(true);
      this.#up = true;
    } else if (pc.connectionState === "failed") broken();
    else if (pc.connectionState === "disconnected") this.#timer = setTimeout(broken, PATIENCE);
  }

  /** What is sent as camera, screen or voice, if the relay knows of it. */
  async setTrack(kind: Kind, track: MediaStreamTrack | null): Promise<void> {
    if (track) this.#tracks.set(kind, track);
    else this.#tracks.delete(kind);
    await this.#sender(kind)?.replaceTrack(track);
    await this.#adjust(kind);
  }

  publish(published: Published): void {
    const line = this.#lines.find((line) => line.way === "up" && line.mid === lineName(published.kind));
    if (!line) return;
    const { ssrc, rtx_ssrc: rtxSsrc, stream } = published;
    line.stream = { ssrc, rtxSsrc, participant: 0, stream };
    this.#own.set(published.kind, { published, demand: null });
    this.#negotiate();
  }

  unpublish(kind: Kind, stream: number): void {
    const line = this.#lines.find((line) => line.way === "up" && line.stream?.stream === stream);
    if (!line) return;
    line.stream = null;
    this.#own.delete(kind);
    this.#negotiate();
  }

  add(stream: Stream): void {
    const media = stream.kind === "audio" ? "audio" : "video";
    const known = this.#lines.find((line) => line.way === "down" && line.stream?.stream === stream.stream);
    if (known?.media === media && known.stream?.ssrc === stream.ssrc) return;
    if (known) this.remove(stream.stream);
    let line = this.#lines.find((line) => line.way === "down" && line.media === media && line.stream === null);
    if (!line) {
      line = { mid: `${media[0]}${this.#lines.length}`, media, way: "down", stream: null };
      this.#lines.push(line);
    }
    line.stream = { ssrc: stream.ssrc, rtxSsrc: stream.rtx_ssrc, participant: stream.participant, stream: stream.stream };
    this.#negotiate();
  }

  remove(stream: number): void {
    const line = this.#lines.find((line) => line.way === "down" && line.stream?.stream === stream);
    if (!line) return;
    line.stream = null;
    this.hooks.track(stream, null);
    this.#negotiate();
  }

  demand(demand: Demand): void {
    const own = this.#own.get(demand.kind);
    if (!own || own.published.stream !== demand.stream) return;
    own.demand = demand;
    void this.#adjust(demand.kind);
  }

  stats(): Promise<RTCStatsReport> | null {
    return this.#pc?.getStats() ?? null;
  }

  /** The stream of an SSRC, ours or of somebody else. */
  streamOf(ssrc: number): number | null {
    return this.#lines.find((line) => line.stream?.ssrc === ssrc)?.stream?.stream ?? null;
  }

  #transceiver(mid: string): RTCRtpTransceiver | undefined {
    return this.#pc?.getTransceivers().find((it) => it.mid === mid);
  }

  #sender(kind: Kind): RTCRtpSender | undefined {
    return this.#own.has(kind) ? this.#transceiver(lineName(kind))?.sender : undefined;
  }

  /** Brings the browser up to the lines. Changes that come meanwhile are taken with the next round. */
  #negotiate(): void {
    this.#dirty = true;
    if (this.#running) return;
    this.#running = true;
    void (async () => {
      while (this.#dirty) {
        this.#dirty = false;
        const pc = this.#pc;
        try {
          await this.#round();
        } catch (error) {
          // A link that was closed meanwhile fails in many ways, and none matters.
          if (pc === this.#pc && pc) {
            console.error("the link's description", error);
            this.hooks.failed(`the browser does not take the link: ${(error as Error).message}`);
          }
        }
      }
      this.#running = false;
    })();
  }

  async #round(): Promise<void> {
    const [pc, relay] = [this.#pc, this.#relay];
    if (!pc || !relay) return;
    const lines = this.#lines.map((line) => ({ ...line }));
    await pc.setRemoteDescription({ type: "offer", sdp: offer(relay, lines, ++this.#version) });
    for (const line of lines) {
      const transceiver = this.#transceiver(line.mid);
      if (!transceiver) continue;
      this.#transform(transceiver, line);
      if (line.way === "up") {
        transceiver.direction = line.stream ? "sendonly" : "inactive";
        // Only now: what passes is sealed from the first frame on.
        await transceiver.sender.replaceTrack(line.stream ? (this.#tracks.get(kindOf(line)) ?? null) : null);
        if (line.stream && line.media === "video") await this.#adjust(kindOf(line));
      }
    }
    const answer = await pc.createAnswer();
    await pc.setLocalDescription({ type: "answer", sdp: withSsrcs(answer.sdp ?? "", lines) });
    for (const line of lines) {
      if (line.way !== "down" || !line.stream || pc !== this.#pc) continue;
      const current = this.#lines.find((it) => it.mid === line.mid);
      const transceiver = this.#transceiver(line.mid);
      if (transceiver && current?.stream?.stream === line.stream.stream) this.hooks.track(line.stream.stream, transceiver.receiver.track);
    }
  }

  #transform(transceiver: RTCRtpTransceiver, line: Line): void {
    if (this.#transformed.has(transceiver)) return;
    this.#transformed.add(transceiver);
    const make = (side: "send" | "receive") => new RTCRtpScriptTransform(this.worker, { side, kind: line.media });
    if (line.way === "up") transceiver.sender.transform = make("send");
    else transceiver.receiver.transform = make("receive");
  }

  /** Has the browser code what somebody watches. One change comes after the other. */
  #adjust(kind: Kind): Promise<void> {
    this.#adjusting = this.#adjusting.then(() => this.#encode(kind));
    return this.#adjusting;
  }

  async #encode(kind: Kind): Promise<void> {
    const own = this.#own.get(kind);
    const sender = this.#sender(kind);
    const track = this.#tracks.get(kind);
    if (kind === "audio" || !own || !sender || !track) return;
    const parameters = sender.getParameters();
    const encoding = parameters.encodings[0] as (RTCRtpEncodingParameters & { scalabilityMode?: string }) | undefined;
    if (!encoding) return;
    const { width = 1280, height = 720 } = track.getSettings();
    const mode = this.#mode(kind);
    const layers = mode ? spatialLayers(mode, width, height) : 1;
    const wanted = own.demand?.wanted ?? [`S${layers - 1}`];
    const highest = Math.max(-1, ...wanted.map((target) => Number(target[1])));
    if (mode) encoding.scalabilityMode = mode;
    encoding.active = highest >= 0;
    const most = layersBitrate(width, height, layers, Math.max(0, highest));
    encoding.maxBitrate = Math.max(60_000, Math.min(most, own.demand?.max_bitrate ?? most));
    (parameters as { degradationPreference?: string }).degradationPreference = "maintain-resolution";
    try {
      await sender.setParameters(parameters);
    } catch (error) {
      // The sender is another by now, and gets its own.
      if (sender === this.#sender(kind)) console.warn("what is coded", error);
    }
  }

  #mode(kind: Kind): string | undefined {
    // Screens have few pictures a second: their size matters, and is not halved.
    return kind === "screen" ? this.modes.find((mode) => mode === "L1T3") : this.modes[0];
  }
}

function lineName(kind: Kind): string {
  return kind === "audio" ? "voice" : kind;
}

function kindOf(line: Line): Kind {
  return line.mid === "voice" ? "audio" : (line.mid as Kind);
}
