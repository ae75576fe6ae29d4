//! Rotary positions (Su et al. 2021, 2104.09864), in the layout of Hugging Face's `rotate_half`: value `i` of the first half
//! of a head and value `i` of the second are one complex number.

use burn::prelude::*;
use burn::tensor::TensorData;

/// The rotations of some positions.
pub(super) struct Rotary {
    /// `[n, 1, dk / 2]`.
    cos: Tensor<3>,
    /// `[n, 1, dk / 2]`.
    sin: Tensor<3>,
}

impl Rotary {
    /// `width`: of a head, even; pair `i` turns by `position * theta^(-2 i / width)`.
    pub(super) fn new(positions: &[usize], (width, theta): (usize, f64), device: &Device) -> Self {
        let rates: Vec<f64> = (0..width / 2).map(|i| theta.powf(-2.0 * i as f64 / width as f64)).collect();
        let table = |of: fn(f64) -> f64| {
            let angles = positions.iter().flat_map(|&at| rates.iter().map(move |rate| at as f64 * rate));
            let values: Vec<f32> = angles.map(|angle| of(angle) as f32).collect();
            Tensor::from_data(TensorData::new(values, [positions.len(), 1, width / 2]), device)
        };
        Self { cos: table(f64::cos), sin: table(f64::sin) }
    }

    /// Turns every head of every position.
    ///
    /// # Shapes
    /// - `x` and result: `[n, h, dk]`.
    pub(super) fn turn(&self, x: &Tensor<3>) -> Tensor<3> {
        let [n, heads, width] = x.dims();
        let half = |range: std::ops::Range<usize>| x.clone().slice([0..n, 0..heads, range]);
        let (real, imaginary) = (half(0..width / 2), half(width / 2..width));
        let (cos, sin) = (self.cos.clone(), self.sin.clone());
        let turned =
            [real.clone() * cos.clone() - imaginary.clone() * sin.clone(), imaginary * cos + real * sin];
        Tensor::cat(turned.to_vec(), 2)
    }
}
