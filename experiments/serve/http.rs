//! The routes: who may ask, how large a request is, what it means.

use super::access::{AccessLog, Line};
use super::api::{Answers, Batch, RankBy, Recommend, Score};
use super::auth::Token;
use super::codes::{self, OldCodes};
use super::current::{Current, ReloadError};
use super::error::{Refusal, json};
use super::limits::{BODY_TIME, Limits};
use super::metrics::Metrics;
use super::openapi;
use super::queue::Queue;
use super::task::Task;
use crate::run::clock;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, FromRequest as _, Request, State};
use axum::http::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE};
use axum::http::{HeaderValue, Method, Response, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use serde::de::DeserializeOwned;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// All routes. Those of `OPEN` need no token.
pub const ROUTES: [&str; 8] = [
    "/v1/recommend",
    "/v1/score",
    "/v1/model",
    "/v1/reload",
    "/healthz",
    "/readyz",
    "/metrics",
    "/openapi.json",
];
/// What probes may ask without a token.
const OPEN: [&str; 2] = ["/healthz", "/readyz"];

/// What handlers share.
pub struct Service {
    pub(super) queue: Queue,
    pub(super) current: Arc<Current>,
    pub(super) old_codes: Option<OldCodes>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) token: Option<Token>,
    pub(super) limits: Limits,
    pub(super) log: AccessLog,
    pub(super) draining: AtomicBool,
}

type Shared = State<Arc<Service>>;
type Reply = Result<Response<Body>, Refusal>;

/// The routes over a service.
pub fn router(service: Arc<Service>) -> Router {
    let body = service.limits.body;
    Router::new()
        .route("/v1/recommend", post(recommend))
        .route("/v1/score", post(score))
        .route("/v1/model", get(model))
        .route("/v1/reload", post(reload))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/openapi.json", get(contract))
        .fallback(|| async {
            Refusal::new(StatusCode::NOT_FOUND, "not-found", "no such route; see /openapi.json")
        })
        .method_not_allowed_fallback(|| async {
            Refusal::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method",
                "another method is needed; see /openapi.json",
            )
        })
        .layer(DefaultBodyLimit::max(body))
        .layer(from_fn_with_state(service.clone(), admit))
        .layer(from_fn_with_state(service.clone(), observe))
        .with_state(service)
}

/// Counts, times and logs a request; while the service drains, asks the client to leave.
async fn observe(State(service): Shared, request: Request, next: Next) -> Response<Body> {
    let (started, route, method) = (clock::now(), route(&request), method(&request));
    let mut response = next.run(request).await;
    if service.draining.load(Ordering::Relaxed) {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    let (status, duration) = (response.status().as_u16(), started.elapsed());
    service.metrics.request(route, status, duration);
    let line = Line { time: clock::unix_seconds(), method, route, status, seconds: duration.as_secs_f64() };
    service.log.write(line, &service.metrics);
    response
}

/// Refuses who does not carry the token.
async fn admit(State(service): Shared, request: Request, next: Next) -> Response<Body> {
    let given = request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes);
    match &service.token {
        Some(token) if !OPEN.contains(&route(&request)) && !token.admits(given) => {
            let message = "send the token: Authorization: Bearer TOKEN";
            Refusal::new(StatusCode::UNAUTHORIZED, "token", message).into_response()
        }
        _ => next.run(request).await,
    }
}

/// A route's name for metrics and logs: never what a client wrote.
fn route(request: &Request) -> &'static str {
    ROUTES.into_iter().find(|route| *route == request.uri().path()).unwrap_or("other")
}

fn method(request: &Request) -> &'static str {
    match *request.method() {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        _ => "other",
    }
}

async fn recommend(State(service): Shared, request: Request) -> Reply {
    let Batch::<Recommend> { requests } = body(request).await?;
    let judge = requests.iter().any(|wish| wish.rank_by == RankBy::Judge);
    if judge && service.current.get().judge.is_none() {
        return Err(Refusal::conflict("no-judge", "this directory has no judge; leave out rank_by"));
    }
    ask(&service, requests.into_iter().map(Task::Recommend).collect()).await
}

async fn score(State(service): Shared, request: Request) -> Reply {
    let Batch::<Score> { requests } = body(request).await?;
    ask(&service, requests.into_iter().map(Task::Score).collect()).await
}

async fn ask(service: &Service, mut tasks: Vec<Task>) -> Reply {
    let most = service.limits.batch;
    if !(1..=most).contains(&tasks.len()) {
        let message = format!("{} requests in one body, must be 1 to {most}", tasks.len());
        return Err(Refusal::bad("requests", message));
    }
    for (position, task) in tasks.iter().enumerate() {
        task.check(position, &service.limits)?;
    }
    read_codes(service, &mut tasks)?;
    let answers: Answers = service.queue.ask(tasks).await?;
    service.metrics.skipped(answers.results.iter().map(|answer| answer.skipped.len()).sum());
    Ok(json(StatusCode::OK, &answers))
}

/// Codes become ids: see [`codes`].
fn read_codes(service: &Service, tasks: &mut [Task]) -> Result<(), Refusal> {
    let serving = service.current.get();
    for (position, task) in tasks.iter_mut().enumerate() {
        let reading = codes::read(task, position, (&serving, service.old_codes.as_ref()));
        service.metrics.read(&reading);
        reading?;
    }
    Ok(())
}

async fn model(State(service): Shared) -> Response<Body> {
    let bundle = service.current.get();
    let shadow = service.metrics.shadow_agreement();
    json(
        StatusCode::OK,
        &json!({
            "description": bundle.description,
            "judge": bundle.judge.is_some(),
            "limits": {
                "requests": service.limits.batch,
                "beam": service.limits.beam,
                "body_bytes": service.limits.body,
            },
            "also_reads": service.old_codes.as_ref().map(|old| &old.policy),
            "shadow": shadow,
        }),
    )
}

async fn contract(State(service): Shared) -> Response<Body> {
    json(StatusCode::OK, &openapi::document(&service.limits, service.token.as_ref()))
}

async fn ready(State(service): Shared) -> Reply {
    if service.draining.load(Ordering::Relaxed) {
        return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the service is stopping"));
    }
    Ok("ready\n".into_response())
}

async fn metrics(State(service): Shared) -> impl IntoResponse {
    let policy = service.current.get().description.policy_sha256.clone();
    let text = service.metrics.text(&policy, service.queue.occupied());
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text)
}

async fn reload(State(service): Shared) -> Reply {
    if service.token.is_none() {
        let message = "loading again by request needs a token; send SIGHUP to the process";
        return Err(Refusal::new(StatusCode::UNAUTHORIZED, "token", message));
    }
    let (current, metrics) = (service.current.clone(), service.metrics.clone());
    let outcome = tokio::task::spawn_blocking(move || current.reload(&metrics)).await;
    match outcome {
        Ok(Ok(())) => {
            Ok(json(StatusCode::OK, &json!({ "policy": service.current.get().description.policy_sha256 })))
        }
        Ok(Err(error @ ReloadError::Busy)) => {
            Err(Refusal::new(StatusCode::CONFLICT, "busy", error.to_string()))
        }
        Ok(Err(ReloadError::Refused(error))) => {
            let message = format!("the old directory goes on answering: {error:#}");
            Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "unverified", message))
        }
        Err(_) => Err(Refusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "defect",
            "loading failed; please report this",
        )),
    }
}

/// A JSON body within size and time.
async fn body<T: DeserializeOwned>(request: Request) -> Result<T, Refusal> {
    let json = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).is_some_and(is_json);
    if !json {
        let message = "the body must be JSON: Content-Type: application/json";
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content-type", message));
    }
    let read = tokio::time::timeout(BODY_TIME, Bytes::from_request(request, &())).await;
    let slow = |_| Refusal::new(StatusCode::REQUEST_TIMEOUT, "slow", "the body did not arrive in time");
    let bytes = read.map_err(slow)?.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            "the body is too large; send fewer requests in it",
        ),
        _ => Refusal::bad("body", "the body ended early"),
    })?;
    serde_json::from_slice(&bytes).map_err(|error| Refusal::bad("json", error.to_string()))
}

fn is_json(kind: &str) -> bool {
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}
