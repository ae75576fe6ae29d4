//! Token layout: `0` pad and decoder start, `1` end (reserved), then one token per (level, code), padded to a
//! multiple of 16 because some GPU matrix kernels are wrong or slow elsewhere.

use crate::catalog::Catalog;
use crate::ids::{Code, SemanticId};
use serde::{Deserialize, Serialize};

/// Pads encoder inputs and starts the decoder, as in T5.
pub const PAD: u32 = 0;
/// Ends a sequence.
pub const END: u32 = 1;
const SPECIALS: usize = 2;
const MULTIPLE: usize = 16;

/// Where each level's codes lie among the tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vocab {
    level_sizes: Vec<usize>,
}

impl Vocab {
    /// The vocabulary of a catalog's codes.
    pub fn of(catalog: &Catalog) -> Self {
        Self { level_sizes: catalog.level_sizes().to_vec() }
    }
    /// Codes per semantic ID.
    pub fn levels(&self) -> usize {
        self.level_sizes.len()
    }
    /// Codes of one level.
    pub fn level_size(&self, level: usize) -> usize {
        self.level_sizes[level]
    }
    /// Number of tokens, padding included.
    pub fn size(&self) -> usize {
        (SPECIALS + self.level_sizes.iter().sum::<usize>()).next_multiple_of(MULTIPLE)
    }
    /// First token of a level.
    pub fn offset(&self, level: usize) -> usize {
        SPECIALS + self.level_sizes[..level].iter().sum::<usize>()
    }
    /// The token of a code.
    pub fn token(&self, level: usize, code: Code) -> u32 {
        (self.offset(level) + code as usize) as u32
    }
    /// The code that a token stands for at this level; `None` if it stands for none.
    pub fn code(&self, level: usize, token: u32) -> Option<Code> {
        let code = (token as usize).checked_sub(self.offset(level))?;
        (code < self.level_size(level)).then_some(code as Code)
    }
    /// The tokens of a semantic ID, coarsest level first.
    pub fn tokens<'a>(&'a self, id: &'a SemanticId) -> impl Iterator<Item = u32> + 'a {
        id.codes().iter().enumerate().map(|(level, &code)| self.token(level, code))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_follow_the_specials_without_gaps() {
        let vocab = Vocab { level_sizes: vec![4, 3, 9] };
        assert_eq!((vocab.offset(0), vocab.offset(1), vocab.offset(2)), (2, 6, 9));
        assert_eq!(vocab.size(), 32);
        let tokens: Vec<_> = vocab.tokens(&SemanticId::new([3, 0, 8])).collect();
        assert_eq!(tokens, [5, 6, 17]);
        assert_eq!([vocab.code(0, 5), vocab.code(1, 6), vocab.code(2, 17)], [Some(3), Some(0), Some(8)]);
        assert_eq!([vocab.code(0, 1), vocab.code(0, 6), vocab.code(1, 5), vocab.code(2, 18)], [None; 4]);
    }
}
