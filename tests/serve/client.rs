//! A running service and the smallest client that can speak to it.

use crate::support::recalign;
use serde_json::Value;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The program, serving; it is killed when this is dropped.
pub(crate) struct Serving {
    pub(crate) address: SocketAddr,
    child: Child,
    log: Arc<Mutex<String>>,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Serving {
    /// Starts it on a free port and waits until it listens.
    pub(crate) fn start(dir: &Path, more: &[&str]) -> Self {
        Self::command("serve", dir, more)
    }
    /// Likewise, of any verb that listens.
    pub(crate) fn command(verb: &str, dir: &Path, more: &[&str]) -> Self {
        let arguments = [verb, dir.to_str().unwrap(), "--address", "127.0.0.1:0"];
        let mut command = recalign(&[arguments.as_slice(), more].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (log, lines) = (Arc::<Mutex<String>>::default(), Arc::<Mutex<Vec<String>>>::default());
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let address = loop {
            let mut line = String::new();
            assert!(stderr.read_line(&mut line).unwrap() > 0, "it ended: {}", log.lock().unwrap());
            *log.lock().unwrap() += &line;
            if let Some((_, address)) = line.trim().split_once("listening on http://") {
                break address.parse().unwrap();
            }
        };
        let kept = log.clone();
        std::thread::spawn(move || {
            stderr.lines().map_while(Result::ok).for_each(|line| *kept.lock().unwrap() += &line);
        });
        let (stdout, kept) = (BufReader::new(child.stdout.take().unwrap()), lines.clone());
        std::thread::spawn(move || {
            stdout.lines().map_while(Result::ok).for_each(|line| kept.lock().unwrap().push(line));
        });
        Self { address, child, log, lines }
    }
    pub(crate) fn client(&self) -> Client {
        Client::new(self.address)
    }
    /// What it has written to standard error.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }
    /// The first lines of standard output, once they are there.
    pub(crate) fn output(&self, count: usize) -> Vec<String> {
        for _ in 0..200 {
            let lines = self.lines.lock().unwrap().clone();
            if lines.len() >= count {
                return lines;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("fewer than {count} lines on standard output");
    }
    #[cfg(unix)]
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }
    #[cfg(unix)]
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.process().to_string()]).status();
        assert!(sent.unwrap().success());
    }
    #[cfg(unix)]
    pub(crate) fn exit(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

/// One connection that is kept alive.
pub(crate) struct Client {
    address: SocketAddr,
    stream: Option<BufReader<TcpStream>>,
    token: Option<String>,
    host: String,
}

/// Status, head in lower case, body.
pub(crate) type Response = (u16, String, String);

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, stream: None, token: None, host: address.to_string() }
    }
    pub(crate) fn with_token(self, token: &str) -> Self {
        Self { token: Some(token.into()), ..self }
    }
    pub(crate) fn with_host(self, host: &str) -> Self {
        Self { host: host.into(), ..self }
    }
    pub(crate) fn get(&mut self, path: &str) -> Response {
        self.send("GET", path, &[], b"")
    }
    pub(crate) fn post(&mut self, path: &str, body: &Value) -> (u16, Value) {
        let (status, _, text) = self.try_post(path, body).expect("an answer");
        (status, serde_json::from_str(&text).unwrap())
    }
    pub(crate) fn try_post(&mut self, path: &str, body: &Value) -> Option<Response> {
        self.try_send(
            "POST",
            path,
            &[("Content-Type", "application/json")],
            &serde_json::to_vec(body).unwrap(),
        )
    }
    pub(crate) fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        self.try_send(method, path, headers, body).expect("an answer")
    }
    fn try_send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Option<Response> {
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n", self.host, body.len());
        let token = self.token.as_ref().map(|token| format!("Bearer {token}"));
        let token = token.as_deref().map(|token| ("Authorization", token));
        for (name, value) in headers.iter().copied().chain(token) {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        self.write(&[head.as_bytes(), b"\r\n", body].concat());
        let response = self.read();
        if response.as_ref().is_none_or(|(_, head, _)| head.contains("connection: close")) {
            self.stream = None;
        }
        response
    }
    /// Raw bytes; a service that has closed already is found out when reading.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        let address = self.address;
        let stream = self.stream.get_or_insert_with(|| BufReader::new(TcpStream::connect(address).unwrap()));
        drop(stream.get_mut().write_all(bytes));
    }
    /// A whole response; `None` if the connection ends before it does.
    pub(crate) fn read(&mut self) -> Option<Response> {
        let stream = self.stream.as_mut().unwrap();
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if !matches!(stream.read_line(&mut head), Ok(1..)) {
                return None;
            }
        }
        let status = head[9..12].parse().unwrap();
        let lower = head.to_lowercase();
        let length = lower.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.trim().parse().unwrap())];
        stream.read_exact(&mut body).ok()?;
        Some((status, lower, String::from_utf8(body).unwrap()))
    }
}
