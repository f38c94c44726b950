// What the seat (the wasm module in the worker) says, as it comes out of `Seat.poll`, and what goes between page and worker.

export type Kind = "camera" | "screen" | "audio";
export type Right = "voice" | "camera" | "share";
export type Rights = Record<Right, boolean>;

/** One end of a link: ICE and DTLS. */
export interface LinkDescription {
  ufrag: string;
  password: string;
  fingerprint: string;
  addresses: string[];
}

/** A stream of our own that the relay knows of. */
export interface Published {
  kind: Kind;
  stream: number;
  ssrc: number;
  rtx_ssrc: number;
  track: number;
}

/** A stream of somebody else. */
export interface Stream {
  participant: number;
  name: string;
  stream: number;
  ssrc: number;
  rtx_ssrc: number;
  kind: Kind;
  /** The highest spatial layer that opens here; all do if there is none. */
  max_spatial_id: number | null;
}

/** What others watch of a stream of our own. */
export interface Demand {
  stream: number;
  kind: Kind;
  /** The highest target of each spatial layer, such as `S1T2`. */
  wanted: string[];
  /** Bit/s of the highest. */
  max_bitrate: number | null;
}

export interface Person {
  participant: number;
  name: string;
  fingerprint: string | null;
  role: string;
  rights: Rights | null;
  own: boolean;
  in_group: boolean;
  waiting: boolean;
  away: boolean;
  outsider: boolean;
  hand: boolean;
}

export interface Group {
  epoch: number;
  members: number;
  code: string;
  fingerprint: string;
  organizer: boolean;
  insider: boolean;
}

/** Something that happened, with a line for people. */
export interface Notice {
  notice: string;
  text: string;
  [field: string]: unknown;
}

/** One output of the seat: exactly one of these is there. */
export interface Output {
  send?: string;
  make_link?: true;
  link?: LinkDescription;
  published?: Published;
  unpublished?: { kind: Kind; stream: number };
  stream?: Stream;
  stream_ended?: number;
  demand?: Demand;
  notice?: Notice;
  people?: Person[];
  group?: Group | null;
  invitation?: string;
  ended?: string;
  timeout?: number | null;
}

/** A window in which a stream is shown, in device pixels. */
export interface Window {
  stream: number;
  size: [number, number];
  priority: "thumbnail" | "active_speaker" | "screen_share" | "pinned";
  visible: boolean;
}

export type Command =
  | { do: "publish"; kind: Kind; size?: [number, number] }
  | { do: "unpublish"; kind?: Kind }
  | { do: "windows"; windows: Window[]; decode_times?: [number, number][]; cores?: number }
  | { do: "admit" | "remove" | "hand_over"; participant: number }
  | { do: "allow"; participant: number; right: Right; allowed: boolean }
  | { do: "lock"; locked: boolean }
  | { do: "hand"; raised: boolean }
  | { do: "limit_camera"; audience: "guests" | "outsiders" | "all"; max_spatial_id: number | null }
  | { do: "invite" }
  | { do: "end" }
  | { do: "leave" };

export interface SeatConfig {
  meeting: string;
  name: string;
  entry: { account: [string, string] } | { invitation: string };
}

export type ToWorker =
  | { start: SeatConfig; socket: string }
  | { command: Command }
  | { link: LinkDescription }
  | { linkState: boolean }
  | { linkFailed: string };

/** What passed the transforms of one stream since the last report. */
export interface Passed {
  /** Frames and bytes by layer, such as `S1T2`; sound is `S0T0`. */
  layers: Record<string, [number, number]>;
  /** Frames that were sealed or opened since the stream began. */
  total: number;
  /** Frames that did not open or could not be sealed, by kind, since the stream began. */
  refused: Record<string, number>;
}

/** What sealing and opening cost since the worker began. */
export interface Cost {
  sealed: number;
  sealMs: number;
  opened: number;
  openMs: number;
  /** Bytes that sealing added. */
  added: number;
}

export type FromWorker =
  | { output: Output }
  | { passed: [number, Passed][]; cost: Cost }
  | { online: boolean }
  | { failed: string };
