// What this browser can do, and what it cannot in a sentence for people.

export interface Ability {
  /** Without it there is no meeting: frames could be neither sealed nor opened. */
  canJoin: boolean;
  sendsVideo: boolean;
  receivesVideo: boolean;
  /** The layers that it codes, best first; nothing if it has one layer only. */
  modes: string[];
  /** What is missing, for people. */
  lacks: string[];
}

const MODES = ["L3T3_KEY", "L3T3", "L2T3_KEY", "L1T3"];

async function encodes(mode: string): Promise<boolean> {
  const video = { contentType: "video/AV1", width: 1280, height: 720, bitrate: 1_500_000, framerate: 30, scalabilityMode: mode };
  try {
    const info = await navigator.mediaCapabilities.encodingInfo({ type: "webrtc", video } as MediaEncodingConfiguration);
    return info.supported;
  } catch {
    return false;
  }
}

export async function ability(): Promise<Ability> {
  const hasLink = "RTCPeerConnection" in window && "WebAssembly" in window;
  const has = (end: { getCapabilities(kind: string): RTCRtpCapabilities | null }) =>
    end.getCapabilities("video")?.codecs.some((codec) => codec.mimeType.toLowerCase() === "video/av1") ?? false;
  const canJoin = hasLink && "RTCRtpScriptTransform" in window;
  const sendsVideo = canJoin && has(RTCRtpSender);
  const receivesVideo = canJoin && has(RTCRtpReceiver);
  const modes: string[] = [];
  if (sendsVideo) for (const mode of MODES) if (await encodes(mode)) modes.push(mode);
  const lacks: string[] = [];
  if (!canJoin) {
    lacks.push("This browser cannot seal what it sends (it has no RTCRtpScriptTransform), so it cannot take part.");
  } else {
    if (!receivesVideo) lacks.push("This browser does not decode AV1, so you hear the others and do not see them.");
    if (!sendsVideo) lacks.push("This browser does not code AV1, so the others hear you and do not see you.");
    else if (modes.length === 0) lacks.push("This browser codes pictures in one size only, so everybody gets the same.");
  }
  return { canJoin, sendsVideo, receivesVideo, modes, lacks };
}
