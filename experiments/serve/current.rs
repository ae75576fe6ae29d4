//! The bundle that answers now. Replacing it takes effect from the next batch on; what is being answered keeps the old one.

use super::metrics::Metrics;
use crate::export::bundle::Bundle;
use crate::export::verify::verified;
use burn::prelude::Device;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// A directory and what was last loaded from it.
pub struct Current {
    dir: PathBuf,
    device: Device,
    bundle: RwLock<Arc<Bundle>>,
    reloading: Mutex<()>,
}

/// Why a directory was not loaded again.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// Somebody else is loading it.
    #[error("it is being loaded already")]
    Busy,
    /// It does not verify; the old one goes on answering.
    #[error("{0:#}")]
    Refused(anyhow::Error),
}

impl Current {
    /// Verifies and loads a directory.
    ///
    /// # Errors
    /// It is not an exported directory, or does not verify.
    pub fn load(dir: &Path, device: &Device) -> anyhow::Result<Self> {
        let bundle = RwLock::new(Arc::new(verified(dir, device)?));
        Ok(Self { dir: dir.to_owned(), device: device.clone(), bundle, reloading: Mutex::new(()) })
    }

    /// The bundle that answers now.
    pub fn get(&self) -> Arc<Bundle> {
        // A poisoned lock holds a whole bundle: it is written by one assignment.
        self.bundle.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Verifies the directory again, and lets what it holds now answer. Takes as long as loading; answers go on meanwhile.
    ///
    /// # Errors
    /// [`ReloadError`]; the old bundle stays.
    pub fn reload(&self, metrics: &Metrics) -> Result<(), ReloadError> {
        let Ok(_guard) = self.reloading.try_lock() else { return Err(ReloadError::Busy) };
        let outcome = verified(&self.dir, &self.device);
        metrics.reloaded(&outcome);
        let bundle = Arc::new(outcome.map_err(ReloadError::Refused)?);
        *self.bundle.write().unwrap_or_else(PoisonError::into_inner) = bundle;
        Ok(())
    }
}
