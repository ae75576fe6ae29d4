//! From names in links to what lies below the directory, never anything else.

use anyhow::Context as _;
use std::fs::DirEntry;
use std::path::{Component, Path, PathBuf};

/// The name of the directory itself, where it is a run.
pub(super) const ITSELF: &str = ".";

/// The directory whose runs are shown.
#[derive(Clone, Debug)]
pub(super) struct Place {
    root: PathBuf,
}

impl Place {
    /// The directory as the system knows it, without symbolic links.
    pub(super) fn open(dir: &Path) -> anyhow::Result<Self> {
        let root = dir.canonicalize().with_context(|| format!("cannot open {}", dir.display()))?;
        anyhow::ensure!(root.is_dir(), "{} is no directory", dir.display());
        Ok(Self { root })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// What lies at `name`, parts divided by `/`, below the directory; `None` if that is nothing, or something outside.
    pub(super) fn find(&self, name: &str) -> Option<PathBuf> {
        if name == ITSELF {
            return Some(self.root.clone());
        }
        let plain =
            |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains(['\\', ':', '\0']);
        if !name.split('/').all(plain) {
            return None;
        }
        // The system resolves symbolic links, wherever on the way they are.
        let path = self.root.join(name).canonicalize().ok()?;
        path.starts_with(&self.root).then_some(path)
    }

    /// A file of a directory that was found.
    pub(super) fn file(&self, dir: &Path, name: &str) -> Option<PathBuf> {
        let inside = match self.name(dir)?.as_str() {
            ITSELF => name.to_owned(),
            dir => format!("{dir}/{name}"),
        };
        // Devices and pipes would never end.
        self.find(&inside).filter(|path| path.is_file())
    }

    /// The run directory called `name`, if no link in it or in its stages leads outside.
    pub(super) fn run(&self, name: &str) -> Option<PathBuf> {
        let run = self.find(name)?;
        self.file(&run, "run.json")?;
        let stages = run.join("stages");
        let below = listed(&stages).map(|entry| entry.path()).collect::<Vec<_>>();
        let mut entries = [run.clone(), stages].into_iter().chain(below).flat_map(|dir| listed(&dir));
        let strays = entries.any(|entry| self.leads_outside(&entry));
        (!strays).then_some(run)
    }

    fn leads_outside(&self, entry: &DirEntry) -> bool {
        let link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
        // A link to what is not there leads nowhere.
        link && entry.path().canonicalize().is_ok_and(|path| !path.starts_with(&self.root))
    }

    /// The name that [`Self::find`] finds a directory by.
    pub(super) fn name(&self, path: &Path) -> Option<String> {
        let below = path.strip_prefix(&self.root).ok()?;
        let parts = below.components().map(|part| match part {
            Component::Normal(part) => part.to_str(),
            _ => None,
        });
        let name = parts.collect::<Option<Vec<_>>>()?.join("/");
        Some(if name.is_empty() { ITSELF.into() } else { name })
    }
}

/// What is in a directory; nothing, if it is none.
fn listed(dir: &Path) -> impl Iterator<Item = DirEntry> + use<> {
    std::fs::read_dir(dir).into_iter().flatten().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> (tempfile::TempDir, Place) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("runs");
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        std::fs::write(root.join("a/b/run.json"), "{}").unwrap();
        std::fs::write(dir.path().join("secret"), "s").unwrap();
        let place = Place::open(&root).unwrap();
        (dir, place)
    }

    #[test]
    fn names_lead_below_the_directory_and_nowhere_else() {
        let (_dir, place) = place();
        assert!(place.find("a/b").is_some() && place.run("a/b").is_some());
        assert_eq!(place.name(&place.find("a/b").unwrap()).as_deref(), Some("a/b"));
        assert_eq!(place.find(ITSELF).as_deref(), Some(place.root()));
        for name in [
            "",
            "..",
            "../secret",
            "a/../../secret",
            "a//b",
            "/etc/passwd",
            "a/./b",
            "a\\..\\b",
            ".hidden",
            "a\0",
        ] {
            assert_eq!(place.find(name), None, "{name:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_symbolic_link_out_of_the_directory_is_refused_wherever_it_is() {
        use std::os::unix::fs::symlink;
        let (dir, place) = place();
        symlink(dir.path().join("secret"), place.root().join("a/out")).unwrap();
        symlink(dir.path(), place.root().join("up")).unwrap();
        assert_eq!([place.find("a/out"), place.find("up"), place.find("up/secret")], [None, None, None]);
        symlink(place.root().join("a"), place.root().join("alias")).unwrap();
        assert!(place.find("alias/b").is_some(), "a link that stays inside may be followed");
        symlink(dir.path().join("secret"), place.root().join("a/b/metrics.jsonl")).unwrap();
        assert_eq!(place.run("a/b"), None, "a run whose file is a link to somewhere else");
        let run = place.root().join("a/b");
        std::fs::remove_file(run.join("metrics.jsonl")).unwrap();
        assert!(place.run("a/b").is_some());
        std::fs::create_dir_all(run.join("stages/01-ingest")).unwrap();
        symlink(dir.path().join("secret"), run.join("stages/01-ingest/data_card.json")).unwrap();
        assert_eq!(place.run("a/b"), None, "a file of a stage, likewise");
    }
}
