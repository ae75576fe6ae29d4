//! The routes. Reading and drawing happen on threads that may block.

use super::guard::guard;
use super::reply::{Missing, Reply, failure};
use super::view::Ui;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::header::{CONTENT_TYPE, IF_NONE_MATCH};
use axum::http::{HeaderMap, Response};
use axum::middleware::from_fn;
use axum::response::IntoResponse as _;
use axum::routing::get;
use std::sync::Arc;

type Shared = State<Arc<Ui>>;

/// The routes over a directory.
pub(super) fn router(ui: Arc<Ui>) -> Router {
    let names =
        |State(ui): Shared, Path([name, file]): Path<[String; 2]>, show: Show| at(ui, name, file, show);
    Router::new()
        .route("/", get(|State(ui): Shared| answer(move || ui.list())))
        .route("/list", get(list_again))
        .route("/runs/{run}/", get(|State(ui): Shared, Path(run): Path<String>| answer(move || ui.run(&run))))
        .route("/runs/{run}/live", get(run_again))
        .route("/runs/{run}/pairs", get(pairs))
        .route(
            "/runs/{run}/figures/{file}",
            get(move |ui: Shared, path: Path<_>| names(ui, path, Ui::figure)),
        )
        .route(
            "/runs/{run}/report/{*file}",
            get(move |ui: Shared, path: Path<_>| names(ui, path, Ui::report)),
        )
        .route("/sweeps/{sweep}/{*file}", get(move |ui: Shared, path: Path<_>| names(ui, path, Ui::sweep)))
        .route("/compare", get(|RawQuery(query)| answer(move || Ui::choose(&query.unwrap_or_default()))))
        .route("/compare/{runs}/{*file}", get(move |ui: Shared, path: Path<_>| names(ui, path, Ui::compare)))
        .route("/static/{file}", get(asset))
        .fallback(|| answer(|| Err(Missing("there is no such page".into()).into())))
        .with_state(ui)
        .layer(from_fn(guard))
}

/// A view of a file of something.
type Show = fn(&Ui, &str, &str) -> anyhow::Result<Reply>;

async fn at(ui: Arc<Ui>, name: String, file: String, show: Show) -> Response<Body> {
    answer(move || show(&ui, &name, &file)).await
}

async fn list_again(State(ui): Shared, headers: HeaderMap) -> Response<Body> {
    answer(move || ui.list_again(known(&headers))).await
}

async fn run_again(State(ui): Shared, Path(run): Path<String>, headers: HeaderMap) -> Response<Body> {
    answer(move || ui.run_again(&run, known(&headers))).await
}

async fn pairs(State(ui): Shared, Path(run): Path<String>, RawQuery(query): RawQuery) -> Response<Body> {
    answer(move || ui.pairs(&run, &query.unwrap_or_default())).await
}

/// The version that the browser has.
fn known(headers: &HeaderMap) -> &str {
    headers.get(IF_NONE_MATCH).and_then(|tag| tag.to_str().ok()).unwrap_or_default()
}

async fn asset(Path(file): Path<String>) -> Response<Body> {
    let (kind, text) = match file.as_str() {
        "ui.css" => ("text/css; charset=utf-8", reports::ui::style()),
        "ui.js" => ("text/javascript; charset=utf-8", reports::ui::SCRIPT.to_owned()),
        "report.js" => ("text/javascript; charset=utf-8", reports::html::SCRIPT.to_owned()),
        _ => return failure(&Missing(format!("there is no file {file}")).into()),
    };
    ([(CONTENT_TYPE, kind)], text).into_response()
}

/// Does the work on a thread of its own kind; what goes wrong is a page that says it.
async fn answer(work: impl FnOnce() -> anyhow::Result<Reply> + Send + 'static) -> Response<Body> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(reply)) => reply.into_response(),
        Ok(Err(error)) => failure(&error),
        Err(_) => failure(&anyhow::anyhow!("making this page failed; please report this")),
    }
}
