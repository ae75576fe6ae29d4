//! Codebooks read back, to give codes to items that come later.

use super::artifact::read_info;
use anyhow::{Context as _, bail, ensure};
use policy::catalog::Catalog;
use policy::embeddings::Embeddings;
use policy::ids::{Code, SemanticId};
use policy::quantize::learned::{Autoencoder, Dense};
use policy::quantize::{NewItems, Normalize, Quantized};
use safetensors::SafeTensors;
use safetensors::tensor::Dtype;
use std::path::Path;

/// What gives codes to items that come later.
#[derive(Clone, Debug)]
pub struct Fitted {
    /// The codebooks, and the codes that items have of them, a collision digit left out. `residuals` is not stored: empty.
    pub quantized: Quantized,
    /// What is done to vectors first.
    pub normalize: Normalize,
    /// The rule.
    pub new_items: NewItems,
}

impl Fitted {
    /// Reads the codebooks under the catalog that was made with them.
    ///
    /// # Errors
    /// If the file is missing or damaged, or is of another catalog.
    pub fn read(codebooks: &Path, catalog: &Catalog) -> anyhow::Result<Self> {
        let read = || -> anyhow::Result<Self> {
            let info = read_info(codebooks)?;
            let bytes = std::fs::read(codebooks)?;
            let quantized = read_quantized(&SafeTensors::deserialize(&bytes)?, catalog)?;
            Ok(Self { quantized, normalize: info.normalize, new_items: info.new_items })
        };
        read().with_context(|| format!("cannot read the codebooks of {}", codebooks.display()))
    }

    /// Values of a vector.
    pub fn width(&self) -> usize {
        let encoder = self.quantized.autoencoder.as_ref().and_then(|autoencoder| autoencoder.encoder.first());
        encoder.map_or(self.quantized.codebooks[0].width(), |layer| layer.weight.width())
    }
}

fn read_quantized(file: &SafeTensors<'_>, catalog: &Catalog) -> anyhow::Result<Quantized> {
    let has = |name: &str| file.tensor(name).is_ok();
    let levels = (0..).map(|level| format!("level_{level}")).take_while(|name| has(name));
    let codebooks = levels.map(|name| matrix(file, &name)).collect::<anyhow::Result<Vec<_>>>()?;
    let encodes = has("encoder.0.weight");
    let autoencoder = encodes.then(|| read_autoencoder(file)).transpose()?;
    let digits = catalog.levels().checked_sub(codebooks.len());
    ensure!(!codebooks.is_empty() && matches!(digits, Some(0 | 1)), "the codebooks are of another catalog");
    let encoded = autoencoder.as_ref().and_then(|autoencoder| autoencoder.encoder.last());
    let width = encoded.map_or(codebooks[0].width(), |layer| layer.bias.len());
    for (codebook, size) in codebooks.iter().zip(catalog.level_sizes()) {
        ensure!(codebook.rows() == *size, "a codebook has {} codes, the catalog {size}", codebook.rows());
        ensure!(codebook.width() == width, "the codebooks have different widths");
    }
    let codes = |id: &SemanticId| -> Vec<Code> { id.codes()[..codebooks.len()].to_vec() };
    let codes = catalog.semantic_ids().iter().map(codes).collect();
    Ok(Quantized { codes, codebooks, residuals: Vec::new(), autoencoder })
}

fn read_autoencoder(file: &SafeTensors<'_>) -> anyhow::Result<Autoencoder> {
    let half = |half: &str| {
        let names = (0..).map(|at| format!("{half}.{at}"));
        let names = names.take_while(|name| file.tensor(&format!("{name}.weight")).is_ok());
        let layer = |name: String| -> anyhow::Result<Dense> {
            let weight = matrix(file, &format!("{name}.weight"))?;
            let bias = values(file, &format!("{name}.bias"))?.1;
            ensure!(
                bias.len() == weight.rows(),
                "{name} has {} biases for {} rows",
                bias.len(),
                weight.rows()
            );
            Ok(Dense { weight, bias })
        };
        let layers = names.map(layer).collect::<anyhow::Result<Vec<_>>>()?;
        let fits = layers.windows(2).all(|pair| pair[0].bias.len() == pair[1].weight.width());
        ensure!(fits, "the layers of the {half} do not fit each other");
        Ok(layers)
    };
    Ok(Autoencoder { encoder: half("encoder")?, decoder: half("decoder")? })
}

fn matrix(file: &SafeTensors<'_>, name: &str) -> anyhow::Result<Embeddings> {
    match values(file, name)? {
        (shape, values) if shape.len() == 2 && !values.is_empty() => Ok(Embeddings::new(shape[1], values)),
        (shape, _) => bail!("tensor {name} has shape {shape:?}, expected rows of values"),
    }
}

fn values(file: &SafeTensors<'_>, name: &str) -> anyhow::Result<(Vec<usize>, Vec<f32>)> {
    let view = file.tensor(name)?;
    ensure!(view.dtype() == Dtype::F32, "tensor {name} is {:?}, expected F32", view.dtype());
    let values: Vec<f32> =
        view.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    ensure!(values.iter().all(|value| value.is_finite()), "tensor {name} has a value that is not finite");
    Ok((view.shape().to_vec(), values))
}
