//! A ring takes any grants of anybody at any times. What it says of a key id is consistent, no member's grant takes the
//! place of the group's, and grants end when they have to.
#![no_main]

use std::time::Duration;

use layercast::Time;
use layercast::e2ee::{Agreement, BaseKey, Context, Grant, KeyIdLayout, KeyRing, KeySource, Scope};
use layercast_fuzz::{Input, timed};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let layout = KeyIdLayout::new(input.byte() % 8, input.byte() % 16).unwrap_or_default();
    let agreement = Agreement { layout, ..Agreement::default() };
    let mut keys = KeyRing::new(agreement, input.pause());
    let mut now = Time::ZERO;
    // The newest of the group's grants, which nothing but a newer one ends.
    let mut of_group: Option<Grant> = None;
    while !input.is_empty() {
        let step = input.byte();
        let mut number = || if step & 0x80 == 0 { input.byte().into() } else { input.u64() };
        match step % 6 {
            0..=3 => {
                let (epoch, value) = (number(), number());
                let scope = match step % 3 {
                    0 => Scope::Group,
                    1 => Scope::Sender(value as u32),
                    _ => Scope::KeyId(value),
                };
                let grant = Grant { epoch, scope, base_key: BaseKey::new(vec![input.byte(); 32]) };
                if step.is_multiple_of(6) {
                    if timed("grant", || keys.add(now, grant.clone())) && scope == Scope::Group {
                        of_group = Some(grant);
                    }
                } else {
                    // Its bytes mean the same to the member that gets them.
                    let grant = Grant::from_bytes(&grant.to_bytes()).unwrap();
                    let giver = u32::from(input.byte());
                    let _ = timed("grant", || keys.add_from(now, giver, grant));
                }
            }
            4 => {
                let epoch = number();
                keys.end_before(now, epoch);
                if of_group.as_ref().is_some_and(|grant| grant.epoch < epoch) {
                    of_group = None;
                }
            }
            _ => {
                now += input.pause();
                keys.expire(now);
            }
        }
        let key_id = input.u64() >> (input.byte() % 64);
        if let Some(epoch) = keys.epoch(now, key_id) {
            let of_epoch = layout.key_id(Context(0), 0, epoch).unwrap();
            assert_eq!(layout.epoch(of_epoch), layout.epoch(key_id), "an epoch that the key id means");
            assert!(keys.base_key(key_id, epoch).is_some());
        }
        if let Some(grant) = &of_group
            && let Ok(key_id) = layout.key_id(Context::video(0, 1), 0, grant.epoch)
        {
            assert_eq!(keys.epoch(now, key_id), Some(grant.epoch));
            let mut alone = KeyRing::new(agreement, Duration::ZERO);
            alone.add(now, grant.clone());
            assert_eq!(keys.base_key(key_id, grant.epoch), alone.base_key(key_id, grant.epoch));
        }
    }
});
