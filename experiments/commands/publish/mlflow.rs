//! `MLflow`'s REST interface, version 2.0: experiments, runs, batches of parameters, metrics and tags, and its artifact proxy.
//!
//! A curve's name is its stage and key; the evaluation's are `evaluate/SYSTEM/METRIC`, with `/low` and `/high`. Names may not have every
//! character: `@` becomes `_at_`, others `_`. A run is published as a new one every time.

use super::http::Server;
use crate::run::clock;
use anyhow::{Context as _, ensure};
use axum::http::{Method, StatusCode};
use reports::load::Run;
use serde_json::{Value, json};
use std::path::Path;
use tracing::{info, warn};

/// Limits of a batch (`mlflow.utils.validation`).
const MOST_METRICS: usize = 1000;
const MOST_PARAMS: usize = 100;
/// Longest value of a parameter.
const LONGEST: usize = 6000;
/// What is sent of a report.
const REPORT: [&str; 3] = ["index.html", "report.md", "run.json"];

/// An experiment on a server.
pub(super) struct Tracker<'a> {
    server: &'a Server,
    experiment: String,
}

/// A run on the server.
struct Remote {
    id: String,
    artifacts: String,
}

impl<'a> Tracker<'a> {
    /// The experiment of this name, made if it does not exist.
    pub(super) async fn new(server: &'a Server, name: &str) -> anyhow::Result<Self> {
        let path =
            format!("/api/2.0/mlflow/experiments/get-by-name?experiment_name={}", crate::ui::encode(name));
        let found = server.ask((Method::GET, &path), "application/json", Vec::new()).await?;
        let value: Value = serde_json::from_slice(&found.body).unwrap_or_default();
        let known = value["experiment"]["experiment_id"].as_str().filter(|_| found.status.is_success());
        let experiment = if let Some(known) = known {
            known.to_owned()
        } else {
            ensure!(
                found.status == StatusCode::NOT_FOUND,
                "{} is no MLflow server: it answers {}",
                server.page(),
                found.status
            );
            let made = server
                .json(Method::POST, "/api/2.0/mlflow/experiments/create", &json!({ "name": name }))
                .await?;
            text(&made, "/experiment_id")?
        };
        Ok(Self { server, experiment })
    }

    /// Sends a run; returns where it is to be seen.
    pub(super) async fn publish(&self, run: &Run, dir: &Path) -> anyhow::Result<String> {
        let remote = self.create(run).await?;
        for params in params(run).chunks(MOST_PARAMS) {
            self.batch(&remote, json!({ "params": params })).await?;
        }
        let metrics = metrics(run);
        for metrics in metrics.chunks(MOST_METRICS) {
            self.batch(&remote, json!({ "metrics": metrics })).await?;
        }
        self.report(&remote, dir).await?;
        let end = json!({ "run_id": remote.id, "status": "FINISHED", "end_time": milliseconds() });
        self.server.json(Method::POST, "/api/2.0/mlflow/runs/update", &end).await?;
        info!("{} values", metrics.len());
        Ok(format!("{}/#/experiments/{}/runs/{}", self.server.page(), self.experiment, remote.id))
    }

    async fn create(&self, run: &Run) -> anyhow::Result<Remote> {
        let body = json!({
            "experiment_id": self.experiment,
            "run_name": run.record.name,
            "start_time": milliseconds(),
            "tags": tags(run),
        });
        let made = self.server.json(Method::POST, "/api/2.0/mlflow/runs/create", &body).await?;
        Ok(Remote { id: text(&made, "/run/info/run_id")?, artifacts: text(&made, "/run/info/artifact_uri")? })
    }

    async fn batch(&self, remote: &Remote, mut body: Value) -> anyhow::Result<()> {
        body["run_id"] = remote.id.as_str().into();
        self.server.json(Method::POST, "/api/2.0/mlflow/runs/log-batch", &body).await.map(drop)
    }

    /// The report, where the server takes artifacts by HTTP.
    async fn report(&self, remote: &Remote, dir: &Path) -> anyhow::Result<()> {
        let Some(root) = remote.artifacts.strip_prefix("mlflow-artifacts:/") else {
            warn!(
                "the server keeps artifacts at {}, which takes none by HTTP: the report is not sent",
                remote.artifacts
            );
            return Ok(());
        };
        for name in REPORT {
            let file = dir.join("report").join(name);
            if file.is_file() {
                let bytes =
                    std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
                let path = format!(
                    "/api/2.0/mlflow-artifacts/artifacts/{}/report/{name}",
                    root.trim_start_matches('/')
                );
                let answer = self.server.ask((Method::PUT, &path), "application/octet-stream", bytes).await?;
                ensure!(
                    answer.status.is_success(),
                    "the server answers {} to the report's {name}",
                    answer.status
                );
            }
        }
        Ok(())
    }
}

/// What tells a run apart from others, and everything it was made of by hash.
fn tags(run: &Run) -> Vec<Value> {
    let tag = |key: String, value: &str| json!({ "key": key, "value": value });
    let record = &run.record;
    let mut tags = vec![
        tag("recalign.version".into(), &record.version),
        tag("recalign.seed".into(), &record.seed.to_string()),
        tag("recalign.budget".into(), &record.budget),
        tag("recalign.device".into(), &record.device),
        tag("recalign.config_sha256".into(), &record.config_sha256),
    ];
    let stages = run.stages.iter().map(|stage| &stage.manifest);
    tags.extend(
        stages.map(|stage| tag(format!("recalign.fingerprint.{}", name(&stage.stage)), &stage.fingerprint)),
    );
    let alarms = reports::ui::alarms(run).join(" ");
    tags.extend((!alarms.is_empty()).then(|| tag("recalign.alarms".into(), &alarms)));
    tags
}

fn params(run: &Run) -> Vec<Value> {
    let config = reports::config::flatten(&run.config);
    let cut = |value: &str| value.chars().take(LONGEST).collect::<String>();
    config
        .iter()
        .map(|(key, value)| json!({ "key": name(key), "value": cut(value.trim_matches('"')) }))
        .collect()
}

/// Every curve, and what the evaluation measured.
fn metrics(run: &Run) -> Vec<Value> {
    let now = milliseconds();
    let metric = |key: String, step: u64, value: f64| json!({ "key": key, "value": value, "timestamp": now, "step": step });
    let rows = run.metrics.iter();
    let mut metrics: Vec<Value> =
        rows.map(|row| metric(name(&format!("{}/{}", row.stage, row.key)), row.step, row.value)).collect();
    for system in run.evaluation.iter().flat_map(|evaluation| &evaluation.systems) {
        for (key, estimate) in &system.metrics {
            let key = name(&format!("evaluate/{}/{key}", system.name));
            metrics.push(metric(key.clone(), 0, estimate.value));
            if reports::number::has_interval(estimate) {
                metrics.push(metric(format!("{key}/low"), 0, estimate.low));
                metrics.push(metric(format!("{key}/high"), 0, estimate.high));
            }
        }
    }
    metrics
}

/// A name as the server takes it: letters, digits, `_ - . : /` and spaces, up to 250 characters, no path out of itself.
fn name(key: &str) -> String {
    let kept = |c: char| if c.is_ascii_alphanumeric() || "_-./: ".contains(c) { c } else { '_' };
    let parts = key.replace('@', "_at_");
    let parts = parts.split('/').filter(|part| !part.is_empty() && !part.bytes().all(|byte| byte == b'.'));
    parts.collect::<Vec<_>>().join("/").chars().map(kept).take(240).collect()
}

fn milliseconds() -> u64 {
    (clock::unix_seconds() * 1000.0) as u64
}

fn text(value: &Value, place: &str) -> anyhow::Result<String> {
    let found = value.pointer(place).and_then(Value::as_str).map(str::to_owned);
    found.with_context(|| format!("the server's answer has no {place}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_only_what_the_server_takes() {
        assert_eq!(name("evaluate/grpo/ndcg@10"), "evaluate/grpo/ndcg_at_10");
        assert_eq!(name("a/../b//<c>\"é"), "a/b/_c___");
        assert!(name(&"x".repeat(999)).len() <= 250);
    }
}
