//! Names of things: a raw integer never crosses a function border.

use serde::{Deserialize, Serialize};

/// Dense row of an item in the catalog, `0..num_items`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ItemId(u32);

/// Dense row of a user in the log, `0..num_users`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UserId(u32);

/// One level of a semantic ID: a row of that level's codebook. As wide as an item's number, because a code may be an item's own.
pub type Code = u32;

/// The tuple of codes that stands for an item, coarsest level first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SemanticId(Box<[Code]>);

macro_rules! dense_id {
    ($name:ident) => {
        impl $name {
            /// The id of dense row `index`.
            ///
            /// # Panics
            /// If `index` does not fit in 32 bits.
            #[inline]
            pub fn new(index: usize) -> Self {
                Self(u32::try_from(index).expect("dense ids fit in 32 bits"))
            }
            /// The dense row.
            #[inline]
            pub const fn index(self) -> usize {
                self.0 as usize
            }
        }
    };
}
dense_id!(ItemId);
dense_id!(UserId);

impl SemanticId {
    /// A semantic ID of these codes, coarsest first.
    pub fn new(codes: impl Into<Box<[Code]>>) -> Self {
        Self(codes.into())
    }
    /// The codes, coarsest first.
    pub fn codes(&self) -> &[Code] {
        &self.0
    }
}
