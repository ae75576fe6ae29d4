//! A judge's weights as safetensors, named by their place in the model (`attention.query`, `heads.0.hidden.weight`).

use crate::session::model::{SessionModel, SessionModelConfig};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::prelude::*;
use burn::tensor::TensorData;
use policy::random::Key;
use safetensors::tensor::{Dtype, SafeTensorError, SafeTensors, TensorView};
use std::collections::BTreeMap;
use thiserror::Error;

/// Bytes that are not the weights of a judge.
#[derive(Debug, Error)]
pub enum WeightsError {
    /// Not a complete safetensors file.
    #[error("not a complete safetensors file")]
    Format(#[from] SafeTensorError),
    /// The tensors do not fit the judge's sizes.
    #[error("the tensors do not fit the judge: {}", .0.join("; "))]
    Tensors(Vec<String>),
}

/// The weights of a model.
///
/// # Errors
/// If they cannot be laid out as safetensors.
pub fn to_bytes(model: &SessionModel) -> Result<Vec<u8>, WeightsError> {
    let mut collector = Collector::default();
    model.visit(&mut collector);
    let views = collector.tensors.iter().map(|(name, (shape, bytes))| {
        TensorView::new(Dtype::F32, shape.clone(), bytes).map(|view| (name.clone(), view))
    });
    Ok(safetensors::serialize(views.collect::<Result<Vec<_>, _>>()?, None)?)
}

/// The model of these weights.
///
/// # Errors
/// If the bytes are damaged, or a tensor is missing, unknown, of another shape or type, or not finite.
pub fn from_bytes(
    bytes: &[u8],
    config: &SessionModelConfig,
    device: &Device,
) -> Result<SessionModel, WeightsError> {
    let tensors = SafeTensors::deserialize(bytes)?;
    let mut loader = Loader { tensors: &tensors, path: Vec::new(), seen: 0, problems: Vec::new() };
    let model = SessionModel::new(config, Key::new(0), device).map(&mut loader);
    let Loader { seen, mut problems, .. } = loader;
    if problems.is_empty() && seen != tensors.len() {
        problems.push(format!("{} tensors where the judge has {seen}", tensors.len()));
    }
    if problems.is_empty() { Ok(model) } else { Err(WeightsError::Tensors(problems)) }
}

#[derive(Default)]
struct Collector {
    path: Vec<String>,
    tensors: BTreeMap<String, (Vec<usize>, Vec<u8>)>,
}

impl ModuleVisitor for Collector {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_string());
    }
    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let values = param.val().into_data().iter::<f32>().flat_map(f32::to_le_bytes).collect();
        self.tensors.insert(self.path.join("."), (param.dims().to_vec(), values));
    }
}

struct Loader<'a> {
    tensors: &'a SafeTensors<'a>,
    path: Vec<String>,
    seen: usize,
    problems: Vec<String>,
}

impl Loader<'_> {
    fn values(&self, shape: &[usize]) -> Result<Vec<f32>, String> {
        let name = self.path.join(".");
        let view = self.tensors.tensor(&name).map_err(|_| format!("{name} is missing"))?;
        if view.shape() != shape || view.dtype() != Dtype::F32 {
            return Err(format!("{name} is {:?} {:?}, expected F32 {shape:?}", view.dtype(), view.shape()));
        }
        let (chunks, _) = view.data().as_chunks::<4>();
        let values: Vec<f32> = chunks.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        match values.iter().position(|value| !value.is_finite()) {
            Some(at) => Err(format!("{name} holds {} at position {at}", values[at])),
            None => Ok(values),
        }
    }
}

impl ModuleMapper for Loader<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_string());
    }
    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
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

    fn config() -> SessionModelConfig {
        SessionModelConfig { features: 3, signals: 2, width: 4, history_items: 5, heads: 2 }
    }
    fn bytes() -> Vec<u8> {
        to_bytes(&SessionModel::new(&config(), Key::new(1), &Device::flex())).unwrap()
    }
    fn problem(bytes: &[u8], config: &SessionModelConfig) -> String {
        from_bytes(bytes, config, &Device::flex()).unwrap_err().to_string()
    }

    #[test]
    fn weights_survive_the_round_trip_bit_for_bit() {
        let loaded = from_bytes(&bytes(), &config(), &Device::flex()).unwrap();
        assert_eq!(to_bytes(&loaded).unwrap(), bytes());
    }

    #[test]
    fn damage_is_named() {
        assert_eq!(problem(&bytes()[..100], &config()), "not a complete safetensors file");
        let wider = SessionModelConfig { features: 7, ..config() };
        let found = problem(&bytes(), &wider);
        assert!(found.contains("item.hidden.weight is F32 [3, 4], expected F32 [7, 4]"), "{found}");
        let more = SessionModelConfig { heads: 3, ..config() };
        assert!(problem(&bytes(), &more).contains("heads.2.hidden.weight is missing"));
        let fewer = SessionModelConfig { heads: 1, ..config() };
        assert!(problem(&bytes(), &fewer).contains("tensors where the judge has"));
    }

    #[test]
    fn a_weight_that_is_not_finite_is_named() {
        let mut bytes = bytes();
        let end = bytes.len();
        bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
        let found = problem(&bytes, &config());
        assert!(found.contains("holds NaN at position"), "{found}");
    }
}
