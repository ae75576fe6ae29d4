//! The service's contract as an `OpenAPI` document.

use serde_json::Value;

/// The document.
///
/// # Panics
/// Never: the file is tested.
pub fn document() -> Value {
    serde_json::from_str(include_str!("openapi.json")).expect("openapi.json is valid JSON")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::http::ROUTES;
    use std::collections::BTreeSet;

    #[test]
    fn every_route_is_described_and_nothing_else() {
        let document = document();
        let paths: BTreeSet<&str> =
            document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(paths, ROUTES.into_iter().collect());
    }
}
