//! Codes for items that were not there when the codebooks were fitted.

use super::rows::squared_distance;
use super::{NewItems, Quantized, subtract};
use crate::embeddings::Embeddings;
use crate::ids::Code;

impl Quantized {
    /// Codes of new items, in order, by `rule`. The vectors must be normalised like the fitted ones
    /// ([`super::normalized`]). A collision digit is not part of them, nor are codes that say nothing of vectors (an item's
    /// number, a position in a tree): what this returns for such levels are the codes of the nearest old items.
    ///
    /// # Panics
    /// If the vectors have another width than the fitted ones.
    pub fn codes_of_new(&self, vectors: &Embeddings, rule: NewItems) -> Vec<Vec<Code>> {
        let mut residual = self.encoded(vectors);
        let width = residual.width();
        assert_eq!(width, self.codebooks[0].width(), "width of the new vectors");
        let mut codes = vec![Vec::new(); vectors.rows()];
        for (level, codebook) in self.codebooks.iter().enumerate() {
            let mut room = self.room(level, vectors.rows(), rule);
            for (item, codes) in codes.iter_mut().enumerate() {
                let code = nearest_with_room(residual.row(item), codebook, &room);
                room[code] -= 1;
                codes.push(code as Code);
                subtract(&mut residual.values_mut()[item * width..][..width], codebook.row(code));
            }
        }
        codes
    }

    /// How many new items each code of a level may take. An even share is rounded up, so there is always room.
    fn room(&self, level: usize, new: usize, rule: NewItems) -> Vec<usize> {
        let codes = self.codebooks[level].rows();
        let mut room = match rule {
            NewItems::Argmin => return vec![usize::MAX; codes],
            NewItems::ArgminWithSpareCapacity => vec![(self.codes.len() + new).div_ceil(codes); codes],
        };
        for codes in &self.codes {
            let room = &mut room[codes[level] as usize];
            *room = room.saturating_sub(1);
        }
        room
    }
}

fn nearest_with_room(vector: &[f32], codebook: &Embeddings, room: &[usize]) -> usize {
    (0..codebook.rows())
        .filter(|&code| room[code] > 0)
        .map(|code| (squared_distance(vector, codebook.row(code)), code))
        .min_by(|a, b| a.0.total_cmp(&b.0))
        .expect("the capacities add up to at least the number of items")
        .1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Codes at 0 and 10 hold two items each.
    fn quantized() -> Quantized {
        Quantized {
            codes: vec![vec![0], vec![0], vec![1], vec![1]],
            codebooks: vec![Embeddings::new(1, vec![0.0, 10.0])],
            residuals: vec![0.1],
            autoencoder: None,
        }
    }

    #[test]
    fn argmin_follows_distance_alone() {
        let new = Embeddings::new(1, vec![1.0, 2.0, 9.0, 3.0]);
        assert_eq!(quantized().codes_of_new(&new, NewItems::Argmin), [[0], [0], [1], [0]]);
    }

    #[test]
    fn spare_capacity_keeps_the_clusters_even() {
        let new = Embeddings::new(1, vec![1.0, 2.0, 3.0, 9.0]);
        let codes = quantized().codes_of_new(&new, NewItems::ArgminWithSpareCapacity);
        assert_eq!(codes, [[0], [0], [1], [1]], "8 items, 4 to a code: the third finds code 0 full");
    }
}
