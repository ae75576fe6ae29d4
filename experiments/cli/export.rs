//! Handing policies over.

use crate::export::Precision;
use crate::export::Requests;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// `recalign export`.
#[derive(Args, Clone, Debug)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct ExportArgs {
    /// Something about a directory that was exported, instead of exporting
    #[command(subcommand)]
    pub exported: Option<Exported>,
    /// Run directory
    #[arg(required = true)]
    pub run: Option<PathBuf>,
    /// Directory to make; it must not exist or be empty
    #[arg(long, required = true, value_name = "DIR")]
    pub to: Option<PathBuf>,
    /// Which policy: pretrained or an arm's name [default: the only one]
    #[arg(long, value_name = "POLICY")]
    pub policy: Option<String>,
    /// Number format of the weights
    #[arg(long = "dtype", value_enum, default_value_t)]
    pub precision: Precision,
    /// Golden requests to store with their answers
    #[arg(long, default_value_t = 32, value_name = "N")]
    pub golden: usize,
    /// Whose histories the golden requests are
    #[arg(long, value_enum, default_value_t)]
    pub requests: Requests,
}

/// What `export` does with directories that were exported.
#[derive(Clone, Debug, Subcommand)]
pub enum Exported {
    /// Hash every file again, load the weights, replay the golden requests
    Verify {
        /// Exported directory
        dir: PathBuf,
    },
    /// What changes when B replaces A: files, items and their semantic IDs, answers
    Diff {
        /// Exported directory
        a: PathBuf,
        /// Exported directory
        b: PathBuf,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// What other codebooks move: semantic IDs, neighbours, and what the policy answers under its IDs
    Migrate {
        /// Exported directory that is served
        old: PathBuf,
        /// Exported directory that will replace it
        new: PathBuf,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Give semantic IDs to items that come after the run: a new directory with them, where old items keep theirs
    Assign {
        /// Exported directory
        dir: PathBuf,
        /// The new items: .parquet, .jsonl, .csv or .tsv with a column `raw_id` and, if there is one, `text`
        #[arg(long, value_name = "FILE")]
        items: PathBuf,
        /// Their vectors, row by row, as the run's items had them: .safetensors or .parquet [default: a column of lists in
        /// the table]
        #[arg(long, value_name = "FILE")]
        vectors: Option<PathBuf>,
        /// The tensor or column with the vectors [default: the only one]
        #[arg(long, value_name = "NAME")]
        tensor: Option<String>,
        /// Directory to make; it must not exist or be empty
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
}
