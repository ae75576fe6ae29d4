//! Who may ask: a browser at this machine that was pointed here, not a page of another site in it.

use super::reply::{OWN, refusal};
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use axum::middleware::Next;
use sha2::{Digest as _, Sha256};
use std::sync::OnceLock;

/// Names of this machine in its own browser. Any other is a name of somebody else's that was made to lead here (DNS rebinding).
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// Sent with every answer; nothing is kept, framed, guessed or told to others.
const HEADERS: [(HeaderName, &str); 6] = [
    (CONTENT_SECURITY_POLICY, OWN),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// Lets a request through, or refuses it; either way with the headers that keep a page to itself.
pub(super) async fn guard(request: Request, next: Next) -> Response<Body> {
    let reading = [Method::GET, Method::HEAD].contains(request.method());
    let mut response = if !here(request.headers()) {
        let text =
            "Open this page as http://localhost or http://127.0.0.1 with its port; other names are refused.";
        refusal(StatusCode::MISDIRECTED_REQUEST, "Wrong name", text)
    } else if !reading {
        refusal(StatusCode::METHOD_NOT_ALLOWED, "Nothing can be sent here", "These pages are for reading.")
    } else {
        next.run(request).await
    };
    for (name, value) in HEADERS {
        // A report has a policy of its own.
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Whether the host that was asked for is this machine, at any port: it may be forwarded.
fn here(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next().and_then(|host| host.to_str().ok()), hosts.next()) else {
        return false;
    };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    NAMES.iter().any(|own| name.eq_ignore_ascii_case(own))
}

/// What a report may do: show itself and run the one script that reports have. It has no origin, so it reaches nothing else.
pub(super) fn report_policy() -> &'static str {
    static POLICY: OnceLock<String> = OnceLock::new();
    POLICY.get_or_init(|| {
        let script = base64(&Sha256::digest(reports::html::inline_script()));
        format!(
            "default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{script}'; img-src data:; base-uri 'none'; \
             form-action 'none'; frame-ancestors 'none'; sandbox allow-scripts"
        )
    })
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |chunk: &[u8]| {
        let number =
            (0..3).fold(0, |number, at| number << 8 | usize::from(chunk.get(at).copied().unwrap_or(0)));
        let digit = move |at: usize| {
            if at <= chunk.len() { char::from(DIGITS[number >> (18 - 6 * at) & 63]) } else { '=' }
        };
        [digit(0), digit(1), digit(2), digit(3)]
    };
    bytes.chunks(3).flat_map(group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_answered() {
        let asked = |host: &str| here(&HeaderMap::from_iter([(HOST, HeaderValue::from_str(host).unwrap())]));
        for host in ["localhost", "localhost:8090", "127.0.0.1:1", "[::1]:8090", "[::1]", "LOCALHOST:80"] {
            assert!(asked(host), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:8090",
            "localhost.evil.example",
            "127.0.0.1.nip.io:8090",
            "",
            "localhost:x",
            "10.0.0.1",
        ] {
            assert!(!asked(host), "{host}");
        }
        assert!(!here(&HeaderMap::new()), "no host at all");
    }

    #[test]
    fn base64_is_that_of_the_rfc() {
        let cases = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
            ("\u{fb}\u{ff}", "w7vDvw=="),
        ];
        for (text, expected) in cases {
            assert_eq!(base64(text.as_bytes()), expected);
        }
    }
}
