//! A module's weights as safetensors: named by their place in the module, checked on the way back.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::prelude::*;
use burn::tensor::TensorData;
use safetensors::tensor::{Dtype, SafeTensorError, SafeTensors, TensorView};
use std::collections::{BTreeMap, HashMap};
use thiserror::Error;

/// Bytes that are not the weights of a module.
#[derive(Debug, Error)]
pub enum WeightsError {
    /// Truncated, or not safetensors.
    #[error("not a complete safetensors file")]
    Format(#[from] SafeTensorError),
    /// The tensors are not the module's: every one that is named twice, missing, of another shape or type, or not finite.
    #[error("the tensors do not fit: {}", .0.join("; "))]
    Tensors(Vec<String>),
}

/// The name in the file of the parameter at a path of field names.
pub type Naming = fn(&[String]) -> String;

/// The path as it is: `block.0.weight`.
pub fn dotted(path: &[String]) -> String {
    path.join(".")
}

/// The weights of a module, tensors in the order of their names.
///
/// # Errors
/// If two parameters get one name, or a value is not finite: [`from_bytes`] would refuse it.
pub fn to_bytes<M: Module>(module: &M, naming: Naming) -> Result<Vec<u8>, WeightsError> {
    let mut collector =
        Collector { path: Vec::new(), naming, tensors: BTreeMap::new(), problems: Vec::new() };
    module.visit(&mut collector);
    if !collector.problems.is_empty() {
        return Err(WeightsError::Tensors(collector.problems));
    }
    let views = collector.tensors.iter().map(|(name, (shape, bytes))| {
        TensorView::new(Dtype::F32, shape.clone(), bytes).map(|view| (name.clone(), view))
    });
    // transformers refuses files without this entry.
    let metadata = HashMap::from([("format".to_string(), "pt".to_string())]);
    Ok(safetensors::serialize(views.collect::<Result<Vec<_>, _>>()?, Some(metadata))?)
}

/// `module` with the weights of [`to_bytes`], or with the same in bfloat16, which are widened.
///
/// # Errors
/// If the bytes are damaged, or a tensor is missing, unknown, of another shape or type, or not finite.
pub fn from_bytes<M: Module>(module: M, bytes: &[u8], naming: Naming) -> Result<M, WeightsError> {
    let tensors = SafeTensors::deserialize(bytes)?;
    let mut loader = Loader { tensors: &tensors, path: Vec::new(), naming, seen: 0, problems: Vec::new() };
    let module = module.map(&mut loader);
    let Loader { seen, mut problems, .. } = loader;
    if problems.is_empty() && seen != tensors.len() {
        problems.push(format!("{} tensors where {seen} are expected", tensors.len()));
    }
    if problems.is_empty() { Ok(module) } else { Err(WeightsError::Tensors(problems)) }
}

/// A bfloat16 as a float: its upper half.
fn widened(bytes: [u8; 2]) -> f32 {
    f32::from_bits(u32::from(u16::from_le_bytes(bytes)) << 16)
}

/// Whether a part is the variant of an enum: which one it is, is for `config.json` to say, not for names.
fn is_enum(container: &str) -> bool {
    container.starts_with("Enum:")
}

struct Collector {
    path: Vec<String>,
    naming: Naming,
    tensors: BTreeMap<String, (Vec<usize>, Vec<u8>)>,
    problems: Vec<String>,
}

impl ModuleVisitor for Collector {
    fn enter_module(&mut self, name: &str, container: &str) {
        if !is_enum(container) {
            self.path.push(name.to_string());
        }
    }
    fn exit_module(&mut self, _: &str, container: &str) {
        if !is_enum(container) {
            self.path.pop();
        }
    }
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let name = (self.naming)(&self.path);
        let data = param.val().into_data();
        if let Some(at) = data.iter::<f32>().position(|value| !value.is_finite()) {
            self.problems.push(format!("{name} is not finite at position {at}"));
        }
        let values = data.iter::<f32>().flat_map(f32::to_le_bytes).collect();
        if self.tensors.insert(name.clone(), (param.dims().to_vec(), values)).is_some() {
            self.problems.push(format!("{name} names two parameters"));
        }
    }
}

struct Loader<'a> {
    tensors: &'a SafeTensors<'a>,
    path: Vec<String>,
    naming: Naming,
    seen: usize,
    problems: Vec<String>,
}

impl Loader<'_> {
    fn values(&self, shape: &[usize]) -> Result<Vec<f32>, String> {
        let name = (self.naming)(&self.path);
        let view = self.tensors.tensor(&name).map_err(|_| format!("{name} is missing"))?;
        let (dtype, data) = (view.dtype(), view.data());
        if view.shape() != shape || !matches!(dtype, Dtype::F32 | Dtype::BF16) {
            return Err(format!("{name} is {dtype:?} {:?}, expected F32 {shape:?}", view.shape()));
        }
        let values: Vec<f32> = if dtype == Dtype::BF16 {
            data.as_chunks::<2>().0.iter().map(|bytes| widened(*bytes)).collect()
        } else {
            data.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
        };
        match values.iter().position(|value| !value.is_finite()) {
            Some(at) => Err(format!("{name} holds {} at position {at}", values[at])),
            None => Ok(values),
        }
    }
}

impl ModuleMapper for Loader<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        if !is_enum(container) {
            self.path.push(name.to_string());
        }
    }
    fn exit_module(&mut self, _: &str, container: &str) {
        if !is_enum(container) {
            self.path.pop();
        }
    }
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        self.seen += 1;
        let shape = param.dims();
        match self.values(&shape) {
            Ok(values) => param.map(|old| {
                let tensor = Tensor::from_data(TensorData::new(values, shape), &old.device());
                tensor.set_require_grad(old.is_require_grad())
            }),
            Err(problem) => {
                self.problems.push(problem);
                param
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    /// 1.0, -2.5 and the smallest positive bfloat16, by the format's definition.
    #[test]
    fn a_bfloat16_is_the_upper_half_of_a_float() {
        for (bits, value) in [(0x3f80, 1.0), (0xc020, -2.5), (0x0001, f32::from_bits(0x1_0000))] {
            assert_eq!(widened(u16::to_le_bytes(bits)).to_bits(), f32::to_bits(value));
        }
    }

    #[test]
    fn two_parameters_of_one_name_are_refused() {
        let error = to_bytes(&testing::model(&Device::flex()), |_| "same".into()).unwrap_err();
        assert!(error.to_string().contains("same names two parameters"), "{error}");
    }
}
