//! Codes for items that were not there when the codebooks were fitted.

use super::rows::squared_distance;
use super::{NewItems, Quantized, subtract};
use crate::embeddings::Embeddings;
use crate::ids::Code;

/// Whether whoever asked can use these codes for the item that is being placed; called once per set of codes that is tried, and
/// `true` ends the search for this item.
type Take<'a> = &'a mut dyn FnMut(&[Code]) -> bool;

impl Quantized {
    /// Codes of new items, in order, by `rule`. The vectors must be normalised like the fitted ones
    /// ([`super::normalized`]). A collision digit is not part of them, nor are codes that say nothing of vectors (an item's
    /// number, a position in a tree): what this returns for such levels are the codes of the nearest old items.
    ///
    /// # Panics
    /// If the vectors have another width than the fitted ones.
    pub fn codes_of_new(&self, vectors: &Embeddings, rule: NewItems) -> Vec<Vec<Code>> {
        self.place_new(vectors, rule, |_| true)
            .expect("the capacities add up to at least the number of items")
    }

    /// As [`Quantized::codes_of_new`], but of codes that `take` refuses, the next are tried: first the other codes of the last
    /// level by their distance, then the next code of the level before, and so on.
    ///
    /// # Errors
    /// The row of the first item for which there is nothing left.
    ///
    /// # Panics
    /// If the vectors have another width than the fitted ones.
    pub fn place_new(
        &self,
        vectors: &Embeddings,
        rule: NewItems,
        mut take: impl FnMut(&[Code]) -> bool,
    ) -> Result<Vec<Vec<Code>>, usize> {
        let encoded = self.encoded(vectors);
        assert_eq!(encoded.width(), self.codebooks[0].width(), "width of the new vectors");
        let levels = 0..self.codebooks.len();
        let mut room: Vec<Vec<usize>> = levels.map(|level| self.room(level, vectors.rows(), rule)).collect();
        let place = |item: usize| {
            let mut codes = Vec::with_capacity(room.len());
            let placed = self.place(encoded.row(item), &room, (&mut codes, &mut take));
            if !placed {
                return Err(item);
            }
            room.iter_mut().zip(&codes).for_each(|(room, &code)| room[code as usize] -= 1);
            Ok(codes)
        };
        (0..vectors.rows()).map(place).collect()
    }

    /// Depth first over what is left of the vector after the codes so far.
    fn place(
        &self,
        residual: &[f32],
        room: &[Vec<usize>],
        (codes, take): (&mut Vec<Code>, Take<'_>),
    ) -> bool {
        let level = codes.len();
        let Some(codebook) = self.codebooks.get(level) else { return take(codes) };
        for code in by_distance(residual, codebook, &room[level]) {
            let mut left = residual.to_vec();
            subtract(&mut left, codebook.row(code));
            codes.push(code as Code);
            if self.place(&left, room, (codes, take)) {
                return true;
            }
            codes.truncate(level);
        }
        false
    }

    /// How far a vector is from what codes say: the distances between its encoding and the sums of the codes' vectors. The
    /// vector must be normalised like the fitted ones; codes beyond the codebooks, a collision digit, say nothing.
    ///
    /// # Panics
    /// If the vector has another width than the fitted ones, or codes are not of these codebooks.
    pub fn distances(&self, vector: &[f32], codes: &[&[Code]]) -> Vec<f64> {
        let encoded = self.encoded(&Embeddings::new(vector.len(), vector.to_vec()));
        let distance = |codes: &&[Code]| {
            let mut left = encoded.values().to_vec();
            for (codebook, &code) in self.codebooks.iter().zip(*codes) {
                subtract(&mut left, codebook.row(code as usize));
            }
            left.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt()
        };
        codes.iter().map(distance).collect()
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

/// The codes that have room, nearest first; of equally near ones the first.
fn by_distance(vector: &[f32], codebook: &Embeddings, room: &[usize]) -> impl Iterator<Item = usize> {
    let codes = (0..codebook.rows()).filter(|&code| room[code] > 0);
    let mut codes: Vec<(f32, usize)> =
        codes.map(|code| (squared_distance(vector, codebook.row(code)), code)).collect();
    codes.sort_by(|a, b| a.0.total_cmp(&b.0));
    codes.into_iter().map(|(_, code)| code)
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

    #[test]
    fn refused_codes_make_way_for_the_next_nearest_of_the_last_level_then_of_the_one_before() {
        let quantized = Quantized {
            codes: vec![vec![0, 0]],
            codebooks: vec![Embeddings::new(1, vec![0.0, 10.0]), Embeddings::new(1, vec![-1.0, 1.0])],
            residuals: vec![0.1, 0.1],
            autoencoder: None,
        };
        let new = Embeddings::new(1, vec![1.1, 1.2, 1.3, 1.4]);
        let mut taken = std::collections::BTreeSet::new();
        let placed = quantized.place_new(&new, NewItems::Argmin, |codes| taken.insert(codes.to_vec()));
        // 1.1 lies at 0 + 1; then 0 - 1, and only then 10 - 1 and 10 + 1.
        assert_eq!(placed.unwrap(), [[0, 1], [0, 0], [1, 0], [1, 1]]);
        let full = quantized.place_new(&new, NewItems::Argmin, |codes| codes == [1, 1]);
        assert_eq!(full.unwrap().len(), 4, "whoever takes the same codes again shares them");
        let mut two = 0..2;
        assert_eq!(quantized.place_new(&new, NewItems::Argmin, |_| two.next().is_some()), Err(2));
    }

    #[test]
    fn distances_are_those_to_the_sums_of_the_codes_and_a_digit_says_nothing() {
        assert_eq!(quantized().distances(&[3.0], &[&[0], &[1, 5]]), [3.0, 7.0]);
    }
}
