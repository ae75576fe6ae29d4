use super::features::{Features, Knowledge};
use super::impressions::{Columns, Impressions, Names, SatisfactionError};
use super::model::{Lessons, Satisfaction};
use crate::calibration::{auc, grouped_auc};
use burn::prelude::Device;
use policy::history::{History, Log};
use policy::ids::ItemId;
use policy::random::Key;

const USERS: usize = 300;
const EACH: usize = 20;
const ITEMS: usize = 50;

/// A user and a place in their history.
type Place = (usize, usize);

/// A log in which `verdict` decides what is approved of and `behaviour` is what was done, before it is compressed.
fn log(
    verdict: impl Fn(Place) -> bool,
    behaviour: impl Fn(Place, bool) -> f64,
    item: impl Fn(Place, bool) -> usize,
) -> Log {
    let history = |user: usize| {
        let mut history = History::default();
        for at in 0..EACH {
            let approved = verdict((user, at));
            let done = behaviour((user, at), approved);
            history.items.push(ItemId::new(item((user, at), approved)));
            history.timestamps.push(60 * at as i64);
            history.feedback.extend([f32::from(approved), (done.abs().exp_m1().copysign(done)) as f32]);
        }
        history
    };
    let signals = ["like", "watched"].map(String::from).to_vec();
    Log { histories: (0..USERS).map(history).collect(), num_items: ITEMS, signals }
}

fn key((user, at): Place) -> Key {
    Key::new(3).at(user as u64).at(at as u64)
}
fn normal(key: Key) -> f64 {
    (0..12).map(|draw| key.at(draw).unit()).sum::<f64>() - 6.0
}
fn coin(place: Place) -> bool {
    key(place).named("coin").unit() < 0.5
}
fn any_item(place: Place, _: bool) -> usize {
    (key(place).named("item").unit() * ITEMS as f64) as usize
}

fn columns(log: &Log) -> Columns {
    Columns::find(&log.signals, Names { positive: "like", negative: None, shares: &[] }).unwrap()
}

/// Trained on all but a pair of every user: AUC and accuracy within pairs.
fn examined(log: &Log, knowledge: Knowledge) -> (f64, f64) {
    let columns = columns(log);
    let impressions = Impressions::new(log, &columns).unwrap();
    let pairs = impressions.draw_pairs(&vec![true; impressions.len()], Key::new(5));
    let mut known = vec![true; impressions.len()];
    for &at in &pairs {
        known[at] = false;
    }
    let features = Features::of(&impressions, &known, knowledge);
    let lessons =
        Lessons { impressions: &impressions, known: &known, key: Key::new(1), device: &Device::flex() };
    let chances = Satisfaction::fit(&features, lessons).unwrap().predict(&features);
    let scores: Vec<f64> = pairs.iter().map(|&at| chances[at]).collect();
    let verdict = |&at: &usize| f64::from(u8::from(impressions.verdicts()[at].unwrap()));
    let labels: Vec<f64> = pairs.iter().map(verdict).collect();
    (auc(&scores, &labels).unwrap(), grouped_auc(&scores, &labels, &vec![2; pairs.len() / 2]).unwrap())
}

/// Two normals two standard deviations apart, around a level of the user's own that spreads three times as wide: who knows the
/// level orders `Phi(2 / sqrt 2) = .921` of the pairs, who does not `Phi(2 / sqrt 20) = .673`.
#[test]
fn what_is_usual_for_a_user_is_learned_up_to_the_bayes_answer() {
    let level = |user: usize| 3.0 * normal(Key::new(9).at(user as u64));
    let done = |place: Place, approved: bool| {
        level(place.0) + if approved { 1.0 } else { -1.0 } + normal(key(place).named("done"))
    };
    let (auc, within) = examined(&log(coin, done, any_item), Knowledge::Behaviour);
    assert!(
        (0.87..0.96).contains(&auc) && (0.86..0.97).contains(&within),
        "AUC {auc}, within users {within}"
    );
}

/// A verdict is that of the impression before nine times of ten, which tells .972 of the pairs between two known neighbours; the
/// first and the last have one, and some neighbours are of a pair themselves.
#[test]
fn moods_are_read_off_the_neighbours() {
    let turns =
        |user: usize, at: usize| key((user, at)).named("turn").unit() < if at == 0 { 0.5 } else { 0.1 };
    let verdict = |(user, at): Place| (0..=at).filter(|&step| turns(user, step)).count() % 2 == 1;
    let (_, within) = examined(&log(verdict, |place, _| normal(key(place)), any_item), Knowledge::Behaviour);
    assert!((0.85..0.985).contains(&within), "{within}");
}

#[test]
fn verdicts_that_nothing_tells_are_not_predicted() {
    let (auc, within) = examined(&log(coin, |place, _| normal(key(place)), any_item), Knowledge::Behaviour);
    assert!((auc - 0.5).abs() < 0.08 && (within - 0.5).abs() < 0.1, "AUC {auc}, within users {within}");
}

/// Half of the items are always approved of, the others never.
#[test]
fn the_item_gives_the_verdict_away_to_who_may_look() {
    let item = |place: Place, approved: bool| 2 * (any_item(place, approved) / 2) + usize::from(approved);
    let log = log(coin, |place, _| normal(key(place)), item);
    assert!(examined(&log, Knowledge::ItemRate).0 > 0.97);
    assert!(examined(&log, Knowledge::Behaviour).0 < 0.6);
}

#[test]
fn an_impressions_own_verdict_and_the_item_are_in_none_of_its_numbers() {
    let plain = log(coin, |place, _| normal(key(place)), any_item);
    let mut turned = plain.clone();
    turned.histories[7].feedback[2 * 4] = 1.0 - turned.histories[7].feedback[2 * 4];
    let mut moved = plain.clone();
    for history in &mut moved.histories {
        history.items.rotate_left(3);
    }
    let of = |log: &Log, knowledge| {
        let columns = columns(log);
        let impressions = Impressions::new(log, &columns).unwrap();
        Features::of(&impressions, &vec![true; impressions.len()], knowledge)
    };
    for knowledge in [Knowledge::Behaviour, Knowledge::ItemRate] {
        let (features, turned) = (of(&plain, knowledge), of(&turned, knowledge));
        let at = 7 * EACH + 4;
        for (column, (a, b)) in features.row(at).iter().zip(turned.row(at)).enumerate() {
            // Everybody's share of approval changes by one of six thousand.
            assert!((a - b).abs() < 2e-4, "{}: {a} became {b}", features.names()[column]);
        }
        assert!(features.row(at + 1) != turned.row(at + 1), "its neighbours do know it");
    }
    assert_eq!(of(&plain, Knowledge::Behaviour), of(&moved, Knowledge::Behaviour));
    assert_ne!(of(&plain, Knowledge::ItemRate), of(&moved, Knowledge::ItemRate));
}

#[test]
fn numbers_equal_hand_values() {
    let log = log(|(_, at)| at % 2 == 0, |(_, at), _| at as f64, any_item);
    let columns = columns(&log);
    let impressions = Impressions::new(&log, &columns).unwrap();
    let mut known = vec![false; impressions.len()];
    // Of user 0: approved 0 and 2, disapproved 1. Nobody else said anything.
    known[..3].fill(true);
    let features = Features::of(&impressions, &known, Knowledge::Behaviour);
    let close = |at: usize, expected: [f32; 6]| {
        for (found, hand) in features.row(at).iter().zip(expected) {
            assert!((found - hand).abs() < 1e-4, "{:?} is not {expected:?}", features.row(at));
        }
    };
    // Of 0 to 19 the mean is 9.5, everybody's too; without x and with two means more, (190 - x + 19) / 21.
    let minute = 61.0_f32.ln();
    close(2, [2.0, 2.0 - 207.0 / 21.0, minute, minute, 0.0, 0.5]);
    close(3, [3.0, 3.0 - 206.0 / 21.0, minute, minute, 1.0, 0.5]);
    close(0, [0.0, 0.0 - 209.0 / 21.0, 25.0, minute, 0.5, 0.0]);
    assert_eq!((features.plain(), features.names()[1].as_str()), (1, "watched above the usual"));
}

#[test]
fn two_columns_of_verdicts_leave_what_nobody_rated() {
    let mut log = log(coin, |place, _| normal(key(place)), any_item);
    log.signals = ["like", "hate"].map(String::from).to_vec();
    let names = |negative| Names { positive: "like", negative, shares: &[] };
    assert_eq!(Columns::find(&log.signals, names(Some("hate"))), Err(SatisfactionError::NoBehaviour));
    let shares = [("watched".to_owned(), "like".to_owned())];
    let told = Columns::find(&log.signals, Names { shares: &shares, ..names(None) });
    assert_eq!(told, Err(SatisfactionError::Verdict("like".into())));
    let unknown = Columns::find(&log.signals, names(Some("hated"))).unwrap_err();
    assert_eq!(unknown.to_string(), "the log has no feedback column `hated`; its columns are [like, hate]");

    log.signals.push("watched".into());
    let rows = [[1.0, 0.0, 5.0], [0.0, 1.0, 5.0], [0.0, 0.0, 5.0], [1.0, 1.0, 5.0]];
    for history in &mut log.histories {
        history.feedback = (0..EACH).flat_map(|at| rows[at % 4]).collect();
    }
    let columns = Columns::find(&log.signals, names(Some("hate"))).unwrap();
    let impressions = Impressions::new(&log, &columns).unwrap();
    assert_eq!(impressions.verdicts()[..4], [Some(true), Some(false), None, None]);

    let one = Log { histories: log.histories[..1].to_vec(), ..log };
    assert_eq!(Impressions::new(&one, &columns).unwrap_err(), SatisfactionError::Verdicts { users: 1 });
}
