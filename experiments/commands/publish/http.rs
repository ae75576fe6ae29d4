//! The smallest client: one request per connection, plain HTTP, JSON both ways.

use anyhow::{Context as _, bail, ensure};
use axum::body::{Body, Bytes, to_bytes};
use axum::http::header::{CONTENT_TYPE, HOST};
use axum::http::{Method, Request, StatusCode};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::time::Duration;
use tokio::net::TcpStream;

/// Longest time for a request and its answer.
const TIME: Duration = Duration::from_mins(1);
/// Largest answer.
const LARGEST: usize = 16 << 20;

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    authority: String,
    /// What its paths begin with, without a slash at the end.
    prefix: String,
}

/// An answer.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

impl Server {
    /// Reads `http://HOST[:PORT][/PREFIX]`.
    ///
    /// # Errors
    /// It is no such address. Encrypted connections are not spoken.
    pub(super) fn parse(url: &str) -> anyhow::Result<Self> {
        let remedy = "write http://HOST:PORT; for https forward a port, for example with ssh -L or a proxy";
        let rest = url.strip_prefix("http://").with_context(|| format!("--url {url}: {remedy}"))?;
        let (authority, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let plain =
            |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#@\\".contains(&byte));
        ensure!(!authority.is_empty() && plain(authority) && plain(prefix), "--url {url}: {remedy}");
        let authority =
            if authority.contains(':') { authority.to_owned() } else { format!("{authority}:80") };
        let prefix = prefix.trim_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("/{prefix}") };
        Ok(Self { authority, prefix })
    }

    /// Where a person looks at it.
    pub(super) fn page(&self) -> String {
        format!("http://{}{}", self.authority, self.prefix)
    }

    /// Sends JSON, and reads JSON.
    ///
    /// # Errors
    /// The server cannot be reached or refuses; its message is quoted.
    pub(super) async fn json(&self, method: Method, path: &str, body: &Value) -> anyhow::Result<Value> {
        let answer = self.ask((method, path), "application/json", body.to_string().into_bytes()).await?;
        let value: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        if !answer.status.is_success() {
            let message = value["message"].as_str().unwrap_or("no message").to_owned();
            bail!("{} answers {} to {path}: {message}", self.page(), answer.status);
        }
        Ok(value)
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// The server cannot be reached, or does not answer in time.
    pub(super) async fn ask(
        &self,
        (method, path): (Method, &str),
        kind: &str,
        body: Vec<u8>,
    ) -> anyhow::Result<Answer> {
        let exchange = self.exchange((method, path), kind, body);
        let answer = tokio::time::timeout(TIME, exchange).await;
        answer
            .with_context(|| format!("{} did not answer in {TIME:?}", self.page()))?
            .with_context(|| format!("cannot speak to {}; is the server running there?", self.page()))
    }

    async fn exchange(
        &self,
        (method, path): (Method, &str),
        kind: &str,
        body: Vec<u8>,
    ) -> anyhow::Result<Answer> {
        let stream = TcpStream::connect(&self.authority).await?;
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.prefix))
            .header(HOST, &self.authority)
            .header(CONTENT_TYPE, kind)
            .body(Body::from(body))?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = to_bytes(Body::new(response.into_body()), LARGEST).await?;
        connection.abort();
        Ok(Answer { status, body })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_a_port_and_perhaps_a_prefix() {
        let parsed = |url: &str| Server::parse(url).map(|server| (server.authority, server.prefix)).unwrap();
        assert_eq!(parsed("http://127.0.0.1:5000"), ("127.0.0.1:5000".into(), String::new()));
        assert_eq!(parsed("http://tracker/ml/flow/"), ("tracker:80".into(), "/ml/flow".into()));
        for wrong in
            ["https://x", "127.0.0.1:5000", "http://", "http://user@host", "http://a b", "http://x/?q"]
        {
            assert!(Server::parse(wrong).is_err(), "{wrong}");
        }
    }
}
