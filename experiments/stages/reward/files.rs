//! Reading and writing the stage's files.

use crate::run::context::StageContext;
use anyhow::Context as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;

pub(super) fn write(stage: &StageContext, file: &str, bytes: &[u8]) -> anyhow::Result<()> {
    let path = stage.path(file);
    std::fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

pub(super) fn write_json(stage: &StageContext, file: &str, value: &impl Serialize) -> anyhow::Result<()> {
    write(stage, file, &serde_json::to_vec_pretty(value)?)
}

pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&bytes)
        .with_context(|| format!("{} is not what this stage writes", path.display()))
}
