//! The OpenAPI document against the server: it is YAML, its references lead somewhere, and its methods are those of the routes.

use crate::http::client::{ask, get};
use crate::http::served::Served;
use yaml_rust2::{Yaml, YamlLoader};

fn document(served: &Served, query: &str) -> Yaml {
    let answer = get(served.address, &format!("/api/v1/openapi.yaml{query}"));
    assert_eq!(
        answer.header("content-type"),
        Some("application/yaml; charset=utf-8")
    );
    let mut documents = YamlLoader::load_from_str(&answer.body).expect("YAML");
    assert_eq!(documents.len(), 1);
    documents.remove(0)
}

/// Texts of all `$ref`.
fn references(yaml: &Yaml, found: &mut Vec<String>) {
    match yaml {
        Yaml::Hash(entries) => {
            for (key, value) in entries {
                match (key.as_str(), value.as_str()) {
                    (Some("$ref"), Some(reference)) => found.push(reference.to_owned()),
                    _ => references(value, found),
                }
            }
        }
        Yaml::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn the_document_is_that_of_the_server() {
    let served = Served::new("").ready();
    let yaml = document(&served, "");
    assert_eq!(yaml["openapi"].as_str(), Some("3.1.0"));
    assert_eq!(
        document(&served, "?openapi_version=3.2")["openapi"].as_str(),
        Some("3.2.0")
    );
    let mut found = Vec::new();
    references(&yaml, &mut found);
    references(&document(&served, "?openapi_version=3.2"), &mut found);
    for reference in found {
        let parts = reference.trim_start_matches("#/").split('/');
        let target = parts.fold(&yaml, |yaml, part| &yaml[part]);
        assert!(!target.is_badvalue(), "{reference}");
    }
    let mut operations = 0;
    for (path, item) in yaml["paths"].as_hash().expect("paths") {
        let path = path.as_str().expect("a text");
        // These do not come back, or not soon.
        if matches!(path, "/-/quit" | "/api/v1/notifications/live") {
            continue;
        }
        for method in ["get", "post", "put", "delete", "patch"] {
            let asked = path.replace("{id}", "1").replace("{name}", "job");
            let answer = ask(served.address, &method.to_uppercase(), &asked, &[], "");
            let is_there = answer.status != 405 && !answer.body.contains("there is no such route");
            assert_eq!(
                !item[method].is_badvalue(),
                is_there,
                "{method} {path}: {}",
                answer.status
            );
            operations += usize::from(is_there);
        }
    }
    assert!(operations > 40, "{operations} operations");
}
