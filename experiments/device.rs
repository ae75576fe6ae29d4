//! Where tensors live, chosen at run time: `cpu | cuda:N | webgpu`.

use burn::prelude::Device;
use std::fmt;
use std::str::FromStr;

/// A device by its name on the command line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The processor, all cores.
    #[default]
    Cpu,
    /// An NVIDIA GPU by number.
    Cuda(usize),
    /// The default GPU through wgpu: Vulkan, Metal, Direct3D 12 or OpenGL.
    WebGpu,
}

/// Why a device cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// Not a device's name.
    #[error("`{0}` is not a device; use cpu, cuda:N (N = 0, 1, ...) or webgpu")]
    Unknown(String),
    /// This binary was built without it.
    #[error(
        "device {device} is not in this build; build again with `cargo build --release --features {feature}`"
    )]
    NotCompiled {
        /// The device.
        device: DeviceChoice,
        /// The cargo feature that brings it.
        feature: &'static str,
    },
    /// wgpu finds no GPU, not even one in software.
    #[error("device webgpu: wgpu finds no adapter; is a Vulkan driver installed?")]
    NoAdapter,
}

impl FromStr for DeviceChoice {
    type Err = DeviceError;
    fn from_str(name: &str) -> Result<Self, DeviceError> {
        let unknown = || DeviceError::Unknown(name.into());
        match name.split_once(':') {
            None if name == "cpu" => Ok(Self::Cpu),
            None if name == "webgpu" => Ok(Self::WebGpu),
            Some(("cuda", index)) => index.parse().map(Self::Cuda).map_err(|_| unknown()),
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
            Self::WebGpu => f.write_str("webgpu"),
        }
    }
}

impl DeviceChoice {
    /// The device, without autodiff.
    ///
    /// # Errors
    /// [`DeviceError::NotCompiled`], [`DeviceError::NoAdapter`]. A CUDA GPU that is compiled in but not there fails at
    /// the first tensor.
    pub fn open(self) -> Result<Device, DeviceError> {
        match self {
            Self::Cpu => Ok(Device::flex()),
            #[cfg(feature = "cuda")]
            Self::Cuda(index) => Ok(Device::cuda(index)),
            #[cfg(feature = "webgpu")]
            Self::WebGpu => default_adapter(),
            #[cfg(not(feature = "cuda"))]
            Self::Cuda(_) => Err(DeviceError::NotCompiled { device: self, feature: "cuda" }),
            #[cfg(not(feature = "webgpu"))]
            Self::WebGpu => Err(DeviceError::NotCompiled { device: self, feature: "webgpu" }),
        }
    }
}

/// `Device::webgpu` would ask for a browser's API, which a native program does not have; `Device::wgpu` takes the
/// first of Vulkan, Metal, Direct3D 12 and OpenGL that has an adapter.
#[cfg(feature = "webgpu")]
fn default_adapter() -> Result<Device, DeviceError> {
    use burn::prelude::DeviceKind;
    use burn::tensor::DeviceType;
    if Device::enumerate(DeviceType::Wgpu).is_empty() {
        return Err(DeviceError::NoAdapter);
    }
    Ok(Device::wgpu(DeviceKind::DefaultDevice))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_names_read_back_as_they_print() {
        for device in [DeviceChoice::Cpu, DeviceChoice::Cuda(3), DeviceChoice::WebGpu] {
            assert_eq!(device.to_string().parse(), Ok(device));
        }
    }

    #[test]
    fn what_is_not_a_device_is_refused_by_name() {
        for name in ["gpu", "cuda", "cuda:", "cuda:x", "cpu:0", ""] {
            assert_eq!(name.parse::<DeviceChoice>(), Err(DeviceError::Unknown(name.into())));
        }
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_device_outside_the_build_names_the_feature_that_brings_it() {
        let error = DeviceChoice::Cuda(0).open().unwrap_err();
        assert!(error.to_string().contains("--features cuda"), "{error}");
    }
}
