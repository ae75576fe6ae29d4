//! Answers, and what goes wrong on the way to them.

use axum::body::Body;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderName, LOCATION};
use axum::http::{HeaderValue, Response, StatusCode};
use axum::response::IntoResponse;
use reports::ui::{Link, Page};

/// What may be in an answer that a page of ours is: nothing inline, nothing from elsewhere.
pub(super) const OWN: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// An answer.
#[derive(Debug)]
pub(super) enum Reply {
    /// A page, or a part of one with its version.
    Html(String, Option<String>),
    /// The part that is shown is still right.
    Unchanged(String),
    /// A file of a report: its type, under the policy that reports are shown with.
    File(&'static str, Vec<u8>),
    /// Somewhere else.
    See(String),
}

/// The page was asked for something that is not there.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Missing(pub(super) String);

impl Missing {
    pub(super) fn run(name: &str) -> anyhow::Error {
        Self(format!("{name} is no run directory below the directory that is shown")).into()
    }
}

/// The request cannot be answered as it is.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unclear(pub(super) String);

impl IntoResponse for Reply {
    fn into_response(self) -> Response<Body> {
        match self {
            Self::Html(text, tag) => {
                let response = with(text.into_response(), CONTENT_TYPE, "text/html; charset=utf-8");
                tag.into_iter().fold(response, |response, tag| with(response, ETAG, &tag))
            }
            Self::Unchanged(tag) => with(StatusCode::NOT_MODIFIED.into_response(), ETAG, &tag),
            Self::File(kind, bytes) => {
                let response = with(bytes.into_response(), CONTENT_TYPE, kind);
                with(response, CONTENT_SECURITY_POLICY, super::guard::report_policy())
            }
            Self::See(target) => with(StatusCode::SEE_OTHER.into_response(), LOCATION, &target),
        }
    }
}

/// A page that says what is wrong. Texts of errors may quote files: they are escaped as everything is.
pub(super) fn failure(error: &anyhow::Error) -> Response<Body> {
    let status = if error.is::<Missing>() {
        StatusCode::NOT_FOUND
    } else if error.is::<Unclear>() {
        StatusCode::BAD_REQUEST
    } else {
        StatusCode::INTERNAL_SERVER_ERROR
    };
    let title = match status {
        StatusCode::NOT_FOUND => "Not found",
        StatusCode::BAD_REQUEST => "Not understood",
        _ => "This cannot be read",
    };
    refusal(status, title, &format!("{error:#}."))
}

/// A page with a status.
pub(super) fn refusal(status: StatusCode, title: &str, text: &str) -> Response<Body> {
    let content = reports::ui::blocks(&[reports::document::paragraph(text)]).unwrap_or_default();
    let trail = vec![Link::new("runs", "/")];
    let page = Page { title: title.into(), trail, links: Vec::new(), follow: None, content };
    let mut response = match reports::ui::render(&page) {
        Ok(html) => Reply::Html(html, None).into_response(),
        Err(error) => error.to_string().into_response(),
    };
    *response.status_mut() = status;
    response
}

/// The response with a header; values that no header can hold are left out.
fn with(mut response: Response<Body>, name: HeaderName, value: &str) -> Response<Body> {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
    response
}
