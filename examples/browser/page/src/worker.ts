// The worker holds the seat, which has the keys, the WebSocket to the relay, and the transforms that every frame passes.
// The page never sees a key, and no frame leaves or is shown that the seat did not seal or open.

import init, { Seat } from "layercast-page";
import type { Cost, FromWorker, Output, Passed, Stream, ToWorker } from "./protocol";

interface Transformer {
  readonly readable: ReadableStream<Frame>;
  readonly writable: WritableStream<Frame>;
  readonly options: { side: "send" | "receive"; kind: "video" | "audio" };
}

interface Metadata {
  synchronizationSource?: number;
  sequenceNumber?: number;
  frameId?: number;
  dependencies?: number[];
  spatialIndex?: number;
  temporalIndex?: number;
}

interface Frame {
  data: ArrayBuffer;
  readonly type?: "key" | "delta" | "empty";
  getMetadata(): Metadata;
}

/** A stream, ours or somebody else's, and what passed of it. */
interface Flow {
  stream: number;
  maxSpatial: number | null;
  began: number | null;
  /** Until when frames wait for a key that may be on its way. */
  patience: number | null;
  layers: Record<string, [number, number]>;
  total: number;
  refused: Record<string, number>;
}

/** A commit may come this much later than the first frames that are sealed with its keys, in ms. */
const KEY_WAIT = 1000;
/** Chrome hands a transform some frames twice when a stream begins, in ms. */
const BEGINNING = 3000;
const REPORT = 1000;
const RECONNECT = [250, 500, 1000, 2000, 4000];

const scope = self as unknown as {
  postMessage(message: FromWorker): void;
  onmessage: ((event: MessageEvent<ToWorker>) => void) | null;
  onrtctransform: ((event: { transformer: Transformer }) => void) | null;
};
const ready = init({ module_or_path: new URL("/seat.wasm", location.href) });

let seat: Seat | null = null;
let socket: WebSocket | null = null;
let address = "";
let attempts = 0;
let ended = false;
let timer = 0;
/** Resolved when a message came, which may have brought a key. */
let waiting: (() => void)[] = [];
const sent = new Map<number, Flow>();
const received = new Map<number, Flow>();
const cost: Cost = { sealed: 0, sealMs: 0, opened: 0, openMs: 0, added: 0 };

const now = () => performance.now() * 1000;

function flow(stream: number, maxSpatial: number | null): Flow {
  return { stream, maxSpatial, began: null, patience: null, layers: {}, total: 0, refused: {} };
}

/** Does something with the seat, and then all that follows from it. */
function drive(what: (seat: Seat) => void): void {
  if (!seat) return;
  what(seat);
  for (const output of JSON.parse(seat.poll(now())) as Output[]) carryOut(output);
}

function carryOut(output: Output): void {
  if (output.timeout !== undefined) {
    clearTimeout(timer);
    if (output.timeout !== null && !ended) {
      timer = setTimeout(() => drive(() => {}), Math.max(0, (output.timeout - now()) / 1000));
    }
    return;
  }
  if (output.send !== undefined) {
    if (socket?.readyState === WebSocket.OPEN) socket.send(output.send);
    return;
  }
  if (output.published) sent.set(output.published.ssrc, flow(output.published.stream, null));
  if (output.unpublished) forget(sent, output.unpublished.stream);
  if (output.stream) learn(output.stream);
  if (output.stream_ended !== undefined) forget(received, output.stream_ended);
  if (output.ended !== undefined) {
    ended = true;
    // The last words are on their way.
    setTimeout(() => socket?.close(), 200);
  }
  scope.postMessage({ output });
}

function learn(stream: Stream): void {
  for (const [ssrc, it] of received) if (it.stream === stream.stream && ssrc !== stream.ssrc) received.delete(ssrc);
  const known = received.get(stream.ssrc);
  if (known?.stream === stream.stream) known.maxSpatial = stream.max_spatial_id;
  else received.set(stream.ssrc, flow(stream.stream, stream.max_spatial_id));
}

function forget(flows: Map<number, Flow>, stream: number): void {
  for (const [ssrc, it] of flows) if (it.stream === stream) flows.delete(ssrc);
}

function connect(): void {
  const opened = new WebSocket(address);
  socket = opened;
  opened.onopen = () => {
    scope.postMessage({ online: true });
    drive((seat) => seat.connected(now()));
  };
  opened.onmessage = (event) => {
    if (socket !== opened || typeof event.data !== "string") return;
    const text = event.data;
    try {
      drive((seat) => seat.message(now(), text));
      attempts = 0;
    } catch {
      // It is no relay of this protocol, or a broken one.
      opened.close();
    }
    const all = waiting;
    waiting = [];
    all.forEach((go) => go());
  };
  opened.onclose = () => {
    if (socket !== opened) return;
    socket = null;
    scope.postMessage({ online: false });
    drive((seat) => seat.disconnected(now(), "the connection was closed"));
    if (ended) return;
    const wait = RECONNECT[Math.min(attempts++, RECONNECT.length - 1)] ?? 4000;
    setTimeout(connect, wait * (0.75 + Math.random() / 2));
  };
}

/** What the page says is done in its order, after the module is there. */
let before: Promise<unknown> = ready;
scope.onmessage = ({ data }) => {
  before = before.then(() => obey(data)).catch((error: unknown) => scope.postMessage({ failed: String(error) }));
};

function obey(message: ToWorker): void {
  if ("start" in message) {
    seat = new Seat(JSON.stringify(message.start), performance.timeOrigin * 1000);
    address = message.socket;
    connect();
  } else if ("command" in message) drive((seat) => seat.command(now(), JSON.stringify(message.command)));
  else if ("link" in message) drive((seat) => seat.link(now(), JSON.stringify(message.link)));
  else if ("linkState" in message) drive((seat) => seat.link_state(now(), message.linkState));
  else fail(message.linkFailed);
}

/** Has the link made anew, after a pause. */
function fail(why: string): void {
  if (seat?.link_failed) drive((seat) => seat.link_failed?.(now(), why));
  else setTimeout(() => drive((seat) => seat.link_state(now(), false)), KEY_WAIT);
}

scope.onrtctransform = ({ transformer }) => {
  const { side, kind } = transformer.options;
  const transform = side === "send" ? seal(kind) : open(kind);
  // It ends with the sender or receiver that it belongs to.
  transformer.readable.pipeThrough(new TransformStream({ transform })).pipeTo(transformer.writable).catch(() => {});
};

const NONE = new Float64Array();

function seal(kind: "video" | "audio") {
  return (frame: Frame, out: TransformStreamDefaultController<Frame>) => {
    const metadata = frame.getMetadata();
    const to = sent.get(metadata.synchronizationSource ?? 0);
    // Nothing goes out in clear: what belongs to no stream, or is not sealed, is dropped.
    if (!seat || !to || frame.data.byteLength === 0) return;
    const data = new Uint8Array(frame.data);
    const began = performance.now();
    let sealed;
    try {
      sealed = kind === "audio"
        ? seat.seal_audio(now(), to.stream, data)
        : seat.seal_video(
            now(), to.stream, metadata.frameId ?? -1, metadata.spatialIndex ?? 0, metadata.temporalIndex ?? 0,
            frame.type === "key", metadata.dependencies ? Float64Array.from(metadata.dependencies) : NONE, data,
          );
    } catch (error) {
      return refuse(to, error);
    }
    cost.sealMs += performance.now() - began;
    cost.sealed += 1;
    cost.added += sealed.byteLength - data.byteLength;
    count(to, metadata, sealed.byteLength);
    frame.data = sealed.buffer as ArrayBuffer;
    out.enqueue(frame);
  };
}

function open(kind: "video" | "audio") {
  return async (frame: Frame, out: TransformStreamDefaultController<Frame>) => {
    const metadata = frame.getMetadata();
    const ssrc = metadata.synchronizationSource ?? 0;
    const data = new Uint8Array(frame.data);
    for (;;) {
      const from = received.get(ssrc);
      if (!seat || !from || data.byteLength === 0) return;
      from.began ??= performance.now();
      // A layer that has no keys here.
      if (from.maxSpatial !== null && (metadata.spatialIndex ?? 0) > from.maxSpatial) return;
      const began = performance.now();
      let opened;
      try {
        opened = kind === "audio"
          ? seat.open_audio(now(), from.stream, data, metadata.sequenceNumber)
          : seat.open_video(
              now(), from.stream, metadata.frameId ?? -1, metadata.spatialIndex ?? 0, metadata.temporalIndex ?? 0,
              metadata.dependencies ? Float64Array.from(metadata.dependencies) : NONE, data,
            );
      } catch (error) {
        // The commit with the key may be on its way. Frames wait behind this one, and not for ever.
        if (error === "unknown_key" || error === "no_keys") {
          from.patience ??= began + KEY_WAIT;
          if (began < from.patience) {
            await nextMessage(from.patience - began);
            continue;
          }
        }
        // A frame that comes twice when a stream begins is Chrome's doing, and no attack.
        if (error === "replayed" && began - from.began < BEGINNING) return;
        return refuse(from, error);
      }
      cost.openMs += performance.now() - began;
      cost.opened += 1;
      from.patience = null;
      count(from, metadata, data.byteLength);
      frame.data = opened.buffer as ArrayBuffer;
      out.enqueue(frame);
      return;
    }
  };
}

function nextMessage(most: number): Promise<void> {
  return new Promise((resolve) => {
    waiting.push(resolve);
    setTimeout(resolve, Math.min(most, 100));
  });
}

function refuse(flow: Flow, error: unknown): void {
  const kind = typeof error === "string" ? error : "failed";
  flow.refused[kind] = (flow.refused[kind] ?? 0) + 1;
}

function count(flow: Flow, metadata: Metadata, bytes: number): void {
  const layer = `S${metadata.spatialIndex ?? 0}T${metadata.temporalIndex ?? 0}`;
  const counts = (flow.layers[layer] ??= [0, 0]);
  counts[0] += 1;
  flow.total += 1;
  counts[1] += bytes;
}

setInterval(() => {
  const passed = [...sent.values(), ...received.values()].map((flow): [number, Passed] => {
    const { stream, layers, total, refused } = flow;
    flow.layers = {};
    return [stream, { layers, total, refused: { ...refused } }];
  });
  if (passed.length > 0) scope.postMessage({ passed, cost: { ...cost } });
}, REPORT);
