// The relay has no SDP. The page writes the offer that the relay would make, so that payload types, header extensions and
// SSRCs are those of the meeting (examples/meeting/src/wire.rs and layercast's `session`).

import type { LinkDescription } from "./protocol";

/** An m-line. It is ours to send on or ours to receive on for as long as the link lives; streams come and go on it. */
export interface Line {
  mid: string;
  media: "video" | "audio";
  way: "up" | "down";
  /** What is on it now. */
  stream: { ssrc: number; rtxSsrc: number; participant: number; stream: number } | null;
}

const DESCRIPTOR = "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension";
const TRANSPORT = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
/** What Chrome takes the path to carry at first, in kbit/s, as native participants do. */
const START = 1000;

const VIDEO = [
  `a=extmap:3 ${TRANSPORT}`,
  `a=extmap:4 ${DESCRIPTOR}`,
  "a=rtpmap:45 AV1/90000",
  `a=fmtp:45 level-idx=5;profile=0;tier=0;x-google-start-bitrate=${START}`,
  "a=rtcp-fb:45 transport-cc",
  "a=rtcp-fb:45 nack",
  "a=rtcp-fb:45 nack pli",
  "a=rtcp-fb:45 ccm fir",
  "a=rtpmap:47 rtx/90000",
  "a=fmtp:47 apt=45",
];
// A constant bitrate: sizes of packets would tell who speaks.
const AUDIO = [
  `a=extmap:3 ${TRANSPORT}`,
  "a=rtpmap:111 opus/48000/2",
  "a=fmtp:111 minptime=10;useinbandfec=1;cbr=1",
  "a=rtcp-fb:111 transport-cc",
];

const ICE = /^[A-Za-z0-9+/]{4,256}$/;
const FINGERPRINT = /^sha-256 [0-9A-F]{2}(:[0-9A-F]{2}){31}$/i;
const ADDRESS = /^(\d{1,3}(\.\d{1,3}){3}|\[[0-9a-f:]{2,39}(\.\d{1,3}){0,3}\]):\d{1,5}$/i;

/** Whether all that the relay says of its end can stand in SDP, and adds no line of its own to it. */
export function isFit(relay: LinkDescription): boolean {
  return ICE.test(relay.ufrag) && ICE.test(relay.password) && FINGERPRINT.test(relay.fingerprint)
    && relay.addresses.length <= 16 && relay.addresses.every((address) => ADDRESS.test(address));
}

/** The relay's offer, whose end of the link is `relay`, which is fit. */
export function offer(relay: LinkDescription, lines: Line[], version: number): string {
  const sdp = [
    "v=0",
    `o=- 1 ${version} IN IP4 127.0.0.1`,
    "s=-",
    "t=0 0",
    "a=ice-lite",
    "a=extmap-allow-mixed",
    "a=msid-semantic: WMS *",
    `a=group:BUNDLE ${lines.map((line) => line.mid).join(" ")}`,
  ];
  for (const line of lines) {
    const { mid, media, way, stream } = line;
    sdp.push(
      `m=${media} 9 UDP/TLS/RTP/SAVPF ${media === "video" ? "45 47" : "111"}`,
      "c=IN IP4 0.0.0.0",
      `a=mid:${mid}`,
      // The relay receives what we send.
      `a=${stream === null ? "inactive" : way === "up" ? "recvonly" : "sendonly"}`,
      `a=ice-ufrag:${relay.ufrag}`,
      `a=ice-pwd:${relay.password}`,
      `a=fingerprint:${relay.fingerprint}`,
      "a=setup:actpass",
      "a=rtcp-mux",
      "a=rtcp-rsize",
      ...(media === "video" ? VIDEO : AUDIO),
    );
    if (stream !== null && way === "down") {
      const { ssrc, rtxSsrc, participant } = stream;
      // Voice and camera of one person have a stream in common, by which the browser keeps lips and sound together.
      sdp.push(`a=msid:p${participant} s${stream.stream}`);
      if (media === "video") sdp.push(`a=ssrc-group:FID ${ssrc} ${rtxSsrc}`);
      sdp.push(`a=ssrc:${ssrc} cname:p${participant}`);
      if (media === "video") sdp.push(`a=ssrc:${rtxSsrc} cname:p${participant}`);
    }
    relay.addresses.forEach((address, at) => {
      const end = address.lastIndexOf(":");
      const host = address.slice(0, end).replace(/^\[|\]$/g, "");
      sdp.push(`a=candidate:${at + 1} 1 udp ${2130706431 - at} ${host} ${address.slice(end + 1)} typ host`);
    });
    sdp.push("a=end-of-candidates");
  }
  return sdp.join("\r\n") + "\r\n";
}

/** Our answer with the SSRCs that the relay has given our streams. */
export function withSsrcs(answer: string, lines: Line[]): string {
  const [session = "", ...sections] = answer.split(/^(?=m=)/m);
  const rewritten = sections.map((section) => {
    const mid = /^a=mid:(.*?)\r?$/m.exec(section)?.[1];
    const stream = lines.find((line) => line.mid === mid && line.way === "up")?.stream;
    const group = /^a=ssrc-group:FID (\d+) (\d+)/m.exec(section);
    const own = group?.[1] ?? /^a=ssrc:(\d+) /m.exec(section)?.[1];
    if (!stream || own === undefined) return section;
    const names = new Map([[own, stream.ssrc]]);
    if (group?.[2] !== undefined) names.set(group[2], stream.rtxSsrc);
    const rename = (text: string) => String(names.get(text) ?? text);
    return section
      .replace(/^a=ssrc-group:FID (\d+) (\d+)/gm, (_, one, two) => `a=ssrc-group:FID ${rename(one)} ${rename(two)}`)
      .replace(/^a=ssrc:(\d+) /gm, (_, ssrc) => `a=ssrc:${rename(ssrc)} `);
  });
  return [session, ...rewritten].join("");
}
