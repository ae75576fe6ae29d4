//! Codes that are numbers written in base `codes`, or drawn.

use crate::history::Log;
use crate::ids::Code;
use crate::random::Key;
use std::collections::BTreeSet;

/// Random codes, drawn again while another item has them. The caller has checked that there are enough IDs.
pub(super) fn random(items: usize, (levels, codes): (usize, usize), key: Key) -> Vec<Vec<Code>> {
    let mut taken = BTreeSet::new();
    let mut draw = |item: usize| {
        let key = key.at(item as u64);
        let id = |draw| -> Vec<Code> {
            let code = |level: usize| (key.at(draw).at(level as u64).unit() * codes as f64) as Code;
            (0..levels).map(code).collect()
        };
        (0..u64::MAX).map(id).find(|id| taken.insert(id.clone())).expect("there are more draws than IDs")
    };
    (0..items).map(&mut draw).collect()
}

/// The position of every item in the order in which the users' training histories, one after the other, mention items first.
/// Items that no training history mentions follow, in item order.
pub(super) fn first_appearance(log: &Log) -> Vec<usize> {
    let mut positions = vec![None; log.num_items];
    let mentioned = log.users().flat_map(|user| log.train_items(user)).map(|item| item.index());
    let mut next = 0..;
    for item in mentioned.chain(0..log.num_items) {
        if positions[item].is_none() {
            positions[item] = next.next();
        }
    }
    positions.into_iter().flatten().collect()
}

/// A number in base `codes`, the most significant of `levels` digits first.
pub(super) fn digits(mut number: usize, (levels, codes): (usize, usize)) -> Vec<Code> {
    let mut digits = vec![0; levels];
    for digit in digits.iter_mut().rev() {
        *digit = (number % codes) as Code;
        number /= codes;
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::History;
    use crate::ids::ItemId;

    #[test]
    fn digits_are_those_of_the_number() {
        assert_eq!(digits(0, (3, 10)), [0, 0, 0]);
        assert_eq!(digits(472, (3, 10)), [4, 7, 2]);
        assert_eq!(digits(255, (2, 256)), [0, 255]);
    }

    #[test]
    fn items_are_numbered_as_users_mention_them_and_held_out_items_come_last() {
        let history = |items: &[usize]| History {
            items: items.iter().map(|item| ItemId::new(*item)).collect(),
            ..History::default()
        };
        // Training sees 4, 2 and then 4, 1.
        let histories = vec![history(&[4, 2, 0, 3]), history(&[4, 1, 0, 2])];
        let log = Log { histories, num_items: 5, signals: Vec::new() };
        assert_eq!(first_appearance(&log), [3, 2, 1, 4, 0]);
    }

    #[test]
    fn random_codes_fill_even_the_last_id() {
        let ids = random(27, (3, 3), Key::new(4));
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 27);
        assert!(ids.iter().flatten().all(|code| *code < 3));
        assert_eq!(ids, random(27, (3, 3), Key::new(4)));
        assert_ne!(ids, random(27, (3, 3), Key::new(5)));
    }
}
