// Chrome codes as many spatial layers as the bitrate is enough for, and goes on announcing all of them. So the bitrate is how
// to have it code no more than somebody watches: the structure stays, and a layer that is watched again comes back.
//
// The figures are those of libwebrtc for AV1 (modules/video_coding/svc/svc_config and svc_rate_allocator, as of 2025): what a
// layer of so many samples takes at most, in kbit/s. The sum of the layers below is less than the next one starts at.

const most = (samples: number) => (1.6 * samples + 50_000) / 1000;

/** The most that the layers up to a spatial layer take, of `layers` that differ by 2:1, in bit/s. */
export function layersBitrate(width: number, height: number, layers: number, spatialId: number): number {
  let kbps = 0;
  for (let layer = 0; layer <= Math.min(spatialId, layers - 1); layer += 1) {
    const scale = 2 ** (layers - 1 - layer);
    kbps += most((width / scale) * (height / scale));
  }
  return Math.round(kbps * 1000);
}

/** The spatial layers that Chrome has of a picture, of those of a mode. */
export function spatialLayers(mode: string, width: number, height: number): number {
  let layers = Number(/^[LS](\d)/.exec(mode)?.[1] ?? 1);
  // Its least layer has 240 samples on the long side and 135 on the short one.
  while (layers > 1 && (Math.max(width, height) >> (layers - 1) < 240 || Math.min(width, height) >> (layers - 1) < 135)) layers -= 1;
  return layers;
}
