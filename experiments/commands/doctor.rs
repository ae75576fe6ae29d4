//! `recalign doctor`.

use super::exit::CheckFailed;
use super::output::print;
use crate::device::DeviceChoice;
use burn::tensor::{Tensor, TensorData};
use std::panic::{AssertUnwindSafe, catch_unwind};

pub(super) fn doctor(device: DeviceChoice) -> anyhow::Result<()> {
    let threads =
        std::thread::available_parallelism().map_or_else(|error| error.to_string(), |n| n.to_string());
    let features = [("cuda", cfg!(feature = "cuda")), ("webgpu", cfg!(feature = "webgpu"))];
    let features: Vec<_> = features.iter().filter(|(_, on)| *on).map(|(name, _)| *name).collect();
    let features = if features.is_empty() { "none (cpu only)".to_owned() } else { features.join(", ") };
    let debug = if cfg!(debug_assertions) { " (debug build: training is slow, use --release)" } else { "" };
    print(&format!(
        "recalign {version}{debug}\nmachine   {os} {arch}, {memory}\nthreads   {threads}\nfeatures  {features}\n",
        version = env!("CARGO_PKG_VERSION"),
        os = std::env::consts::OS,
        arch = std::env::consts::ARCH,
        memory = memory(),
    ))?;
    check(device)?;
    print(&format!("device    {device}: ok\n"))
}

/// Total memory, where the system tells it in a file.
fn memory() -> String {
    let info = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib =
        info.lines().find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse().ok());
    kib.map_or_else(
        || "memory unknown".into(),
        |kib: f64| format!("{:.1} GiB memory", kib / f64::from(1 << 20)),
    )
}

/// Multiplies two small matrices on the device and compares with the known product.
fn check(choice: DeviceChoice) -> anyhow::Result<()> {
    let device = choice.open()?;
    // A GPU that is compiled in but not there makes burn panic at the first tensor.
    let product = catch_unwind(AssertUnwindSafe(|| {
        let left = Tensor::<2>::from_data(TensorData::from([[1.0f32, 2.0], [3.0, 4.0]]), &device);
        let right = Tensor::<2>::from_data(TensorData::from([[5.0f32, 6.0], [7.0, 8.0]]), &device);
        left.matmul(right).into_data().iter::<f32>().collect::<Vec<_>>()
    }));
    match product {
        Ok(values) if values == [19.0, 22.0, 43.0, 50.0] => Ok(()),
        Ok(values) => Err(CheckFailed(format!("device {choice} multiplies wrongly: {values:?}")).into()),
        Err(_) => Err(anyhow::anyhow!("device {choice} is compiled in but does not work on this machine")),
    }
}
