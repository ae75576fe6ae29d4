//! What each route shows.

use super::compared::Compared;
use super::following::{Following, Seen, tag, version};
use super::listing::{list, report_link, title};
use super::pairs::{Pairs, Shown};
use super::place::Place;
use super::reply::{Missing, Reply, Unclear};
use super::url::{decode, encode, values};
use anyhow::Context as _;
use reports::ui::{Follow, Link, Page};
use std::path::{Path, PathBuf};

/// The largest file of a report that is sent.
const LARGEST: u64 = 64 << 20;

/// The directory and what is remembered of it.
pub(super) struct Ui {
    pub(super) place: Place,
    pub(super) following: Following,
    pub(super) compared: Compared,
    pub(super) pairs: Pairs,
}

impl Ui {
    pub(super) fn new(place: Place) -> Self {
        Self {
            place,
            following: Following::default(),
            compared: Compared::default(),
            pairs: Pairs::default(),
        }
    }

    /// `/`
    pub(super) fn list(&self) -> anyhow::Result<Reply> {
        let content = reports::ui::listing(&list(&self.place))?;
        page(&Page {
            title: title(&self.place, super::place::ITSELF),
            trail: Vec::new(),
            links: Vec::new(),
            follow: Some(Follow { href: "/list".into(), tag: tag(&content) }),
            content,
        })
    }

    /// `/list`
    pub(super) fn list_again(&self, known: &str) -> anyhow::Result<Reply> {
        let content = reports::ui::listing(&list(&self.place))?;
        let tag = tag(&content);
        Ok(if tag == known { Reply::Unchanged(tag) } else { Reply::Html(content, Some(tag)) })
    }

    /// `/runs/RUN/`
    pub(super) fn run(&self, name: &str) -> anyhow::Result<Reply> {
        // Asked for before the run is read: what comes meanwhile is asked for again.
        let tag = self.place.run(name).map_or_else(String::new, |dir| version(&dir));
        let (dir, seen) = self.seen(name)?;
        let at = format!("/runs/{}", encode(name));
        let mut links = Vec::new();
        if self.place.file(&dir, "report/index.html").is_some() {
            links.push(Link::new("report", report_link(name)));
        }
        if seen.run.stages.iter().any(|stage| stage.manifest.outputs.contains_key("pairs.parquet")) {
            links.push(Link::new("preference pairs", format!("{at}/pairs")));
        }
        page(&Page {
            title: title(&self.place, name),
            trail: vec![Link::new("runs", "/")],
            links,
            follow: Some(Follow { href: format!("{at}/live"), tag }),
            content: seen.content()?,
        })
    }

    /// `/runs/RUN/live`
    pub(super) fn run_again(&self, name: &str, known: &str) -> anyhow::Result<Reply> {
        let dir = self.place.run(name).ok_or_else(|| Missing::run(name))?;
        let tag = version(&dir);
        if tag == known {
            return Ok(Reply::Unchanged(tag));
        }
        Ok(Reply::Html(self.following.look(&dir)?.content()?, Some(tag)))
    }

    /// `/runs/RUN/figures/FILE`: the numbers or the picture of a figure as the run's page shows it.
    pub(super) fn figure(&self, name: &str, file: &str) -> anyhow::Result<Reply> {
        let (_, seen) = self.seen(name)?;
        let path = format!("figures/{file}");
        let figures = reports::figures::all(&seen.run);
        for figure in &figures {
            if figure.csv_path() == path {
                return Ok(Reply::File(kind(file), figure.csv().into_bytes()));
            }
            if figure.svg_path() == path {
                return Ok(Reply::File(kind(file), reports::chart::standalone(figure)?.into_bytes()));
            }
        }
        Err(Missing(format!("the run has no figure {file}")).into())
    }

    fn seen(&self, name: &str) -> anyhow::Result<(PathBuf, Seen)> {
        let dir = self.place.run(name).ok_or_else(|| Missing::run(name))?;
        let seen = self.following.look(&dir)?;
        Ok((dir, seen))
    }

    /// `/runs/RUN/pairs`
    pub(super) fn pairs(&self, name: &str, query: &str) -> anyhow::Result<Reply> {
        let dir = self.place.run(name).ok_or_else(|| Missing::run(name))?;
        let Shown { links, content } = self.pairs.show(&dir, query)?;
        let run = title(&self.place, name);
        let trail = vec![Link::new("runs", "/"), Link::new(run, format!("/runs/{}/", encode(name)))];
        page(&Page { title: "Preference pairs".into(), trail, links, follow: None, content })
    }

    /// `/runs/RUN/report/FILE`
    pub(super) fn report(&self, name: &str, file: &str) -> anyhow::Result<Reply> {
        let dir = self.place.run(name).ok_or_else(|| Missing::run(name))?;
        self.file(&dir, &format!("report/{file}"))
    }

    /// `/sweeps/SWEEP/FILE`
    pub(super) fn sweep(&self, name: &str, file: &str) -> anyhow::Result<Reply> {
        let dir = self.place.find(name).filter(|dir| dir.join("sweep.json").is_file());
        let dir = dir.ok_or_else(|| Missing(format!("{name} is no page of a sweep or of a comparison")))?;
        self.file(&dir, file)
    }

    fn file(&self, dir: &Path, file: &str) -> anyhow::Result<Reply> {
        let path = self.place.file(dir, file).ok_or_else(|| Missing(format!("there is no file {file}")))?;
        let failed = || format!("cannot read {}", path.display());
        let length = path.metadata().with_context(failed)?.len();
        anyhow::ensure!(length <= LARGEST, "{file} is too large for a page");
        Ok(Reply::File(kind(file), std::fs::read(&path).with_context(failed)?))
    }

    /// `/compare?run=A&run=B`: the choice becomes part of the address, so that the page's links lead to its own files.
    pub(super) fn choose(query: &str) -> anyhow::Result<Reply> {
        let runs = values(query, "run");
        if runs.len() < 2 {
            return Err(Unclear("tick two or more runs in the list to compare them".into()).into());
        }
        // Encoded twice: a route's segment is decoded once as a whole.
        let joined = runs.iter().map(|run| encode(run)).collect::<Vec<_>>().join(",");
        Ok(Reply::See(format!("/compare/{}/index.html", encode(&joined))))
    }

    /// `/compare/A,B/FILE`
    pub(super) fn compare(&self, runs: &str, file: &str) -> anyhow::Result<Reply> {
        let names = runs.split(',').map(|name| decode(name).unwrap_or_default());
        let dirs = names.map(|name| self.place.run(&name).ok_or_else(|| Missing::run(&name)));
        let dirs = dirs.collect::<anyhow::Result<Vec<_>>>()?;
        Ok(Reply::File(kind(file), self.compared.file(&dirs, file)?))
    }
}

fn page(page: &Page) -> anyhow::Result<Reply> {
    Ok(Reply::Html(reports::ui::render(page)?, None))
}

/// The type that a file is shown as; what is no page or picture is text.
fn kind(file: &str) -> &'static str {
    match Path::new(file).extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    }
}
