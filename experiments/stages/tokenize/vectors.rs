//! Which vectors are quantised.

use crate::config::{Tokenize, Vectors};
use crate::data::Dataset;
use crate::run::context::StageContext;
use anyhow::Context as _;
use policy::collaborative::Parts;
use policy::embeddings::Embeddings;
use std::borrow::Cow;

/// One vector per item, as `[tokenize] vectors` says; only training histories are read for it.
///
/// # Errors
/// If the training histories show nothing of which items belong together, or the run is interrupted.
pub(super) fn choose<'a>(
    config: &Tokenize,
    dataset: &'a Dataset,
    ctx: &StageContext,
) -> anyhow::Result<Cow<'a, Embeddings>> {
    if config.vectors == Vectors::Text {
        return Ok(Cow::Borrowed(&dataset.embeddings));
    }
    let (log, text, settings) = (&dataset.log, &dataset.embeddings, &config.collaborative);
    let parts = Parts::of(log, text, settings, ctx.key().named("vectors"))
        .context("tokenize: no collaborative vectors from this log")?;
    ctx.check_stop()?;
    let unknown = parts.known.iter().filter(|known| !**known).count();
    tracing::info!(
        "collaborative vectors, width {}; {unknown} items from their text",
        parts.collaborative.width()
    );
    Ok(Cow::Owned(match config.vectors {
        Vectors::Text | Vectors::Collaborative => parts.collaborative,
        Vectors::Fused => parts.fused(settings.weight),
    }))
}
