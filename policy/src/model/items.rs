//! Vectors of items' own, beside those of their codes.
//!
//! They fit a training set faster and new users less: a policy that has them leans on them. Where training forgets some of
//! them (`item_dropout`), as word dropout forgets words (Iyyer et al. 2015), it must also know items by their codes, and what
//! came after training is read as what was forgotten.

use super::layers::{Dropout, EMBEDDING_STD, Table};
use crate::kernels::{self, Mask};
use crate::random::Key;
use burn::module::Param;
use burn::prelude::*;

/// A row per item, the first for whatever is not known: no item yet, one that came later, one forgotten in training.
#[derive(Module, Debug)]
pub(super) struct Items {
    weight: Param<Tensor<2>>,
    #[module(skip)]
    forgotten: f64,
}

impl Items {
    /// Vectors of width `d`; training forgets a share `forgotten` of those it reads.
    pub(super) fn new((items, d): (usize, usize), forgotten: f64, key: Key, device: &Device) -> Self {
        Self { weight: Table::new([items + 1, d], EMBEDDING_STD, key, device).weight, forgotten }
    }

    /// What items are, `[n, d]`. `items`: an item's index above 0, which is no item.
    pub(super) fn rows(&self, items: &[u32], dropout: Dropout) -> Tensor<2> {
        kernels::gather(self.weight.val(), &self.known(items, dropout))
    }

    fn known(&self, items: &[u32], dropout: Dropout) -> Vec<u32> {
        let rows = self.weight.dims()[0] as u32;
        let mask = match dropout {
            Dropout::On { key, .. } if self.forgotten > 0.0 => {
                Some(Mask::new(self.forgotten, key.named("items")))
            }
            _ => None,
        };
        let is_known = |at: u32, item: u32| item < rows && !mask.is_some_and(|mask| mask.drops(at));
        items.iter().zip(0..).map(|(&item, at)| if is_known(at, item) { item } else { 0 }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(forgotten: f64) -> Items {
        Items::new((9, 4), forgotten, Key::new(1), &Device::flex())
    }

    fn training(seed: u64) -> Dropout {
        Dropout::On { rate: 0.0, key: Key::new(seed) }
    }

    #[test]
    fn what_came_after_training_is_unknown_and_nothing_else_is_where_nothing_is_forgotten() {
        let read = [3, 9, 10, 4000, 0];
        assert_eq!(items(0.0).known(&read, training(1)), [3, 9, 0, 0, 0]);
        assert_eq!(items(0.5).known(&read, Dropout::Off), [3, 9, 0, 0, 0]);
    }

    #[test]
    fn training_forgets_a_share_which_differs_by_key() {
        let (items, read) = (items(0.3), vec![5; 10_000]);
        let forgotten = |seed| items.known(&read, training(seed)).iter().filter(|item| **item == 0).count();
        assert!((2800..3200).contains(&forgotten(1)), "{}", forgotten(1));
        assert_eq!(forgotten(1), forgotten(1));
        assert_ne!(items.known(&read, training(1)), items.known(&read, training(2)));
    }
}
