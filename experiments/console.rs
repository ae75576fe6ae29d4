//! What a person sees while it runs: log lines, between progress bars if stderr is a terminal.

use crate::run::clock::Stopwatch;
use indicatif::{MultiProgress, ProgressDrawTarget};
use std::fmt;
use std::io::{self, IsTerminal as _, Write};
use std::sync::OnceLock;
use tracing::field::Field;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// How much is told on stderr.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verbosity {
    /// Warnings and errors.
    Quiet,
    /// What happens, and progress.
    Normal,
    /// Also details for finding out why.
    Verbose,
}

/// All bars of the process, so that log lines do not tear them. Hidden unless stderr is a terminal.
static BARS: OnceLock<MultiProgress> = OnceLock::new();

/// Sets up the console; `RUST_LOG` wins over `verbosity` for log lines. Calling it again changes nothing.
pub fn init(verbosity: Verbosity) {
    let terminal = io::stderr().is_terminal();
    let target = if terminal && verbosity != Verbosity::Quiet {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    if BARS.set(MultiProgress::with_draw_target(target)).is_err() {
        return;
    }
    let level = match verbosity {
        Verbosity::Quiet => "warn",
        Verbosity::Normal => "info",
        Verbosity::Verbose => "debug",
    };
    let colors = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let console = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level)))
        .with_writer(|| Stderr)
        .with_ansi(colors)
        .fmt_fields(debug_fn(field).delimited(" "))
        .event_format(Line { since_start: Stopwatch::start() });
    // Fails only if a test harness has set up its own subscriber, which may stay.
    drop(console.try_init());
}

/// The bars, if they are to be seen.
pub(crate) fn bars() -> Option<&'static MultiProgress> {
    BARS.get().filter(|bars| !bars.is_hidden())
}

/// Plain `key=value`: colours inside of span fields would hide the span's name from [`Line`].
fn field(writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    match field.name() {
        "message" => write!(writer, "{value:?}"),
        name => write!(writer, "{name}={value:?}"),
    }
}

/// Stderr between the bars.
struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let write = || io::stderr().write(bytes);
        BARS.get().map_or_else(write, |bars| bars.suspend(write))
    }
    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// `  12.3s pretrain: message`: seconds since the start, the innermost named span, the event.
struct Line {
    since_start: Stopwatch,
}

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, N>,
        mut line: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        write!(line, "{:7.1}s ", self.since_start.seconds())?;
        let color = match *event.metadata().level() {
            Level::ERROR => Some("31"),
            Level::WARN => Some("33"),
            _ => None,
        };
        match color {
            Some(color) if line.has_ansi_escapes() => {
                write!(line, "\x1b[{color}m{}\x1b[0m ", event.metadata().level())?;
            }
            Some(_) => write!(line, "{} ", event.metadata().level())?,
            None => {}
        }
        if let Some(span) = ctx.lookup_current()
            && let Some(fields) = span.extensions().get::<FormattedFields<N>>()
            && let Some(name) = fields.fields.strip_prefix("name=")
        {
            write!(line, "{name}: ")?;
        }
        ctx.format_fields(line.by_ref(), event)?;
        writeln!(line)
    }
}
