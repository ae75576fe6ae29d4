//! `recalign publish`: a run in an experiment tracker. The run directory is only read.

mod http;
mod mlflow;

use super::output::print;
use crate::cli::{PublishArgs, PublishTool};
use anyhow::Context as _;
use http::Server;
use mlflow::Tracker;

pub(super) fn publish(arguments: &PublishArgs) -> anyhow::Result<()> {
    let PublishTool::Mlflow = arguments.tool;
    let run = reports::load::load(&arguments.run)?;
    let server = Server::parse(&arguments.url)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let published = runtime.context("cannot start the thread that speaks HTTP")?.block_on(async {
        let tracker = Tracker::new(&server, &arguments.experiment).await?;
        tracker.publish(&run, &arguments.run).await
    })?;
    print(&format!("{published}\n"))
}
