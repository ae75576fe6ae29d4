//! Embedding files: what is refused, and which row belongs to which item.

use super::{FOUR_ITEMS, Folder, embedding_file, parquet};
use polars::prelude::*;

fn safetensors(shape: [usize; 2], values: &[f32]) -> Vec<u8> {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.into(), &bytes).unwrap();
    safetensors::serialize([("e", view)], None).unwrap()
}

#[test]
fn embeddings_with_the_wrong_number_of_rows_name_both_counts() {
    let folder = Folder::with("log.txt", FOUR_ITEMS)
        .and("e.safetensors", safetensors([3, 2], &[0.0; 6]))
        .and("items.tsv", "id\tname\n1\ta\n2\tb\n3\tc\n4\td\n5\te\n");
    let keys = embedding_file("e.safetensors");
    folder.refuses(&keys, &["e.safetensors", "3 rows", "the log has 4 items", "embed the items again"]);
    let with_table = format!("{keys}\nitems = {{ file = \"items.tsv\", id = \"id\", text = [\"name\"] }}");
    folder.refuses(&with_table, &["e.safetensors", "3 rows", "the item table has 5 items"]);
}

#[test]
fn embeddings_without_width_with_nan_or_truncated_are_refused() {
    let keys = embedding_file("e.safetensors");
    let folder = |content: &[u8]| Folder::with("log.txt", FOUR_ITEMS).and("e.safetensors", content);
    folder(&safetensors([4, 0], &[])).refuses(&keys, &["e.safetensors", "width 0"]);
    let mut values = [0.5; 8];
    values[5] = f32::NAN;
    let good = safetensors([4, 2], &[0.5; 8]);
    folder(&safetensors([4, 2], &values)).refuses(&keys, &["e.safetensors", "row 3, column 2 is NaN"]);
    for length in [1, 8, 40, good.len() - 1] {
        folder(&good[..length]).refuses(&keys, &["e.safetensors", "truncated", &format!("{length} bytes")]);
    }
    folder(&good).dataset(&keys);
}

#[test]
fn an_item_without_embedding_is_named() {
    let folder = Folder::with("log.txt", FOUR_ITEMS)
        .and("e.safetensors", safetensors([3, 1], &[0.0; 3]))
        .and("items.tsv", "id\tname\n1\ta\n2\tb\n3\tc\n");
    let keys = format!(
        "{}\nitems = {{ file = \"items.tsv\", id = \"id\", text = [\"name\"] }}",
        embedding_file("e.safetensors")
    );
    folder.refuses(&keys, &["e.safetensors", "1 items of the log", "`4`"]);
}

#[test]
fn embedding_rows_follow_the_lines_of_the_item_table_or_the_sorted_ids() {
    let folder = Folder::with("log.txt", FOUR_ITEMS)
        .and("e.safetensors", safetensors([4, 1], &[1.0, 2.0, 3.0, 4.0]))
        .and("items.tsv", "id\tname\n4\td\n3\tc\n2\tb\n1\ta\n");
    let keys = embedding_file("e.safetensors");
    assert_eq!(folder.dataset(&keys).embeddings.values(), [1.0, 2.0, 3.0, 4.0]);
    let with_table = format!("{keys}\nitems = {{ file = \"items.tsv\", id = \"id\", text = [\"name\"] }}");
    let dataset = folder.dataset(&with_table);
    assert_eq!(dataset.embeddings.values(), [4.0, 3.0, 2.0, 1.0]);
    assert_eq!(dataset.items[0].text, "a");
}

#[test]
fn parquet_lists_and_half_precision_tensors_are_read_as_floats() {
    let row = |values: [f64; 2]| Series::new(PlSmallStr::EMPTY, values);
    let rows = [row([1.0, 2.0]), row([3.0, 4.0]), row([5.0, 6.0]), row([7.0, 8.0])];
    let bytes: Vec<u8> = (1..=8).flat_map(|value| half::f16::from_f32(value as f32).to_le_bytes()).collect();
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F16, vec![4, 2], &bytes).unwrap();
    let folder = Folder::with("log.txt", FOUR_ITEMS)
        .and("e.parquet", parquet(vec![Column::new("v".into(), rows)]))
        .and("e.safetensors", safetensors::serialize([("e", view)], None).unwrap());
    for file in ["e.parquet", "e.safetensors"] {
        let dataset = folder.dataset(&embedding_file(file));
        assert_eq!(dataset.embeddings.values(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], "{file}");
    }
}
