//! What every loss returns.

use burn::prelude::*;

/// A loss and what it measured on the way. Metric names are TRL's where TRL has one.
#[derive(Debug)]
pub struct LossOutput {
    /// The number to minimise, `[1]`.
    pub loss: Tensor<1>,
    /// Name and value of each metric.
    pub metrics: Vec<(&'static str, f64)>,
}

/// Reads scalar tensors back in one transfer, so that metrics cost a device one synchronisation.
pub(crate) fn read_metrics<const N: usize>(
    metrics: [(&'static str, Tensor<1>); N],
) -> Vec<(&'static str, f64)> {
    let (names, tensors): (Vec<_>, Vec<_>) =
        metrics.into_iter().map(|(name, value)| (name, value.detach())).unzip();
    let values = Tensor::cat(tensors, 0).into_data();
    names.into_iter().zip(values.iter::<f64>()).collect()
}
