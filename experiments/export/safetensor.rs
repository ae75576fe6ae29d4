//! Small safetensors files: tensors of whole numbers and floats, written in the order of their names.

use crate::run::commit;
use anyhow::{Context as _, ensure};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// Tensors by name, while a file is put together.
#[derive(Default)]
pub(super) struct Tensors(BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>);

impl Tensors {
    /// Adds whole numbers.
    pub(super) fn integers(&mut self, name: &str, shape: &[usize], values: impl IntoIterator<Item = i64>) {
        let bytes = values.into_iter().flat_map(i64::to_le_bytes).collect();
        self.0.insert(name.into(), (Dtype::I64, shape.to_vec(), bytes));
    }
    /// Adds floats.
    pub(super) fn floats(&mut self, name: &str, shape: &[usize], values: impl IntoIterator<Item = f32>) {
        let bytes = values.into_iter().flat_map(f32::to_le_bytes).collect();
        self.0.insert(name.into(), (Dtype::F32, shape.to_vec(), bytes));
    }
    /// Writes the file. `format` is there for readers of the Hugging Face family.
    pub(super) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let views = self.0.iter().map(|(name, (dtype, shape, bytes))| {
            TensorView::new(*dtype, shape.clone(), bytes).map(|view| (name, view))
        });
        let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        let bytes = views
            .collect::<Result<Vec<_>, _>>()
            .and_then(|views| safetensors::serialize(views, Some(metadata)))
            .with_context(|| format!("cannot encode {}", path.display()))?;
        commit::write_file(path, &bytes)
    }
}

/// A file's tensors, checked as they are asked for.
pub(super) struct File<'a>(SafeTensors<'a>);

impl<'a> File<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> anyhow::Result<Self> {
        Ok(Self(SafeTensors::deserialize(bytes)?))
    }
    pub(super) fn integers(&self, name: &str) -> anyhow::Result<Vec<i64>> {
        let view = self.view(name, Dtype::I64)?;
        Ok(view.data().as_chunks::<8>().0.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect())
    }
    pub(super) fn floats(&self, name: &str) -> anyhow::Result<Vec<f32>> {
        let view = self.view(name, Dtype::F32)?;
        Ok(view.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
    }
    fn view(&self, name: &str, dtype: Dtype) -> anyhow::Result<TensorView<'_>> {
        let view = self.0.tensor(name).with_context(|| format!("there is no tensor {name}"))?;
        ensure!(view.dtype() == dtype, "tensor {name} is {:?}, expected {dtype:?}", view.dtype());
        Ok(view)
    }
}
