//! Other trackers: curves from them, runs to them.

use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// `recalign import`.
#[derive(Args, Clone, Debug)]
pub struct ImportArgs {
    /// The tracker that the file is of
    #[arg(value_enum)]
    pub tool: ImportTool,
    /// W&B's offline run-ID.wandb, or a history as JSON lines, JSON, CSV or Parquet
    pub file: PathBuf,
    /// Run directory to make
    #[arg(long, value_name = "DIR")]
    pub to: PathBuf,
    /// Which run of the file, where it has several; the name of the imported run
    #[arg(long, value_name = "NAME")]
    pub run: Option<String>,
    /// The stage that the curves belong to: pretrain, or align-ARM-ROUND
    #[arg(long, default_value = "align-imported-1", value_name = "STAGE", value_parser = curve_stage)]
    pub stage: String,
}

fn curve_stage(text: &str) -> Result<String, String> {
    let arm =
        reports::arm::ArmStage::parse(text).is_some_and(|stage| stage.phase == reports::arm::Phase::Align);
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if plain && (arm || text == "pretrain") {
        return Ok(text.to_owned());
    }
    Err("write pretrain, or align-ARM-ROUND, for example align-grpo-1".into())
}

/// A tracker whose files are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ImportTool {
    /// Weights & Biases: its offline file, or a history or chart that it exported
    Wandb,
    /// trackio: its database `PROJECT.db`, its Parquet export, or the JSON of `trackio get metric`
    Trackio,
}

impl std::fmt::Display for ImportTool {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Wandb => "wandb",
            Self::Trackio => "trackio",
        })
    }
}

/// `recalign publish`.
#[derive(Args, Clone, Debug)]
pub struct PublishArgs {
    /// The tracker
    #[arg(value_enum)]
    pub tool: PublishTool,
    /// Run directory; only read
    pub run: PathBuf,
    /// Where its server listens: `http://HOST:PORT`
    #[arg(long, value_name = "URL")]
    pub url: String,
    /// The experiment that the run becomes a part of; made if it does not exist
    #[arg(long, default_value = "recalign", value_name = "NAME")]
    pub experiment: String,
}

/// A tracker that runs are sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PublishTool {
    /// `MLflow`, by REST
    Mlflow,
}
