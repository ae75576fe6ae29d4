//! The GPU path as far as a machine without a GPU can prove it: every trainer, sampler and judge does on wgpu's default
//! adapter (a software rasteriser is one) what it does on the CPU. Both start from the same weights; the CPU runs the
//! fused operators, the adapter the composed ones.
#![expect(clippy::print_stderr, reason = "which adapter was tested, or that none was")]

mod decoding;
mod fixture;
mod judge;
mod training;

use burn::prelude::Device;
use recalign::device::{DeviceChoice, DeviceError};

/// Largest difference of a figure (loss, gradient norm, log-probability, probability), relative to its size where that
/// exceeds 1. Sums are taken in another order and a shader's `exp`, `log` and `sqrt` may be off by several units in the
/// last place (1e-7 each): a pass is some fifty such operators deep, and three updates by Adam, which divides each
/// gradient by its own size, carry the difference into the weights. A software rasteriser (llvmpipe, Mesa 22.3) stays below 1e-6.
const TOLERANCE: f64 = 1e-5;

/// Runs a workload on both devices and compares what it returns, figure by figure.
fn agree(name: &str, workload: impl Fn(&Device) -> Vec<f64>) {
    let Some(adapter) = adapter() else { return };
    let (found, expected) = (workload(&adapter), workload(&Device::flex()));
    assert_eq!(found.len(), expected.len(), "{name}: figures");
    let differences = found.iter().zip(&expected).map(|(a, b)| (a - b).abs() / b.abs().max(1.0));
    // Unlike `max`, a sum of NaN is NaN.
    let (largest, sum) = differences.fold((0.0, 0.0), |(max, sum): (f64, f64), d| (max.max(d), sum + d));
    eprintln!("{name}: {} figures, largest difference {largest:.1e}", found.len());
    assert!(largest <= TOLERANCE && sum.is_finite(), "{name}: {found:?}\non the CPU: {expected:?}");
}

fn adapter() -> Option<Device> {
    match DeviceChoice::WebGpu.open() {
        Ok(device) => {
            let name = device.identity().map_or_else(|| "an adapter without a name".into(), |it| it.name);
            eprintln!("adapter: {name}");
            Some(device)
        }
        Err(DeviceError::NoAdapter) => {
            eprintln!("skipped: wgpu finds no adapter; a software one is in Debian's mesa-vulkan-drivers");
            None
        }
        Err(error) => panic!("{error}"),
    }
}
