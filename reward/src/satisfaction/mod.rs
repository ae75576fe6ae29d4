//! What nobody rated: whether a user was satisfied with an impression, told from what they did during it.
//!
//! Explicit feedback is rare, behaviour is not: clicks, play time, comments and long views go with every impression. A model of
//! the impressions that were rated says of any other, after the fact, how likely its user would have approved of it. It is a
//! judge of labels, not of recommendations: it must see the impression's own behaviour, which no recommender knows in advance.
//!
//! It never sees which item was shown, how often, or what others thought of it ([`features::Knowledge::ItemRate`] shows why): in
//! logs that were filtered by what was liked, the item's identity gives the verdict away.
//!
//! | module | what it has |
//! |---|---|
//! | [`impressions`] | a log's impressions with their verdicts, and which of them are kept for the examination |
//! | [`features`] | what the model knows of an impression |
//! | [`model`] | the model: a few small networks on quantiles |
//! | [`decision`] | recall and F1 of disapproval at a threshold |

pub mod decision;
pub mod features;
pub mod impressions;
pub mod model;

#[cfg(test)]
mod tests;
