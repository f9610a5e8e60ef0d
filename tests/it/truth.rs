//! What the server says of itself: `/openapi.json` and `/fhir/metadata` against the routes, in both directions.

#![expect(clippy::unwrap_used, reason = "a server that cannot start fails its tests")]

use std::collections::{BTreeMap, BTreeSet};

use hikikae::clock::Clock;
use hikikae::config::Config;
use hikikae::serve::Server;
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::harness::Database;
use crate::world::PKI;

const METHODS: [Method; 7] =
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];

struct Running {
    server: Server,
    client: reqwest::Client,
    base_url: String,
    _directory: tempfile::TempDir,
}

impl Running {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            state_dir: directory.path().join("state"),
            database_url: Some(Database::empty().await.url()),
            database_connections: 4,
            trust_dir: PKI.trust_directory(),
            ..Config::default()
        };
        let server = Server::start(&config, Clock::system()).await.unwrap();
        let base_url = format!("http://{}", server.address());
        Self { server, client: reqwest::Client::new(), base_url, _directory: directory }
    }

    async fn ask(&self, method: Method, path: &str) -> reqwest::Response {
        self.client.request(method, format!("{}{path}", self.base_url)).send().await.unwrap()
    }

    async fn json(&self, path: &str) -> Value {
        let answer = self.ask(Method::GET, path).await;
        assert_eq!(answer.status(), StatusCode::OK);
        answer.json().await.unwrap()
    }

    /// The methods described for each path, the parameters in it filled in.
    async fn described(&self) -> BTreeMap<String, BTreeSet<String>> {
        let openapi = self.json("/openapi.json").await;
        let filled = |path: &str| {
            let segments = path.split('/').map(|segment| match segment {
                "{id}" => "0197c1f0-1111-8111-8111-111111111111",
                segment if segment.starts_with('{') => "1",
                segment => segment,
            });
            segments.collect::<Vec<_>>().join("/")
        };
        let methods =
            |item: &Value| item.as_object().unwrap().keys().map(|method| method.to_uppercase()).collect();
        let paths = openapi["paths"].as_object().unwrap();
        paths.iter().map(|(path, item)| (filled(path), methods(item))).collect()
    }
}

/// What the route tree itself says when no endpoint takes a request.
async fn by_the_router(answer: reqwest::Response) -> bool {
    let status = answer.status();
    let text = answer.text().await.unwrap();
    status == StatusCode::METHOD_NOT_ALLOWED
        || status == StatusCode::NOT_FOUND && (text.is_empty() || text.contains("nothing at this path"))
}

#[tokio::test]
async fn every_described_route_is_there() {
    let running = Running::start().await;
    let described = running.described().await;
    assert!(described.len() > 15, "{described:?}");
    for (path, methods) in described {
        for method in METHODS {
            let answer = running.ask(method.clone(), &path).await;
            if methods.contains(method.as_str()) {
                assert!(!by_the_router(answer).await, "{method} {path} is described, but not routed");
                continue;
            }
            assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
            let allow = answer.headers()["allow"].to_str().unwrap();
            assert_eq!(allow.split(", ").map(str::to_owned).collect::<BTreeSet<_>>(), methods, "{path}");
        }
    }
    running.server.stop().await.unwrap();
}

#[tokio::test]
async fn nothing_is_routed_that_is_not_described() {
    let running = Running::start().await;
    let described = running.described().await;
    let known: BTreeSet<&str> = described.keys().flat_map(|path| path.split('/').skip(1)).collect();
    // Every described path cut short, made longer, and with each known segment in each place.
    let mut others = BTreeSet::from(["/".to_owned(), "/fhir".to_owned(), "/fhir/Task/".to_owned()]);
    for path in described.keys() {
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        others.insert(format!("/{}", segments[..segments.len() - 1].join("/")));
        for place in 0..=segments.len() {
            for other in &known {
                let mut changed = segments.clone();
                changed.splice(place..(place + 1).min(segments.len()), [*other]);
                others.insert(format!("/{}", changed.join("/")));
            }
        }
    }
    others.retain(|path| !described.contains_key(path));
    assert!(others.len() > 300);
    for path in others {
        let answer = running.ask(Method::GET, &path).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
        assert!(by_the_router(answer).await, "{path} is routed, but not described");
    }
    running.server.stop().await.unwrap();
}

#[tokio::test]
async fn the_capability_statement_says_the_same() {
    let running = Running::start().await;
    let described = running.described().await;
    let statement = running.json("/fhir/metadata").await;
    let rest = &statement["rest"][0];
    let listed = |value: &Value, list: &str| value[list].as_array().map_or(0, Vec::len);
    let resources = rest["resource"].as_array().unwrap();
    let told: usize = resources
        .iter()
        .map(|resource| listed(resource, "operation") + listed(resource, "interaction"))
        .sum::<usize>()
        + listed(rest, "operation");
    let routed: usize = described
        .iter()
        .filter(|(path, _)| path.starts_with("/fhir/") && *path != "/fhir/metadata" && !path.contains("/."))
        .map(|(_, methods)| methods.iter().filter(|method| *method != "HEAD").count())
        .sum();
    assert_eq!(told, routed);
    let task = resources.iter().find(|resource| resource["type"] == "Task").unwrap();
    let names = |list: &str, name: &str| -> BTreeSet<String> {
        let list = task[list].as_array().unwrap();
        list.iter().map(|entry| entry[name].as_str().unwrap().to_owned()).collect()
    };
    assert!(
        names("operation", "name").is_superset(&["register", "accept", "dispense"].map(str::to_owned).into())
    );
    assert!(names("interaction", "code").is_superset(&["read", "search-type"].map(str::to_owned).into()));
    assert!(names("searchParam", "name").is_superset(&["status", "_lastUpdated"].map(str::to_owned).into()));
    running.server.stop().await.unwrap();
}
