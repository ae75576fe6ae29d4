//! Deserialisation that reports every mistake: each one is described, repaired in a copy, and the rest is tried again.
//!
//! The known keys, variants and types come from the derived `Deserialize` implementations themselves (serde hands
//! them to the error), so there is no second list to keep.

use super::join_key;
use super::node::{Fault, Mistake, Node};
use super::problem::{Problem, Repaired};
use super::wording::{closest, plain, unknown_key, unknown_variant};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use toml::{Table, Value};

/// The key that selects a variant of a tagged enum.
const TAG: &str = "kind";

/// Far above the number of keys in a configuration, and every repair removes or settles one.
const MOST_REPAIRS: usize = 1000;

/// What a table says, as far as it can be understood.
pub(super) struct Outcome<T> {
    /// The value, with placeholders where `repaired` says so.
    pub(super) value: Option<T>,
    /// Every mistake.
    pub(super) problems: Vec<Problem>,
    /// Keys whose values are not the user's.
    pub(super) repaired: Repaired,
}

/// Deserialises a `T`, refusing keys that it does not know at every level.
pub(super) fn deserialize<T: Serialize + DeserializeOwned>(table: &Table) -> Outcome<T> {
    let mut repair = Repair::<T>::new(table);
    for _ in 0..MOST_REPAIRS {
        match T::deserialize(Node(&repair.value)) {
            Ok(value) => {
                repair.report_ignored_keys(&value);
                return Outcome { value: Some(value), problems: repair.problems, repaired: repair.repaired };
            }
            Err(fault) => repair.settle(&fault),
        }
    }
    Outcome { value: None, problems: repair.problems, repaired: repair.repaired }
}

struct Repair<T> {
    value: Value,
    problems: Vec<Problem>,
    repaired: Repaired,
    /// How many placeholders were tried for a key.
    tries: BTreeMap<String, usize>,
    target: std::marker::PhantomData<T>,
}

impl<T: Serialize + DeserializeOwned> Repair<T> {
    fn new(table: &Table) -> Self {
        Self {
            value: Value::Table(table.clone()),
            problems: Vec::new(),
            repaired: Repaired::default(),
            tries: BTreeMap::new(),
            target: std::marker::PhantomData,
        }
    }

    fn settle(&mut self, fault: &Fault) {
        let path = self.locate(fault);
        let dotted = path.join(".");
        match &fault.mistake {
            Mistake::UnknownField { field, known } => {
                let key = join_key(&dotted, field);
                self.report(&key, unknown_key(&dotted, field, known));
                self.remove(&path, field);
            }
            Mistake::MissingField(field) => {
                let key = join_key(&dotted, field);
                self.report(&key, format!("missing key `{key}`"));
                self.repaired.insert(if *field == TAG { &dotted } else { &key });
                self.try_placeholder(&[path, vec![(*field).to_owned()]].concat());
            }
            Mistake::UnknownVariant { variant, known } => {
                self.report(&dotted, unknown_variant(&dotted, variant, known));
                let scope = dotted.strip_suffix(&format!(".{TAG}")).unwrap_or(&dotted);
                self.repaired.insert(scope);
                self.put(&path, Value::String(closest(variant, known).unwrap_or(known[0]).to_owned()));
            }
            Mistake::WrongType { found, expected } => {
                self.report(&dotted, format!("`{dotted}` is {found}, must be {}", plain(expected)));
                self.replace(&path);
            }
            Mistake::Other(message) => {
                self.report(&dotted, format!("`{dotted}`: {message}"));
                self.replace(&path);
            }
        }
    }

    /// A mistake in something repaired is the repair's, not the user's.
    fn report(&mut self, key: &str, message: String) {
        if !self.repaired.covers(key) {
            self.problems.push(Problem::new(key, message));
        }
    }

    /// The path of a mistake. Inside tagged enums serde forgets the keys; each is the one that fails alike on its own.
    fn locate(&self, fault: &Fault) -> Vec<String> {
        let mut path = fault.path();
        while let Some(key) = self.culprit(&path, fault) {
            path.push(key);
        }
        path
    }

    /// The key of the table at `path` whose value has the mistake; `None` if the table itself has it.
    fn culprit(&self, path: &[String], fault: &Fault) -> Option<String> {
        let own = match &fault.mistake {
            Mistake::UnknownField { field, .. } => field,
            Mistake::WrongType { .. } | Mistake::UnknownVariant { .. } => "",
            Mistake::MissingField(_) | Mistake::Other(_) => return None,
        };
        let Value::Table(table) = lookup(&self.value, path)? else { return None };
        let fails_alike = |kept: &str| {
            let mut alone = self.value.clone();
            if let Some(Value::Table(table)) = lookup_mut(&mut alone, path) {
                table.retain(|other, _| other == kept || other == TAG);
            }
            T::deserialize(Node(&alone)).is_err_and(|other| other == *fault)
        };
        let mut others = table.keys().filter(|key| *key != TAG && *key != own);
        if fails_alike(TAG) { None } else { others.find(|key| fails_alike(key)).cloned() }
    }

    /// First without the value (a default may step in), then with placeholders of every type.
    fn replace(&mut self, path: &[String]) {
        let dotted = path.join(".");
        self.repaired.insert(&dotted);
        match path.split_last() {
            Some((last, parent)) if !self.tries.contains_key(&dotted) => {
                self.tries.insert(dotted, 0);
                self.remove(parent, last);
            }
            _ => self.try_placeholder(path),
        }
    }

    fn try_placeholder(&mut self, path: &[String]) {
        let tried = self.tries.entry(path.join(".")).or_insert(0);
        let placeholder = match *tried {
            0 => Value::String("x".into()),
            1 => Value::Integer(1),
            2 => Value::Table(Table::new()),
            3 => Value::Array(Vec::new()),
            _ => Value::Boolean(false),
        };
        *tried += 1;
        self.put(path, placeholder);
    }

    fn put(&mut self, path: &[String], value: Value) {
        let Some((last, parent)) = path.split_last() else {
            return;
        };
        match lookup_mut(&mut self.value, parent) {
            Some(Value::Table(table)) => {
                table.insert(last.clone(), value);
            }
            Some(Value::Array(array)) => {
                if let Some(slot) = last.parse::<usize>().ok().and_then(|index| array.get_mut(index)) {
                    *slot = value;
                }
            }
            _ => {}
        }
    }

    fn remove(&mut self, path: &[String], key: &str) {
        if let Some(Value::Table(table)) = lookup_mut(&mut self.value, path) {
            table.remove(key);
        }
    }

    /// Tagged enums ignore what a variant without fields does not know; what does not come back was not understood, unless it is
    /// a default that is not written.
    fn report_ignored_keys(&mut self, value: &T) {
        let understood = Value::try_from(value).expect("every field of a configuration has a TOML form");
        let mut ignored = Vec::new();
        collect_ignored("", (&self.value, &understood), &mut ignored);
        let meaningless: Vec<String> = ignored.into_iter().flat_map(|key| self.not_understood(key)).collect();
        for key in meaningless {
            self.report(&key, format!("unknown key `{key}`: it means nothing here, remove it"));
        }
    }

    /// Of a key that did not come back, the parts that could as well be anything.
    fn not_understood(&self, key: String) -> Vec<String> {
        let path: Vec<String> = key.split('.').map(str::to_owned).collect();
        if self.takes_anything(&path) {
            return vec![key];
        }
        match lookup(&self.value, &path) {
            Some(Value::Table(table)) => {
                table.keys().flat_map(|inner| self.not_understood(join_key(&key, inner))).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Whether a truth value and a list will both do: no key of a configuration is either.
    fn takes_anything(&self, path: &[String]) -> bool {
        let with = |value: Value| {
            let mut altered = self.value.clone();
            if let Some(slot) = lookup_mut(&mut altered, path) {
                *slot = value;
            }
            T::deserialize(Node(&altered)).is_ok()
        };
        with(Value::Boolean(true)) && with(Value::Array(Vec::new()))
    }
}

fn lookup<'a>(value: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, key| match value {
        Value::Table(table) => table.get(key),
        Value::Array(array) => array.get(key.parse::<usize>().ok()?),
        _ => None,
    })
}

fn lookup_mut<'a>(value: &'a mut Value, path: &[String]) -> Option<&'a mut Value> {
    path.iter().try_fold(value, |value, key| match value {
        Value::Table(table) => table.get_mut(key),
        Value::Array(array) => array.get_mut(key.parse::<usize>().ok()?),
        _ => None,
    })
}

fn collect_ignored(prefix: &str, pair: (&Value, &Value), ignored: &mut Vec<String>) {
    match pair {
        (Value::Table(given), Value::Table(understood)) => {
            for (key, value) in given {
                let name = join_key(prefix, key);
                match understood.get(key) {
                    Some(other) => collect_ignored(&name, (value, other), ignored),
                    None => ignored.push(name),
                }
            }
        }
        (Value::Array(given), Value::Array(understood)) => {
            for (index, pair) in given.iter().zip(understood).enumerate() {
                collect_ignored(&join_key(prefix, &index.to_string()), pair, ignored);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
