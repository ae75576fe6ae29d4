//! Preference pairs, some at a time: `recalign inspect pairs` as a page.

use super::reply::Missing;
use super::url::{encode, values};
use crate::commands::inspect::pairs::{Stage, stages};
use crate::run::layout::{Committed, Layout};
use reports::document::{Align, Block, Cell, Column, Span, Style, Table, paragraph};
use reports::ui::Link;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Pairs on a page.
const ROWS: usize = 25;

/// The stage that was looked at last.
#[derive(Default)]
pub(super) struct Pairs {
    last: Mutex<Option<(String, Arc<Stage>)>>,
}

/// Links to what is near, and the content.
pub(super) struct Shown {
    pub(super) links: Vec<Link>,
    pub(super) content: String,
}

impl Pairs {
    /// The pairs that a query asks for: `stage=NAME`, `from=ROW`.
    ///
    /// # Errors
    /// There are none, or a table is damaged.
    pub(super) fn show(&self, run: &Path, query: &str) -> anyhow::Result<Shown> {
        let known = stages(&Layout::existing(run)?).map_err(|error| Missing(error.to_string()))?;
        let wanted = values(query, "stage").pop();
        let chosen = match &wanted {
            Some(name) => known.iter().find(|stage| stage.manifest.stage == *name),
            None => known.first(),
        };
        let Some(chosen) = chosen else {
            return Err(Missing(format!("no stage called {} has pairs", wanted.unwrap_or_default())).into());
        };
        let stage = self.read(chosen)?;
        let from = values(query, "from").pop().and_then(|from| from.parse().ok()).unwrap_or(0);
        let page = Page {
            name: &chosen.manifest.stage,
            stage: &stage,
            from: from.min(stage.len().saturating_sub(1)),
        };
        Ok(Shown { links: page.links(&known), content: reports::ui::blocks(&page.blocks()?)? })
    }

    fn read(&self, stage: &Committed) -> anyhow::Result<Arc<Stage>> {
        let key = format!("{} {}", stage.path.display(), stage.manifest.fingerprint);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, stage)) = last.as_ref().filter(|(known, _)| *known == key) {
            return Ok(stage.clone());
        }
        let stage = Arc::new(Stage::read(stage)?);
        *last = Some((key, stage.clone()));
        Ok(stage)
    }
}

struct Page<'a> {
    name: &'a str,
    stage: &'a Stage,
    from: usize,
}

impl Page<'_> {
    fn links(&self, known: &[Committed]) -> Vec<Link> {
        let link = |text: String, name: &str, from: usize| {
            Link::new(text, format!("?stage={}&from={from}", encode(name)))
        };
        let others =
            known.iter().map(|stage| stage.manifest.stage.as_str()).filter(|name| *name != self.name);
        let mut links: Vec<Link> = others.map(|name| link(format!("pairs of {name}"), name, 0)).collect();
        if self.from > 0 {
            links.push(link("previous pairs".into(), self.name, self.from.saturating_sub(ROWS)));
        }
        if self.from + ROWS < self.stage.len() {
            links.push(link("next pairs".into(), self.name, self.from + ROWS));
        }
        links
    }

    fn blocks(&self) -> anyhow::Result<Vec<Block>> {
        let rows = self.from..(self.from + ROWS).min(self.stage.len());
        let caption =
            format!("{}: pairs {} to {} of {}", self.name, rows.start + 1, rows.end, self.stage.len());
        let header = text_after_item(self.stage.header());
        let lines = self.stage.lines(rows)?.into_iter().map(text_after_item);
        let rows = lines.map(|line| line.into_iter().zip(&header).map(cell).collect()).collect();
        let about = format!(
            "Every pair is two lines, the preferred item first. The margin is that of the judge that made the pair, the \
             log-probability that of the policy which proposed both: the reference of the round{}.",
            self.stage.verdicts()?
        );
        let table = Table { caption, columns: header.iter().map(|name| column(name)).collect(), rows };
        Ok(vec![paragraph(about), Block::Table(table)])
    }
}

/// The text, which comes last, moved beside its item: scores may be many.
fn text_after_item<T>(mut line: Vec<T>) -> Vec<T> {
    line[4..].rotate_right(1);
    line
}

fn column(name: &str) -> Column {
    let align = match name {
        "user" | "side" | "item" => Align::Left,
        "text" => Align::Prose,
        _ => Align::Right,
    };
    let label = if name == "log_prob" { "reference log-prob" } else { name };
    Column { label: label.to_owned(), align }
}

fn cell((text, name): (String, &&str)) -> Cell {
    let style = match (*name, text.as_str()) {
        ("side", "chosen") => Style::Good,
        ("side", _) => Style::Bad,
        _ => Style::Plain,
    };
    vec![Span::text(text).styled(style)]
}
