use super::*;
use crate::Size;
use crate::encoder::Speeds;
use crate::scene::Scene;
use crate::structure::ScalabilityMode;

const CAMERA: Duration = Duration::from_nanos(1_000_000_000 / 30);

/// Sends this many pictures, each of which takes so long if the sender is told, and returns how many were coded.
fn send(sender: &mut VideoSender, from: u32, pictures: u32, took: Option<Duration>) -> u64 {
    let scene = Scene::new(Size::new(64, 64));
    let before = sender.statistics().pictures;
    for n in from..from + pictures {
        let now = Time::new(CAMERA * n);
        sender.handle_picture(now, &scene.picture(u64::from(n)).view()).unwrap();
        if let Some(took) = took {
            sender.handle_encode_time(took, CAMERA);
        }
        while let SenderOutput::Transmit(_) = sender.poll(now) {}
    }
    sender.statistics().pictures - before
}

fn sender() -> VideoSender {
    let mut config = VideoSenderConfig::new(1);
    config.path = None;
    let encoder = SvcConfig::new(Size::new(64, 64), ScalabilityMode::L2T3);
    VideoSender::new(config, encoder, None).unwrap()
}

#[test]
fn layers_that_there_is_no_time_for_are_left_out_until_there_is() {
    let mut sender = sender();
    assert_eq!(send(&mut sender, 0, 60, Some(Duration::from_millis(5))), 60);
    assert_eq!(sender.governor().map(EffortGovernor::given_up), Some(0));
    // Every picture takes longer than it is shown: both higher temporal layers are too much.
    assert!(send(&mut sender, 60, 60, Some(Duration::from_millis(50))) < 30);
    assert!(sender.governor().unwrap().given_up() >= 2);
    assert_eq!(sender.wanted(), None, "what receivers want is not the governor's to say");
    let layers = |sender: &VideoSender| -> Vec<LayerId> {
        sender.coded().unwrap().frames.iter().map(|frame| frame.layer).collect()
    };
    assert!(layers(&sender).iter().all(|layer| layer.temporal_id == 0), "T0 alone is left");
    // One layer comes back every 5 s at the earliest.
    send(&mut sender, 120, 600, Some(Duration::from_millis(1)));
    assert_eq!(send(&mut sender, 720, 30, Some(Duration::from_millis(1))), 30);
    assert_eq!(layers(&sender).len(), 2, "both spatial layers");
    assert_eq!(sender.encoder_mut().unwrap().speeds(), Speeds::uniform(2));
}

#[test]
fn a_sender_that_is_told_no_times_changes_nothing() {
    let mut sender = sender();
    let speeds = Speeds { top: 7, ..Speeds::uniform(3) };
    sender.encoder_mut().unwrap().set_speeds(speeds).unwrap();
    assert_eq!(send(&mut sender, 0, 30, None), 30);
    assert!(sender.governor().is_none());
    assert_eq!(sender.encoder_mut().unwrap().speeds(), speeds);
    // There is no picture that this could be about.
    let mut sender = self::sender();
    sender.handle_encode_time(Duration::from_secs(1), CAMERA);
    assert!(sender.governor().is_none());
}
