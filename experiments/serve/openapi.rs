//! The service's contract as an `OpenAPI` document.

use super::auth::Token;
use super::limits::Limits;
use serde_json::{Value, json};

/// The document of a service with these limits; with a token it says that one is needed.
///
/// # Panics
/// Never: the file is tested.
pub fn document(limits: &Limits, token: Option<&Token>) -> Value {
    let mut document = file();
    let schemas = &mut document["components"]["schemas"];
    for batch in ["RecommendBatch", "ScoreBatch"] {
        schemas[batch]["properties"]["requests"]["maxItems"] = limits.batch.into();
    }
    for size in ["k", "beam"] {
        schemas["Recommend"]["properties"][size]["maximum"] = limits.beam.into();
    }
    if token.is_some() {
        document["security"] = json!([{ "token": [] }]);
    }
    document
}

fn file() -> Value {
    serde_json::from_str(include_str!("openapi.json")).expect("openapi.json is valid JSON")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::http::ROUTES;
    use std::collections::BTreeSet;

    #[test]
    fn every_route_is_described_and_nothing_else() {
        let document = file();
        let paths: BTreeSet<&str> =
            document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(paths, ROUTES.into_iter().collect());
    }

    #[test]
    fn the_document_of_the_default_limits_is_the_file() {
        assert_eq!(document(&Limits::default(), None), file());
    }

    #[test]
    fn limits_and_the_need_of_a_token_are_in_the_document() {
        let limits = Limits { batch: 3, beam: 20, ..Limits::default() };
        let token = Token::new("a-secret-of-the-test").unwrap();
        let document = document(&limits, Some(&token));
        let schemas = &document["components"]["schemas"];
        for batch in ["RecommendBatch", "ScoreBatch"] {
            assert_eq!(schemas[batch]["properties"]["requests"]["maxItems"], 3);
        }
        for size in ["k", "beam"] {
            assert_eq!(schemas["Recommend"]["properties"][size]["maximum"], 20);
        }
        assert_eq!(document["security"], json!([{ "token": [] }]));
    }
}
