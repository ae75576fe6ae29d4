//! The session reward model: layers, model, batches, and the judge that scores with it.

pub mod batch;
pub mod judge;
mod layers;
pub mod model;

#[cfg(test)]
mod tests;
