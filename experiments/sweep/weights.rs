//! The size of a policy, from the header of its checkpoint.

use anyhow::Context as _;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// Entry of the header that is no tensor.
const METADATA: &str = "__metadata__";

/// Weights in `model.safetensors` of a stage directory. The file starts with the length of its header, 8 bytes, and the
/// header, JSON.
pub(super) fn count(dir: &Path) -> anyhow::Result<u64> {
    let path = dir.join("model.safetensors");
    let header = header(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let tensors: BTreeMap<String, Value> = serde_json::from_slice(&header)
        .with_context(|| format!("{} is not a safetensors file", path.display()))?;
    let shapes = tensors.iter().filter(|(name, _)| *name != METADATA).map(|(_, tensor)| &tensor["shape"]);
    let size = |shape: &Value| shape.as_array()?.iter().map(Value::as_u64).product::<Option<u64>>();
    let sizes: Option<u64> = shapes.map(size).sum();
    sizes.with_context(|| format!("{} has a tensor without a shape", path.display()))
}

fn header(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let mut length = [0; 8];
    file.read_exact(&mut length)?;
    let mut header = Vec::new();
    file.take(u64::from_le_bytes(length)).read_to_end(&mut header)?;
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_counted_over_all_tensors() {
        let dir = tempfile::tempdir().unwrap();
        let header = r#"{"__metadata__":{"format":"pt"},"a":{"shape":[2,3]},"b":{"shape":[]}}"#;
        let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 28]].concat();
        std::fs::write(dir.path().join("model.safetensors"), bytes).unwrap();
        assert_eq!(count(dir.path()).unwrap(), 7);
        std::fs::write(dir.path().join("model.safetensors"), "short").unwrap();
        assert!(format!("{:#}", count(dir.path()).unwrap_err()).contains("model.safetensors"));
    }
}
