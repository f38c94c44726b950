//! What it would take to code all layers always.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use layercast::Time;
use layercast::e2ee::{Agreement, SenderKeys};
use layercast::encoder::{Bitrate, SvcConfig};
use layercast::picture::Picture;
use layercast::session::{SendError, VideoSender, VideoSenderConfig};
use layercast_examples::Result;

/// Pictures that may wait for the encoder.
const WAITING: usize = 8;

/// A sender on another thread, which codes the same pictures at the same bitrate, and leaves out no layer.
pub struct Everything {
    pictures: SyncSender<(Time, Picture, Bitrate)>,
    thread: JoinHandle<std::result::Result<u64, SendError>>,
}

impl Everything {
    pub fn start(mut encoder: SvcConfig) -> Result<Self> {
        encoder.threads = 1;
        let mut keys = SenderKeys::fresh(Agreement::default(), 1, 0)?;
        let mut config = VideoSenderConfig::new(1);
        config.path = None;
        let mut sender = VideoSender::new(config, encoder, Some(keys.video(0)?))?;
        let (pictures, waiting) = sync_channel::<(Time, Picture, Bitrate)>(WAITING);
        let thread = std::thread::spawn(move || {
            for (now, picture, bitrate) in waiting {
                if let Some(encoder) = sender.encoder_mut() {
                    encoder.set_bitrate(bitrate)?;
                }
                sender.handle_picture(now, &picture.view())?;
                while sender.next_packet().is_some() {}
            }
            Ok(sender.statistics().bytes)
        });
        Ok(Self { pictures, thread })
    }

    pub fn encode(&self, now: Time, picture: Picture, bitrate: Bitrate) -> Result<()> {
        self.pictures.send((now, picture, bitrate)).map_err(|_| "the sender of all layers gave up".into())
    }

    /// Bytes of all packets.
    pub fn finish(self) -> Result<u64> {
        drop(self.pictures);
        Ok(self.thread.join().map_err(|_| "the sender of all layers panicked")??)
    }
}
