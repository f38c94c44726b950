use std::collections::HashMap;
use std::sync::LazyLock;
static K: LazyLock<HashMap<String, f32>> = LazyLock::new(|| {
    std::env::var("LC").unwrap_or_default().split(',').filter_map(|kv| {
        let (k, v) = kv.split_once('=')?;
        Some((k.to_string(), v.parse().ok()?))
    }).collect()
});
pub(crate) fn knob(name: &str, default: f32) -> f32 {
    K.get(name).copied().unwrap_or(default)
}
