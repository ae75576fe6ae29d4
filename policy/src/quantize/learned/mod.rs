//! Codebooks trained by gradients: RQ-VAE (Lee et al. 2022; TIGER 2305.05065) and, without encoder and decoder, R-VQ.
//!
//! ```text
//! z = Enc(x);  r_0 = z;  c_l = argmin_k |r_{l-1} - e^l_k|^2;  r_l = r_{l-1} - e^l_{c_l};  z' = sum_l e^l_{c_l}
//! loss = mse(Dec(z'), x) + mean_l [ mse(sg(r_{l-1}), e_l) + commitment * mse(r_{l-1}, sg(e_l)) ]
//! ```
//!
//! - Gradients of `z'` reach the encoder by [`gradient`]: straight through or by the rotation trick. Without an encoder only the
//!   codebook term has a gradient, and training is k-means in batches, all levels at once.
//! - Codebooks start as k-means of encodings. A code that no item of an epoch has is put on a random residual after it.
//! - [`letter`] adds two terms: quantised vectors near collaborative ones, and codes of a codebook spread out.
//! - The codes of the result are the nearest ones, level by level; [`super::sinkhorn`] can move colliding items apart.
//!
//! What the papers leave open, or differs: residuals are detached from the codes before them (as in lucidrains' and
//! `MiniOneRec`'s code, so that a level's terms train that level and the encoder); vectors are centred and scaled to unit variance
//! before training, and the result is scaled back; k-means starts from 64 items per code instead of one batch,
//! because batches are small here; the learning rate decays by a cosine.

mod autoencoder;
mod config;
pub mod gradient;
pub mod letter;
mod model;
mod training;

pub use autoencoder::{Autoencoder, Dense};
pub use config::{Gradient, LearnedConfig};
pub(super) use training::Training;

/// Items per code that k-means sees before training: more than enough for centres that training moves anyway.
const START_PER_CODE: usize = 64;

#[cfg(test)]
mod tests;
