//! Item vectors when there are no embeddings: hashed words of the text, or who interacted with the item.

use policy::embeddings::Embeddings;
use policy::history::Log;
use policy::random::Key;
use rayon::prelude::*;
use std::collections::{BTreeMap, HashMap};

/// Width of made vectors when the configuration leaves the choice to us.
pub(super) const AUTO_WIDTH: usize = 256;
/// Length of the vector of an item about which nothing is known, next to unit length for the others: such items must
/// not coincide, and must not look like anything either.
const UNKNOWN_LENGTH: f32 = 1e-3;

/// Signed feature hashing (Weinberger et al. 2009) of the words, weighted `(1 + ln tf) * (1 + ln((1 + n) / (1 + df)))`,
/// rows of unit length.
pub(super) fn hashed_text(texts: &[String], width: usize) -> Embeddings {
    let words: Vec<BTreeMap<String, u32>> = texts.iter().map(|text| count_words(text)).collect();
    let mut documents: HashMap<&str, u32> = HashMap::new();
    for word in words.iter().flat_map(BTreeMap::keys) {
        *documents.entry(word).or_default() += 1;
    }
    let mut table = Embeddings::new(width, vec![0.0; texts.len() * width]);
    for (words, row) in words.iter().zip(table.values_mut().chunks_exact_mut(width)) {
        for (word, count) in words {
            let (column, sign) = slot(Key::new(0).named("word").named(word), width);
            let rarity = (1 + texts.len()) as f32 / (1 + documents[word.as_str()]) as f32;
            row[column] += sign * (1.0 + (*count as f32).ln()) * (1.0 + rarity.ln());
        }
    }
    unit_rows(&mut table);
    table
}

/// Words of letters and digits, in lower case.
fn count_words(text: &str) -> BTreeMap<String, u32> {
    let mut counts = BTreeMap::new();
    for word in text.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty()) {
        *counts.entry(word.to_lowercase()).or_default() += 1;
    }
    counts
}

fn slot(key: Key, width: usize) -> (usize, f32) {
    let bits = key.bits();
    let sign = if bits >> 63 == 0 { 1.0 } else { -1.0 };
    ((bits % width as u64) as usize, sign)
}

/// A random projection of the item-user incidence of the TRAINING part: every user is a row of seeded signs, an item
/// is the sum of its users' rows, each over the square root of the user's number of training items; unit length.
///
/// Inner products approximate (Johnson-Lindenstrauss) the cosine of two items over users.
pub(super) fn co_occurrence(log: &Log, width: usize) -> Embeddings {
    let mut table = Embeddings::new(width, vec![0.0; log.num_items * width]);
    // A share of the items each: every thread walks the users in order, so that sums do not depend on their number.
    let share = log.num_items.div_ceil(rayon::current_num_threads()).max(1);
    let shares = table.values_mut().par_chunks_mut(share * width).enumerate();
    shares.for_each(|(at, rows)| add_users(log, at * share, rows, width));
    unit_rows(&mut table);
    table
}

/// Adds every user's signs to the rows of the training items, of which `rows` holds those from `first` on.
fn add_users(log: &Log, first: usize, rows: &mut [f32], width: usize) {
    for user in log.users() {
        let items = log.train_items(user);
        let signs = signs(Key::new(0).named("user").at(user.index() as u64), width);
        let weight = (items.len() as f32).sqrt().recip();
        for start in items.iter().filter_map(|item| item.index().checked_sub(first)).map(|row| row * width) {
            if let Some(row) = rows.get_mut(start..start + width) {
                row.iter_mut().zip(&signs).for_each(|(value, sign)| *value += weight * sign);
            }
        }
    }
}

fn signs(key: Key, width: usize) -> Vec<f32> {
    let mut signs = vec![0.0; width];
    for (word, signs) in (0..).zip(signs.chunks_mut(64)) {
        let bits = key.at(word).bits();
        for (at, sign) in signs.iter_mut().enumerate() {
            *sign = if (bits >> at) & 1 == 0 { 1.0 } else { -1.0 };
        }
    }
    signs
}

/// Scales rows to length 1; rows of zeros become short seeded noise.
fn unit_rows(table: &mut Embeddings) {
    let width = table.width();
    table.values_mut().par_chunks_exact_mut(width).enumerate().for_each(|(item, row)| {
        let norm = row.iter().map(|value| value * value).sum::<f32>().sqrt();
        if norm > 0.0 {
            for value in row {
                *value /= norm;
            }
        } else {
            let length = UNKNOWN_LENGTH / (width as f32).sqrt();
            let noise = signs(Key::new(0).named("unknown").at(item as u64), width);
            row.iter_mut().zip(noise).for_each(|(value, sign)| *value = sign * length);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::history::History;
    use policy::ids::ItemId;

    fn cosine(table: &Embeddings, a: usize, b: usize) -> f32 {
        table.row(a).iter().zip(table.row(b)).map(|(x, y)| x * y).sum()
    }

    fn log(histories: &[&[usize]], num_items: usize) -> Log {
        let history = |items: &&[usize]| History {
            items: items.iter().map(|item| ItemId::new(*item)).collect(),
            ..History::default()
        };
        Log { histories: histories.iter().map(history).collect(), num_items, signals: Vec::new() }
    }

    #[test]
    fn texts_with_shared_rare_words_are_closer_than_texts_with_shared_common_words() {
        let texts = ["red lipstick matte", "lipstick matte coral", "red brush", "red nail", "red soap"];
        let table = hashed_text(&texts.map(String::from), 4096);
        assert!(cosine(&table, 0, 1) > 2.0 * cosine(&table, 0, 2));
        assert!((0..5).all(|row| (cosine(&table, row, row) - 1.0).abs() < 1e-5));
    }

    #[test]
    fn case_and_punctuation_do_not_change_hashed_text() {
        let table = hashed_text(&["Red, LIPSTICK!".into(), "red lipstick".into()], 64);
        assert_eq!(table.row(0), table.row(1));
    }

    #[test]
    fn items_of_the_same_training_users_coincide_and_held_out_items_do_not_leak() {
        // Items 0 and 1 share their users; 4 and 5 are only ever held out.
        let table = co_occurrence(&log(&[&[0, 1, 4, 5], &[1, 0, 5, 4], &[2, 3, 4, 5]], 6), 128);
        assert!((cosine(&table, 0, 1) - 1.0).abs() < 1e-5);
        assert!(cosine(&table, 0, 2).abs() < 0.5);
        for item in [4, 5] {
            let norm = cosine(&table, item, item).sqrt();
            assert!((norm - UNKNOWN_LENGTH).abs() < 1e-6, "item {item} has norm {norm}");
        }
        assert_ne!(table.row(4), table.row(5));
    }
}
