use super::eigen::{Symmetric, eigen, leading};
use super::sparse::Sparse;
use super::*;
use crate::history::History;
use crate::history::Log;
use crate::ids::ItemId;
use faer::Mat;

fn log(histories: &[Vec<usize>], num_items: usize) -> Log {
    let history = |items: &Vec<usize>| History {
        items: items.iter().map(|item| ItemId::new(*item)).collect(),
        ..History::default()
    };
    Log { histories: histories.iter().map(history).collect(), num_items, signals: Vec::new() }
}

/// A history whose training part is `items`; what is held out must not matter.
fn training(items: &[usize]) -> Vec<usize> {
    [items, &[3, 3]].concat()
}

fn unit(key: Key, row: usize, column: usize) -> f64 {
    key.at(row as u64).at(column as u64).unit()
}

/// Users of two tastes, items `0..half` and `half..items`, and text vectors that say nothing of it.
fn tastes(users: usize, items: usize) -> (Log, Embeddings) {
    let key = Key::new(4);
    let half = items / 2;
    let item = |user: usize, at: usize| (user % 2) * half + (unit(key, user, at) * half as f64) as usize;
    let histories: Vec<Vec<usize>> =
        (0..users).map(|user| (0..12).map(|at| item(user, at)).collect()).collect();
    let text = (0..items * 9).map(|at| unit(key.named("text"), at, 0) as f32 + 7.0).collect();
    (log(&histories, items), Embeddings::new(9, text))
}

const SMALL: CollaborativeConfig = CollaborativeConfig {
    width: 6,
    window: 10,
    weighting: Weighting::InverseDistance,
    weight: 0.5,
    text_width: 5,
};

fn dense(matrix: &Sparse) -> Vec<Vec<f64>> {
    let row = |row: usize| {
        let (columns, values) = matrix.row(row);
        let mut dense = vec![0.0; matrix.rows()];
        columns.iter().zip(values).for_each(|(column, value)| dense[*column as usize] = *value);
        dense
    };
    (0..matrix.rows()).map(row).collect()
}

#[test]
fn information_equals_values_by_hand_and_held_out_items_do_not_count() {
    // Pairs 0-1 and 1-2 at distance 1, 0-2 at distance 2: sums 1.5, 2, 1.5, together 5.
    let counts = CoOccurrence::of(&log(&[training(&[0, 1, 2])], 4), &SMALL);
    let information = dense(&counts.information());
    let (near, far) = ((5.0_f64 / 3.0).ln(), (0.5_f64 * 5.0 / 2.25).ln());
    let expected =
        [[0.0, near, far, 0.0], [near, 0.0, near, 0.0], [far, near, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]];
    for (row, expected) in information.iter().zip(expected) {
        assert!(row.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{information:?}");
    }
    assert!(!counts.has_neighbors(ItemId::new(3)));
}

#[test]
fn the_window_ends_where_it_says_and_repeats_are_no_pairs() {
    let config = CollaborativeConfig { window: 1, weighting: Weighting::Uniform, ..SMALL };
    let counts = CoOccurrence::of(&log(&[training(&[0, 0, 1, 2, 1])], 4), &config);
    let neighbors = |item: usize| counts.neighbors(ItemId::new(item), 9);
    assert_eq!(neighbors(0), [ItemId::new(1)]);
    assert_eq!(neighbors(1), [ItemId::new(2), ItemId::new(0)], "2 twice, 0 once");
    assert_eq!(counts.neighbors(ItemId::new(1), 1), [ItemId::new(2)]);
}

#[test]
fn subspace_iteration_finds_the_strongest_eigenvalues_of_either_sign() {
    let (log, _) = tastes(60, 40);
    let matrix = CoOccurrence::of(&log, &SMALL).information();
    let full = dense(&matrix);
    let (values, _) = eigen(&Mat::from_fn(40, 40, |row, column| full[row][column]));
    let mut expected: Vec<f64> = values.into_iter().map(f64::abs).collect();
    expected.sort_by(|a, b| b.total_cmp(a));
    let found = leading(&matrix, 6, Key::new(1));
    for (at, (found, expected)) in found.strengths.iter().zip(&expected).enumerate() {
        assert!((found / expected - 1.0).abs() < 1e-3, "strength {at}: {found} {expected}");
    }
    let products = dense::inner(&found.vectors, &found.vectors);
    for (row, column) in (0..6).flat_map(|row| (0..6).map(move |column| (row, column))) {
        let expected = if row == column { 1.0 } else { 0.0 };
        assert!((products[(row, column)] - expected).abs() < 1e-9, "{products:?}");
    }
}

#[test]
fn all_directions_together_are_the_matrix() {
    let (log, _) = tastes(20, 12);
    let matrix = CoOccurrence::of(&log, &SMALL).information();
    let found = leading(&matrix, 12, Key::new(1));
    // U U^T A = A where U spans everything that A maps to.
    let image = matrix.times(&found.vectors);
    let full = dense(&matrix);
    for (row, column) in (0..12).flat_map(|row| (0..12).map(move |column| (row, column))) {
        let pairs = found.vectors.row(row).iter().zip(image.row(column));
        let value: f64 = pairs.map(|(a, b)| a * b).sum();
        assert!((value - full[row][column]).abs() < 1e-9, "{row} {column}: {value}");
    }
}

#[test]
fn items_of_one_taste_are_near_each_other_and_held_out_items_change_nothing() {
    let (log, text) = tastes(200, 40);
    let parts = Parts::of(&CoOccurrence::of(&log, &SMALL), &text, &SMALL, Key::new(2)).unwrap();
    let table = normalized(&parts.collaborative, Normalize::Unit);
    let cosine = |a: usize, b: usize| table.row(a).iter().zip(table.row(b)).map(|(x, y)| x * y).sum::<f32>();
    let mean = |other: fn(usize) -> usize| (0..20).map(|item| cosine(item, other(item))).sum::<f32>() / 20.0;
    let (same, different) = (mean(|item| (item + 1) % 20), mean(|item| item + 20));
    assert!(same > different + 0.3, "{same} {different}");

    let mut changed = log;
    for history in &mut changed.histories {
        let length = history.items.len();
        history.items[length - 2..].fill(ItemId::new(7));
    }
    assert_eq!(Parts::of(&CoOccurrence::of(&changed, &SMALL), &text, &SMALL, Key::new(2)).unwrap(), parts);
}

#[test]
fn the_bits_do_not_depend_on_the_number_of_threads() {
    let (log, text) = tastes(300, 700);
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| Parts::of(&CoOccurrence::of(&log, &SMALL), &text, &SMALL, Key::new(3)).unwrap())
    };
    assert_eq!(with(1), with(2));
    assert_eq!(with(1), with(3));
}

#[test]
fn fused_rows_have_a_part_of_length_one_and_one_of_the_weight() {
    let (log, text) = tastes(100, 30);
    let parts = Parts::of(&CoOccurrence::of(&log, &SMALL), &text, &SMALL, Key::new(2)).unwrap();
    let fused = parts.fused(SMALL.weight);
    assert_eq!((parts.text.width(), fused.width(), fused.rows()), (5, 11, 30));
    for row in 0..30 {
        let norm = |part: &[f32]| part.iter().map(|value| value * value).sum::<f32>().sqrt();
        let (text, collaborative) = fused.row(row).split_at(5);
        assert!((norm(text) - 1.0).abs() < 1e-5 && (norm(collaborative) - 0.5).abs() < 1e-5, "row {row}");
    }
}

#[test]
fn components_keep_the_angles_of_what_has_few_dimensions() {
    // Three dimensions, written in nine columns and moved away from zero.
    let key = Key::new(8);
    let mixed = |row: usize, column: usize| -> f64 {
        (0..3).map(|part| (unit(key, row, part) - 0.5) * unit(key, 900 + part, column)).sum()
    };
    let values = (0..50 * 9).map(|at| mixed(at / 9, at % 9) as f32 + 3.0).collect();
    let vectors = Embeddings::new(9, values);
    let mut centered = Dense::of(&vectors);
    centered.subtract(&centered.means());
    let expected = normalized(&centered.to_embeddings(), Normalize::Unit);
    let found = text::principal(&vectors, 3, Key::new(1));
    let cosine = |table: &Embeddings, a: usize, b: usize| -> f32 {
        table.row(a).iter().zip(table.row(b)).map(|(x, y)| x * y).sum()
    };
    for pair in (0..50).map(|row| (row, (row * 7 + 1) % 50)) {
        assert!((cosine(&found, pair.0, pair.1) - cosine(&expected, pair.0, pair.1)).abs() < 1e-4);
    }
    let constant = text::principal(&Embeddings::new(2, vec![3.0; 8]), 2, Key::new(1));
    assert_eq!(constant, Embeddings::new(1, vec![0.0; 4]));
}

#[test]
fn ridge_regression_predicts_a_linear_map_and_touches_no_known_row() {
    let key = Key::new(5);
    let features = Dense { width: 4, values: (0..80 * 4).map(|at| unit(key, at, 0)).collect() };
    let linear = |row: usize, column: usize| -> f64 {
        let x = features.row(row);
        1.5 + (0..4).map(|at| x[at] * (at as f64 - column as f64)).sum::<f64>()
    };
    let truth = Dense { width: 2, values: (0..160).map(|at| linear(at / 2, at % 2)).collect() };
    let known: Vec<bool> = (0..80).map(|row| row % 8 != 3).collect();
    let mut target = truth.clone();
    (0..80).filter(|row| !known[*row]).for_each(|row| target.row_mut(row).fill(0.0));
    ridge::fill(&features, &mut target, &known);
    for (row, known) in known.iter().enumerate() {
        let error = target.row(row).iter().zip(truth.row(row)).map(|(a, b)| (a - b).abs()).sum::<f64>();
        assert!(if *known { error == 0.0 } else { error < 0.01 }, "row {row}: {error}");
    }
}

#[test]
fn ridge_regression_on_constant_features_predicts_the_mean() {
    let features = Dense { width: 1, values: vec![2.0; 4] };
    let mut target = Dense { width: 1, values: vec![1.0, 2.0, 6.0, 0.0] };
    ridge::fill(&features, &mut target, &[true, true, true, false]);
    assert!((target.values[3] - 3.0).abs() < 1e-12);
}

#[test]
fn a_log_without_pairs_is_refused() {
    let text = Embeddings::new(1, vec![1.0, 2.0, 3.0, 4.0]);
    let counts = CoOccurrence::of(&log(&[training(&[1]), training(&[2, 2])], 4), &SMALL);
    let refusal = Parts::of(&counts, &text, &SMALL, Key::new(1));
    let message = refusal.unwrap_err().to_string();
    assert!(message.contains("within 10 positions"), "{message}");
}
