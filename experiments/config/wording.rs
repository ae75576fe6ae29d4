//! Messages about keys, words and types that a configuration does not know.

use super::join_key;

/// Which key is meant, or which there are.
pub(super) fn unknown_key(table: &str, field: &str, known: &[&str]) -> String {
    let remedy = match closest(field, known) {
        Some(candidate) => format!("did you mean `{candidate}`?"),
        None => format!("known here: {}", known.join(", ")),
    };
    format!("unknown key `{}`; {remedy}", join_key(table, field))
}

/// Which words there are, and which is meant.
pub(super) fn unknown_variant(key: &str, variant: &str, known: &[&str]) -> String {
    let remedy =
        closest(variant, known).map(|word| format!("; did you mean \"{word}\"?")).unwrap_or_default();
    format!("`{key}` = \"{variant}\" is not one of {}{remedy}", known.join(", "))
}

/// The known word most like `word`, if any is like it at all.
pub(super) fn closest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    // Jaro-Winkler: 0.8 lets one or two slips in a short word pass and unrelated words not.
    let scored = known.iter().map(|candidate| (strsim::jaro_winkler(word, candidate), *candidate));
    scored
        .filter(|(score, _)| *score >= 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// serde's names of Rust types, in words of the file.
pub(super) fn plain(expected: &str) -> String {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, not negative".into(),
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number".into(),
        "f32" | "f64" => "a number".into(),
        "path string" => "a path, as a string".into(),
        "a character" => "one character, as a string".into(),
        "a boolean" => "true or false".into(),
        "a sequence" => "a list".into(),
        other if other.starts_with("struct ") => "a table".into(),
        other if other.contains("enum") => "one of its words, as a string, or a table".into(),
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_misses_are_suggested_and_strangers_are_not() {
        assert_eq!(closest("epoch", &["epochs", "patience"]), Some("epochs"));
        assert_eq!(closest("zebra", &["epochs", "patience"]), None);
    }
}
