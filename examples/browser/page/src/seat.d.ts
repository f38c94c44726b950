// The wasm module, as wasm-bindgen makes it of examples/browser/wasm.
declare module "layercast-page" {
  export default function init(module: { module_or_path: URL | string }): Promise<unknown>;
  export class Seat {
    constructor(config: string, unixUs: number);
    connected(now: number): void;
    disconnected(now: number, why: string): void;
    message(now: number, text: string): void;
    command(now: number, json: string): void;
    link(now: number, json: string): void;
    link_state(now: number, up: boolean): void;
    link_failed?(now: number, why: string): void;
    poll(now: number): string;
    seal_video(
      now: number, stream: number, frameId: number, spatialId: number, temporalId: number, key: boolean,
      dependencies: Float64Array, data: Uint8Array,
    ): Uint8Array;
    open_video(
      now: number, stream: number, frameId: number, spatialId: number, temporalId: number, dependencies: Float64Array,
      data: Uint8Array,
    ): Uint8Array;
    seal_audio(now: number, stream: number, data: Uint8Array): Uint8Array;
    open_audio(now: number, stream: number, data: Uint8Array, sequenceNumber?: number): Uint8Array;
    closed(stream: number): string;
  }
}
