//! Which vectors are quantised.

use crate::config::{Tokenize, Vectors};
use crate::data::Dataset;
use crate::run::context::StageContext;
use anyhow::Context as _;
use policy::collaborative::Parts;
use policy::collaborative::contrastive::{ContrastiveConfig, Fusion, FusionStep};
use policy::collaborative::counts::CoOccurrence;
use policy::embeddings::Embeddings;
use policy::random::Key;
use std::borrow::Cow;

/// What the quantiser is given.
pub(super) struct Chosen<'a> {
    /// One vector per item: what is quantised.
    pub(super) vectors: Cow<'a, Embeddings>,
    /// One collaborative vector per item, where the quantiser asks for them.
    pub(super) collaborative: Option<Embeddings>,
}

/// One vector per item, as `[tokenize] vectors` says; of the histories, only what `counts` tells of their training items.
///
/// # Errors
/// If the training histories show nothing of which items belong together, the fusion does not train, or the run is
/// interrupted.
pub(super) fn choose<'a>(
    config: &Tokenize,
    (dataset, counts): (&'a Dataset, &CoOccurrence),
    ctx: &StageContext,
) -> anyhow::Result<Chosen<'a>> {
    let asked = config.quantization().needs_collaborative();
    if config.vectors == Vectors::Text && !asked {
        return Ok(Chosen { vectors: Cow::Borrowed(&dataset.embeddings), collaborative: None });
    }
    let (text, settings) = (&dataset.embeddings, &config.collaborative);
    let key = ctx.key().named("vectors");
    let parts =
        Parts::of(counts, text, settings, key).context("tokenize: no collaborative vectors from this log")?;
    ctx.check_stop()?;
    let unknown = parts.known.iter().filter(|known| !**known).count();
    tracing::info!(
        "collaborative vectors, width {}; {unknown} items from their text",
        parts.collaborative.width()
    );
    let collaborative = asked.then(|| parts.collaborative.clone());
    let vectors = match config.vectors {
        Vectors::Text => Cow::Borrowed(text),
        Vectors::Collaborative => Cow::Owned(parts.collaborative),
        Vectors::Fused => Cow::Owned(parts.fused(settings.weight)),
        Vectors::Aligned => Cow::Owned(aligned(&parts, &config.contrastive, key.named("contrastive"), ctx)?),
    };
    Ok(Chosen { vectors, collaborative })
}

/// Trains the fusion; its curve is among the run's metrics.
fn aligned(
    parts: &Parts,
    config: &ContrastiveConfig,
    key: Key,
    ctx: &StageContext,
) -> anyhow::Result<Embeddings> {
    let mut fusion = Fusion::new(parts, config, key, ctx.device());
    let progress = ctx.progress("fusion steps", fusion.total_steps());
    while let Some(FusionStep { step, learning_rate, report }) =
        fusion.step().context("tokenize: training the fusion of text and co-occurrence broke down")?
    {
        ctx.check_stop()?;
        ctx.metric(step, "loss", report.loss)?;
        ctx.metric(step, "grad_norm", report.grad_norm)?;
        ctx.metric(step, "learning_rate", learning_rate)?;
        progress.inc(1);
    }
    Ok(fusion.vectors())
}
