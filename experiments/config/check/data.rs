//! Where a log comes from.

use super::{Check, Problem};
use crate::config::{Columns, Data, EmbeddingSource, Source};
use crate::data::artifacts::RESERVED;
use reward::world::{WorldConfig, WorldError};
use std::collections::BTreeSet;
use std::path::Path;

pub(super) fn data(data: &Data, check: &mut Check) {
    if let Some(max_users) = data.max_users {
        check.that(
            "data.max_users",
            max_users >= 10,
            max_users,
            "at least 10: the judges need users of their own",
        );
    }
    match &data.embeddings {
        EmbeddingSource::HashedText { width } | EmbeddingSource::CoOccurrence { width } => {
            check.within("data.embeddings.width", *width, 8..=8192);
        }
        EmbeddingSource::Auto | EmbeddingSource::File { .. } => {}
    }
    if let Some(items) = &data.items {
        let columns = items.text.len();
        check.that("data.items.text", columns >= 1, "[]", "at least one column name");
    }
    source(&data.source, check);
    if data.path.is_none() && !matches!(data.source, Source::World(_)) {
        let message =
            "missing key `data.path`: the directory or file of the log, for example --set data.path=DIR";
        check.between_keys("data.path", message.into(), "data.source");
    }
}

fn source(source: &Source, check: &mut Check) {
    match source {
        Source::World(world) => self::world(world, check),
        Source::Csv { separator, columns, file } => {
            let usable = separator.is_ascii() && !"\"\n\r".contains(*separator);
            check.that(
                "data.source.separator",
                usable,
                format!("{separator:?}"),
                "one ASCII character, not a quote",
            );
            self::columns((file, columns), check);
        }
        Source::Parquet { columns, file }
        | Source::Jsonl { columns, file }
        | Source::Recbole { columns, file } => {
            self::columns((file, columns), check);
        }
        Source::S3rec { .. }
        | Source::Kuairand { .. }
        | Source::Kuairec { .. }
        | Source::OpenBandit { .. }
        | Source::SequencesJson { .. } => {}
    }
}

fn world(world: &WorldConfig, check: &mut Check) {
    check.within("data.source.users", world.users, 20..=10_000_000);
    check.within("data.source.items", world.items, 20..=10_000_000);
    for problem in world.problems() {
        if let WorldError::Mechanism { key, value, low, high } = problem {
            let allowed = format!("{low} to {high}");
            check.that(format!("data.source.{key}"), false, value, &allowed);
        }
    }
}

fn columns((file, columns): (&Path, &Columns), check: &mut Check) {
    for name in columns.feedback.iter().filter(|name| RESERVED.contains(&name.as_str())) {
        let message = format!(
            "`data.source.columns.feedback` names the column `{name}` of {}, but the run's own log has a column of that name \
             (it has {}); rename it in the file, for example to `{name}_in_list`, or leave it out",
            file.display(),
            RESERVED.join(", ")
        );
        check.problems.push(Problem::new("data.source.columns.feedback", message));
    }
    let mut seen = BTreeSet::new();
    let feedback = columns.feedback.iter().map(|name| ("feedback", name));
    let named = [("user", &columns.user), ("item", &columns.item)].into_iter();
    for (role, name) in named.chain(columns.timestamp.iter().map(|name| ("timestamp", name))).chain(feedback)
    {
        let key = format!("data.source.columns.{role}");
        check.that(
            key,
            !name.is_empty() && seen.insert(name),
            format!("{name:?}"),
            "a column no other key names",
        );
    }
}
