//! JSON that shows when it was changed: its last key is the hash of everything before it.

use super::{hash, to_json};
use anyhow::Context as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

const SEAL: &str = "seal";

/// Why a sealed file cannot be believed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    /// Not JSON, or not of the expected form.
    #[error("it is damaged ({0})")]
    Form(#[from] serde_json::Error),
    /// Its content is not what was sealed.
    #[error("it has changed since it was written (its seal does not fit)")]
    Seal,
}

/// `value`, an object, as pretty JSON with its seal.
///
/// # Errors
/// If it is no object or has no JSON form.
pub(crate) fn seal(value: &impl Serialize) -> anyhow::Result<Vec<u8>> {
    let mut value = serde_json::to_value(value).context("cannot write JSON")?;
    let seal = hash::of_bytes(&to_json(&value)?);
    value.as_object_mut().context("only objects are sealed")?.insert(SEAL.into(), seal.into());
    to_json(&value)
}

/// What was sealed. Files of versions without seals are taken as they are.
///
/// # Errors
/// [`Broken`].
pub(crate) fn unseal<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Broken> {
    let mut value: Value = serde_json::from_slice(bytes)?;
    let seal = value.as_object_mut().and_then(|object| object.remove(SEAL));
    if let Some(seal) = seal
        && to_json(&value).is_ok_and(|json| seal != hash::of_bytes(&json))
    {
        return Err(Broken::Seal);
    }
    Ok(serde_json::from_value(value)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn every_change_of_a_bit_is_noticed_or_changes_nothing() {
        let value = BTreeMap::from([("seconds", 0.1), ("z", 1e-300), ("bytes", 12.0)]);
        let sealed = seal(&value).unwrap();
        let read = |bytes: &[u8]| unseal::<BTreeMap<String, f64>>(bytes).ok();
        let original = read(&sealed).unwrap();
        for position in 0..8 * sealed.len() {
            let mut mutant = sealed.clone();
            mutant[position / 8] ^= 1 << (position % 8);
            assert!(read(&mutant).is_none_or(|found| found == original), "bit {position}");
        }
    }
}
