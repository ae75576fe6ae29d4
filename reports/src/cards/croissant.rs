//! The data set of a run as a Croissant card (`MLCommons` 1.0): its files with hashes, and their columns.

use crate::error::ReportError;
use crate::load::{Run, Stage};
use serde_json::{Value, json};

/// The tables and their first columns; signals and attributes follow.
const TABLES: [(&str, &[(&str, &str)]); 3] = [
    ("interactions", &[("user", INTEGER), ("item", INTEGER), ("position", INTEGER), ("timestamp", INTEGER)]),
    ("items", &[("item", INTEGER), ("raw_id", TEXT), ("text", TEXT)]),
    ("users", &[("user", INTEGER), ("raw_id", TEXT)]),
];
const INTEGER: &str = "sc:Integer";
const FLOAT: &str = "sc:Float";
const TEXT: &str = "sc:Text";

/// The card as indented JSON; `None` before `ingest` is done.
///
/// # Errors
/// It cannot be written as JSON.
pub fn card(run: &Run) -> Result<Option<String>, ReportError> {
    let ingest = run.stages.iter().find(|stage| stage.manifest.stage == "ingest");
    let (Some(ingest), Some(data)) = (ingest, &run.data_card) else { return Ok(None) };
    let signals: Vec<&str> = data.signals.keys().map(String::as_str).collect();
    let tables = || TABLES.iter().filter(|(name, _)| ingest.manifest.outputs.contains_key(&file(name)));
    let card = json!({
        "@context": context(),
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": name(&run.record.name),
        "description": format!(
            "Interaction log ({}) as recalign {} ingested it: {} users, {} items, {} interactions after filters, ties in {} \
             order. Leave one out: each user's last interaction is for the test, the one before for validation.",
            data.source, run.record.version, data.users, data.items, data.interactions, data.tie_order
        ),
        "version": "1.0.0",
        "distribution": tables().map(|(table, _)| distribution(ingest, table)).collect::<Vec<_>>(),
        "recordSet": tables().map(|(table, columns)| record_set(table, columns, &signals)).collect::<Vec<_>>(),
    });
    let mut text = serde_json::to_string_pretty(&card).map_err(ReportError::Summary)?;
    text.push('\n');
    Ok(Some(text))
}

fn file(table: &str) -> String {
    format!("{table}.parquet")
}

fn distribution(ingest: &Stage, table: &str) -> Value {
    let name = file(table);
    let record = &ingest.manifest.outputs[&name];
    json!({
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": format!("../../stages/{}/{name}", ingest.directory),
        "contentSize": format!("{} B", record.bytes),
        "encodingFormat": "application/x-parquet",
        "sha256": record.sha256,
    })
}

fn record_set(table: &str, columns: &[(&str, &str)], signals: &[&str]) -> Value {
    let signals = signals.iter().filter(|_| table == "interactions").map(|signal| (*signal, FLOAT));
    let field = |(column, data_type): (&str, &str)| {
        json!({
            "@type": "cr:Field",
            "@id": format!("{table}/{column}"),
            "name": column,
            "dataType": data_type,
            "source": { "fileObject": { "@id": file(table) }, "extract": { "column": column } },
        })
    };
    json!({
        "@type": "cr:RecordSet",
        "@id": table,
        "name": table,
        "field": columns.iter().copied().chain(signals).map(field).collect::<Vec<_>>(),
    })
}

/// Letters, digits and `-`: the standard asks for a name that can be part of an address.
fn name(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '-' }).collect()
}

/// The context of the standard, as its version 1.0 prints it.
fn context() -> Value {
    json!({
        "@language": "en",
        "@vocab": "https://schema.org/",
        "citeAs": "cr:citeAs",
        "column": "cr:column",
        "conformsTo": "dct:conformsTo",
        "cr": "http://mlcommons.org/croissant/",
        "rai": "http://mlcommons.org/croissant/RAI/",
        "data": { "@id": "cr:data", "@type": "@json" },
        "dataType": { "@id": "cr:dataType", "@type": "@vocab" },
        "dct": "http://purl.org/dc/terms/",
        "equivalentProperty": "cr:equivalentProperty",
        "examples": { "@id": "cr:examples", "@type": "@json" },
        "extract": "cr:extract",
        "field": "cr:field",
        "fileProperty": "cr:fileProperty",
        "fileObject": "cr:fileObject",
        "fileSet": "cr:fileSet",
        "format": "cr:format",
        "includes": "cr:includes",
        "isLiveDataset": "cr:isLiveDataset",
        "jsonPath": "cr:jsonPath",
        "key": "cr:key",
        "md5": "cr:md5",
        "parentField": "cr:parentField",
        "path": "cr:path",
        "recordSet": "cr:recordSet",
        "references": "cr:references",
        "regex": "cr:regex",
        "repeated": "cr:repeated",
        "replace": "cr:replace",
        "samplingRate": "cr:samplingRate",
        "sc": "https://schema.org/",
        "separator": "cr:separator",
        "source": "cr:source",
        "subField": "cr:subField",
        "transform": "cr:transform"
    })
}
