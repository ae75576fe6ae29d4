//! Requests that name items by codes: these become ids of the log before anything else is done, so that a directory that is loaded
//! meanwhile, or a shadow, does not take them for its own.
//!
//! Codes are read by the directory that serves. During a roll-out clients may still hold those of the directory before: with
//! `--also-reads` they are understood too. A request can say whose codes it has (`codes_of`). One that does not is understood if only
//! one directory knows all of its codes, or both mean the same items; it is refused otherwise, for a guess would answer for items
//! that nobody consumed.

use super::api::ItemRef;
use super::error::Refusal;
use super::task::Task;
use crate::export::bundle::Bundle;
use policy::catalog::Catalog;
use policy::ids::ItemId;

/// The semantic IDs of the directory before.
pub(super) struct OldCodes {
    /// Its policy, as answers named it.
    pub(super) policy: String,
    catalog: Catalog,
    raw_ids: Vec<String>,
}

/// By whose semantic IDs a request was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reading {
    /// It has no codes.
    Ids,
    /// Those of the directory that serves.
    Current,
    /// Those of the one before.
    Old,
}

/// A directory's reading of codes.
struct Reader<'a> {
    policy: &'a str,
    catalog: &'a Catalog,
    raw_ids: &'a [String],
}

impl OldCodes {
    /// Keeps what is needed to read codes.
    pub(super) fn of(bundle: &Bundle) -> Self {
        Self {
            policy: bundle.description.policy_sha256.clone(),
            catalog: bundle.codebook.catalog.clone(),
            raw_ids: bundle.raw_ids().to_vec(),
        }
    }

    fn reader(&self) -> Reader<'_> {
        Reader { policy: &self.policy, catalog: &self.catalog, raw_ids: &self.raw_ids }
    }
}

/// Reads the codes of the task at this position of its request.
///
/// # Errors
/// The codes are of neither directory, or could be of both and would mean other items.
pub(super) fn read(
    task: &mut Task,
    position: usize,
    (serving, old): (&Bundle, Option<&OldCodes>),
) -> Result<Reading, Refusal> {
    if !task.items().any(ItemRef::is_codes) {
        return Ok(Reading::Ids);
    }
    let (current, old) = (Reader::of(serving), old.map(OldCodes::reader));
    let reading = match (task.codes_of(), &old) {
        (Some(policy), _) if policy == current.policy => Ok(Reading::Current),
        (Some(policy), Some(old)) if policy == old.policy => Ok(Reading::Old),
        (Some(_), _) => Err("is of another policy than"),
        (None, None) => Ok(Reading::Current),
        (None, Some(old)) => untold(task, &current, old),
    };
    let reading = reading.map_err(|why| refusal(position, why, (&current, old.as_ref())))?;
    let reader = match (reading, &old) {
        (Reading::Old, Some(old)) => old,
        _ => &current,
    };
    task.items_mut().for_each(|item| reader.translate(item));
    Ok(reading)
}

/// Whose codes they are, if that can be told from the codes.
fn untold(task: &Task, current: &Reader<'_>, old: &Reader<'_>) -> Result<Reading, &'static str> {
    match (current.all(task), old.all(task)) {
        (Some(_), None) => Ok(Reading::Current),
        (None, Some(_)) => Ok(Reading::Old),
        (Some(mine), Some(theirs)) if mine == theirs => Ok(Reading::Current),
        (Some(_), Some(_)) => Err("is missing, and the codes mean other items under"),
        (None, None) => Err("is missing, and not all of the codes are known to"),
    }
}

fn refusal(position: usize, why: &str, (current, old): (&Reader<'_>, Option<&Reader<'_>>)) -> Refusal {
    let serving = format!("{} (which serves)", current.policy);
    let both = old
        .map_or_else(|| serving.clone(), |old| format!("{serving} and {} (which is read too)", old.policy));
    Refusal::conflict(
        "codes",
        format!(
            "requests[{position}].codes_of {why} {both}; name the policy whose codes these are, or send ids of the log"
        ),
    )
}

impl<'a> Reader<'a> {
    fn of(bundle: &'a Bundle) -> Self {
        Self {
            policy: &bundle.description.policy_sha256,
            catalog: &bundle.codebook.catalog,
            raw_ids: bundle.raw_ids(),
        }
    }

    /// The items of all codes, by their ids in the log; `None` if one is unknown.
    fn all(&self, task: &Task) -> Option<Vec<&'a str>> {
        task.items().filter(|item| item.is_codes()).map(|item| self.raw_id(item)).collect()
    }

    fn raw_id(&self, item: &ItemRef) -> Option<&'a str> {
        let items: &'a [ItemId] = self.catalog.items(&item.semantic_id()?);
        items.first().map(|item| self.raw_ids[item.index()].as_str())
    }

    /// Codes become an id; unknown ones become no codes at all, which nobody knows either.
    fn translate(&self, item: &mut ItemRef) {
        if item.is_codes() {
            *item = match self.raw_id(item) {
                Some(id) => ItemRef::Id(id.to_owned()),
                None => ItemRef::Codes(Vec::new()),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::ids::SemanticId;

    fn untold_of(history: &str) -> Result<Reading, &'static str> {
        let catalog = |ids: &[[u32; 2]]| {
            Catalog::new(ids.iter().map(|id| SemanticId::new(*id)).collect(), vec![4, 4]).unwrap()
        };
        // Old and new: a moved to where b was, c kept its codes.
        let (old, new) = (catalog(&[[0, 0], [1, 1], [2, 2]]), catalog(&[[1, 1], [3, 3], [2, 2]]));
        let raw_ids = ["a", "b", "c"].map(String::from);
        let task = format!(r#"{{"history": {history}, "candidates": ["x"]}}"#);
        let task = Task::Score(serde_json::from_str(&task).unwrap());
        let reader = |catalog| Reader { policy: "p", catalog, raw_ids: &raw_ids };
        untold(&task, &reader(&new), &reader(&old))
    }

    #[test]
    fn codes_are_read_where_only_one_reading_is_possible() {
        assert_eq!(untold_of(r#"["b", [0, 0], [2, 2]]"#), Ok(Reading::Old));
        assert_eq!(untold_of("[[3, 3], [2, 2]]"), Ok(Reading::Current));
        assert_eq!(untold_of("[[2, 2]]"), Ok(Reading::Current), "both mean c");
    }

    #[test]
    fn codes_that_could_mean_two_items_or_are_not_all_known_are_refused() {
        // b to the old directory, a to the new one.
        assert!(untold_of("[[1, 1]]").unwrap_err().contains("mean other items"));
        assert_eq!(untold_of("[[1, 1], [0, 0]]"), Ok(Reading::Old), "the company tells");
        assert!(untold_of("[[0, 0], [3, 3]]").unwrap_err().contains("not all"));
        assert!(untold_of("[[0]]").unwrap_err().contains("not all"));
    }
}
