use super::*;
use serde::Deserialize;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Outer {
    name: String,
    shape: Shape,
    #[serde(default)]
    sizes: Vec<u32>,
    #[serde(default)]
    inner: Option<Inner>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
enum Shape {
    Point,
    Circle { radius: f64, points: usize },
    Boxed(Inner),
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Inner {
    width: u32,
    #[serde(default)]
    mode: Mode,
    #[serde(default, skip_serializing_if = "Depth::is_default")]
    depth: Depth,
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Depth {
    layers: u32,
}

impl Depth {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    #[default]
    Plain,
    Seeded(u64),
}

fn problems(text: &str) -> Vec<String> {
    let outcome = deserialize::<Outer>(&text.parse().unwrap());
    assert!(outcome.value.is_some(), "repair did not end for {text}: {:?}", outcome.problems);
    outcome.problems.iter().map(|problem| format!("{}: {}", problem.key, problem.message)).collect()
}

#[track_caller]
fn assert_keys(text: &str, keys: &[&str]) {
    let found = problems(text);
    let heads: Vec<_> = found.iter().map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(heads, keys, "{found:#?}");
}

#[test]
fn a_good_table_has_no_problems() {
    let text = "name = 'a'\nsizes = [1, 2]\nshape = { kind = 'boxed', width = 3, mode = { seeded = 7 } }";
    assert_keys(text, &[]);
}

#[test]
fn every_mistake_is_reported_at_once() {
    let text = "nme = 'a'\nsizes = [1, -2, 'x']\ninner = { width = 'w', modus = 1 }\n[shape]\nkind = 'circel'\nradius = 1";
    assert_keys(text, &["inner.modus", "inner.width", "nme", "shape.kind", "sizes.1", "sizes.2", "name"]);
}

#[test]
fn a_wrong_type_inside_a_tagged_variant_names_its_key() {
    let text = "name = 'a'\nshape = { kind = 'circle', radius = 'r', points = 'r' }";
    assert_keys(text, &["shape.points", "shape.radius"]);
}

#[test]
fn a_key_that_a_variant_without_fields_ignores_is_unknown() {
    assert_keys("name = 'a'\nshape = { kind = 'point', radius = 1.0 }", &["shape.radius"]);
}

#[test]
fn a_default_that_is_written_out_is_no_unknown_key() {
    assert_keys("name = 'a'\nshape = { kind = 'boxed', width = 1, depth = { layers = 0 } }", &[]);
    assert_keys("name = 'a'\nshape = { kind = 'boxed', width = 1, depth = {} }", &[]);
}

#[test]
fn mistakes_in_tables_inside_a_tagged_variant_name_their_keys() {
    let boxed = |depth: &str| format!("name = 'a'\nshape = {{ kind = 'boxed', width = 1, {depth} }}");
    assert_keys(&boxed("depth = { layers = 'x' }"), &["shape.depth.layers"]);
    assert_keys(&boxed("depth = { layer = 1 }"), &["shape.depth.layer"]);
    assert_keys(&boxed("depth = { width = 1 }"), &["shape.depth.width"]);
    assert_keys(&boxed("depth = 3"), &["shape.depth"]);
    assert_keys(&boxed("mode = 'plane'"), &["shape.mode"]);
}

#[test]
fn missing_keys_are_named_once_and_nothing_is_invented_below_them() {
    assert_keys("inner = {}", &["inner.width", "name", "shape"]);
    assert_keys("name = 'a'\nshape = { radius = 1 }", &["shape.kind"]);
    assert_keys("name = 'a'\nshape = { kind = 'circle' }", &["shape.radius", "shape.points"]);
}
