//! Item descriptions. Real words, so that hashed text features behave as they do on real titles.

use super::items::Item;

/// One word per group.
const GROUPS: [&str; super::items::MAX_GROUPS] = [
    "cooking",
    "travel",
    "football",
    "gaming",
    "music",
    "fashion",
    "gardening",
    "astronomy",
    "cars",
    "fitness",
    "history",
    "comedy",
    "pets",
    "painting",
    "finance",
    "camping",
];
/// One word per topic of a group.
const TOPICS: [&str; super::items::MAX_TOPICS_PER_GROUP] =
    ["tutorial", "review", "documentary", "challenge", "interview", "diary", "highlights", "debate"];
/// One word per attribute.
const ATTRIBUTES: [&str; super::items::ATTRIBUTES] = [
    "calm",
    "bright",
    "daring",
    "gentle",
    "quick",
    "detailed",
    "playful",
    "vintage",
    "modern",
    "rustic",
    "elegant",
    "bold",
    "quiet",
    "colorful",
    "practical",
    "dramatic",
    "minimal",
    "cozy",
    "epic",
    "honest",
    "clever",
    "rare",
    "local",
    "dreamy",
];
/// Syllables of brand names.
const SYLLABLES: [&str; 16] =
    ["ka", "ro", "mi", "ten", "lu", "sol", "vi", "dar", "no", "fen", "bel", "tau", "zi", "mar", "pol", "qui"];

/// `calm vintage cooking tutorial by karo, short`.
pub(super) fn describe(item: &Item) -> String {
    let [first, second] = item.attributes.map(|attribute| ATTRIBUTES[usize::from(attribute)]);
    let (group, topic) = (GROUPS[usize::from(item.group)], TOPICS[usize::from(item.topic_in_group)]);
    format!("{first} {second} {group} {topic} by {}, {}", brand(item.brand), length(item.log_duration))
}

fn brand(brand: u16) -> String {
    let syllable = |place: u16| SYLLABLES[usize::from((brand >> (4 * place)) & 15)];
    format!("{}{}", syllable(0), syllable(1))
}

fn length(log_duration: f32) -> &'static str {
    match log_duration.exp() {
        seconds if seconds < 20.0 => "short",
        seconds if seconds < 60.0 => "medium",
        _ => "long",
    }
}
