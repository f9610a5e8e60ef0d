//! Followers: every change exactly once and in order, whatever goes on beside them; versions; places that cannot be
//! forged.

#![expect(clippy::unwrap_used, reason = "a server that cannot start fails its tests")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use hikikae::clock::Clock;
use hikikae::config::Config;
use hikikae::prescription::registered::Registered;
use hikikae::serve::Server;
use hikikae::store::PrescriptionId;
use hikikae::trust::Assertion;
use reqwest::StatusCode;
use ring::rand::SystemRandom;
use serde_json::Value;
use uuid::Uuid;

use crate::harness::Database;
use crate::world::{CLINIC, OTHER_CLINIC, OTHER_PHARMACY, PHARMACY, PKI, World, caller, populate, request};

const WRITERS: u32 = 16;
/// Register; accept, renew, return; accept, dispense.
const CHANGES: usize = 6;
/// A follower that has seen less by then has missed something.
const PATIENCE: Duration = Duration::from_mins(3);

/// A change: which prescription, and its version.
type Seen = (Uuid, i64);

struct Running {
    server: Server,
    world: Arc<World>,
    base_url: String,
    _directory: tempfile::TempDir,
}

impl Running {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::migrated().await;
        let config = Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            state_dir: directory.path().join("state"),
            database_url: Some(database.url()),
            database_connections: 12,
            trust_dir: PKI.trust_directory(),
            ..Config::default()
        };
        let clock = Clock::system();
        let server = Server::start(&config, clock.clone()).await.unwrap();
        populate(server.exchange().store()).await;
        let base_url = format!("http://{}", server.address());
        let world = Arc::new(World { exchange: server.exchange().clone(), clock, database });
        Self { server, world, base_url, _directory: directory }
    }

    async fn follower(&self, facility: &str) -> Follower {
        let place =
            [CLINIC, OTHER_CLINIC, PHARMACY, OTHER_PHARMACY].iter().position(|code| *code == facility);
        let credential = &PKI.facilities[place.unwrap()];
        let assertion = Assertion {
            chain: std::slice::from_ref(&credential.certificate),
            issuer: facility,
            audience: &self.base_url,
            jti: &request().id.to_string(),
            issued_at: self.world.now(),
            claims: serde_json::Map::new(),
        };
        let jwt = assertion.sign(&credential.key, &SystemRandom::new()).unwrap();
        let client = reqwest::Client::new();
        let form = format!(
            "grant_type=client_credentials&client_assertion={jwt}&client_assertion_type=\
             urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer"
        );
        let answer = client
            .post(format!("{}/oauth2/token", self.base_url))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form)
            .send()
            .await
            .unwrap();
        let answer: Value = answer.json().await.unwrap();
        let token = answer["access_token"].as_str().unwrap().to_owned();
        Follower { client, token, base_url: self.base_url.clone() }
    }
}

#[derive(Clone)]
struct Follower {
    client: reqwest::Client,
    token: String,
    base_url: String,
}

impl Follower {
    async fn get(&self, path: &str, last_event: Option<&str>) -> reqwest::Response {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.base_url) };
        let mut request = self.client.get(url).bearer_auth(&self.token);
        if let Some(id) = last_event {
            request = request.header("last-event-id", id);
        }
        request.send().await.unwrap()
    }

    async fn bundle(&self, path: &str) -> Value {
        let answer = self.get(path, None).await;
        assert_eq!(answer.status(), StatusCode::OK);
        answer.json().await.unwrap()
    }

    /// Follows by paging until it has seen so many changes, then asks once more.
    async fn page(self, wanted: usize) -> Vec<Seen> {
        let (mut seen, mut path) = (Vec::new(), "/fhir/Task/_history?_count=7".to_owned());
        while seen.len() < wanted {
            let bundle = self.bundle(&path).await;
            seen.extend(entries(&bundle));
            path = link(&bundle, "feed").unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        seen.extend(entries(&self.bundle(&path).await));
        seen
    }

    /// Reads a page, then follows events until it has seen so many changes, coming again with the last id after every few.
    async fn listen(self, wanted: usize, few: usize) -> Vec<Seen> {
        // What has happened until then is on the page.
        let page = self.bundle("/fhir/Task/_history").await;
        let (mut seen, mut last) = (entries(&page), None::<String>);
        let mut path = link(&page, "feed").unwrap().replace("_history?_count=100&", "$events?");
        while seen.len() < wanted {
            let mut answer = self.get(&path, last.as_deref()).await;
            if answer.status() == StatusCode::TOO_MANY_REQUESTS {
                // The server has not yet seen that the stream before was left.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
            assert_eq!(answer.status(), StatusCode::OK);
            let (mut bytes, mut here) = (Vec::new(), 0);
            while here < few && seen.len() < wanted {
                bytes.extend_from_slice(&answer.chunk().await.unwrap().unwrap());
                while let Some(end) = bytes.windows(2).position(|pair| pair == b"\n\n") {
                    let event = String::from_utf8(bytes.drain(..end + 2).collect()).unwrap();
                    let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
                    if let (Some(id), Some(data), true) = (field("id:"), field("data:"), here < few) {
                        seen.push(change(&serde_json::from_str(data).unwrap()));
                        last = Some(id.to_owned());
                        here += 1;
                    }
                }
            }
            "/fhir/Task/$events".clone_into(&mut path);
        }
        seen
    }
}

fn change(task: &Value) -> Seen {
    let version = task["meta"]["versionId"].as_str().unwrap().parse().unwrap();
    (task["id"].as_str().unwrap().parse().unwrap(), version)
}

fn entries(bundle: &Value) -> Vec<Seen> {
    bundle["entry"].as_array().into_iter().flatten().map(|entry| change(&entry["resource"])).collect()
}

fn link(bundle: &Value, relation: &str) -> Option<String> {
    let links = bundle["link"].as_array().unwrap();
    let link = links.iter().find(|link| link["relation"] == relation)?;
    Some(link["url"].as_str().unwrap().to_owned())
}

/// What one patient's prescription goes through; the versions the acts were answered with.
async fn write(world: &World, patient: u32) -> Vec<Seen> {
    let at = |task: &Registered| (task.id, task.version);
    let rx = world.rx(patient);
    let registered = world.register(&rx).await.unwrap().outcome.task;
    let id = PrescriptionId::from_uuid(registered.id);
    let first = world.accept(PHARMACY, patient, &registered).await.unwrap().outcome;
    let renewed = world.exchange.renew(&caller(PHARMACY), id, &request()).await.unwrap();
    let reason = "out of stock".to_owned();
    let returned = world.exchange.give_back(&caller(PHARMACY), id, reason, &request()).await.unwrap();
    let accepted = world.accept(PHARMACY, patient, &registered).await.unwrap().outcome;
    let document = world.dispensing(PHARMACY, &rx, &accepted);
    let dispensed = world.dispense(PHARMACY, &accepted, document).await.unwrap();
    vec![
        at(&registered),
        at(&first.task.task),
        at(&renewed.outcome.task),
        at(&returned.outcome.task),
        at(&accepted.task.task),
        at(&dispensed.outcome.task),
    ]
}

fn each_once_in_order(seen: &[Seen], wanted: &BTreeSet<Seen>, who: &str) {
    let unique: BTreeSet<Seen> = seen.iter().copied().collect();
    assert_eq!(unique.len(), seen.len(), "{who}: a change was told twice");
    assert_eq!(&unique, wanted, "{who}");
    for (place, (id, version)) in seen.iter().enumerate() {
        let mut later = seen[place..].iter().filter(|(other, _)| other == id);
        assert!(later.all(|(_, other)| other >= version), "{who}: {id} out of order");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn followers_see_each_change_of_sixteen_writers_once_and_in_order() {
    let running = Running::start().await;
    let (clinic, pharmacy) = (running.follower(CLINIC).await, running.follower(PHARMACY).await);
    let (all, held) = (WRITERS as usize * CHANGES, WRITERS as usize * (CHANGES - 1));
    let followers = [
        ("clinic, paging", tokio::spawn(clinic.clone().page(all))),
        ("clinic, paging too", tokio::spawn(clinic.clone().page(all))),
        ("clinic, events", tokio::spawn(clinic.clone().listen(all, usize::MAX))),
        ("clinic, events with breaks", tokio::spawn(clinic.clone().listen(all, 9))),
        ("pharmacy, paging", tokio::spawn(pharmacy.clone().page(held))),
        ("pharmacy, events with breaks", tokio::spawn(pharmacy.clone().listen(held, 5))),
    ];
    let writers: Vec<_> = (0..WRITERS)
        .map(|patient| {
            let world = Arc::clone(&running.world);
            tokio::spawn(async move { write(&world, patient).await })
        })
        .collect();
    let mut written = BTreeSet::new();
    for writer in writers {
        written.extend(writer.await.unwrap());
    }
    assert_eq!(written.len(), all);
    let of_pharmacy: BTreeSet<Seen> = written.iter().copied().filter(|(_, version)| *version > 1).collect();
    for (who, follower) in followers {
        let seen = tokio::time::timeout(PATIENCE, follower).await;
        let seen = seen.unwrap_or_else(|_| panic!("{who} missed changes")).unwrap();
        let wanted = if who.starts_with("clinic") { &written } else { &of_pharmacy };
        each_once_in_order(&seen, wanted, who);
    }
    let other = running.follower(OTHER_CLINIC).await.bundle("/fhir/Task/_history").await;
    assert!(entries(&other).is_empty(), "others are told nothing");
    running.server.stop().await.unwrap();
}

#[tokio::test]
async fn versions_can_be_read_and_places_cannot_be_forged() {
    let running = Running::start().await;
    let written = write(&running.world, 0).await;
    let id = written[0].0;
    let (clinic, other) = (running.follower(CLINIC).await, running.follower(OTHER_PHARMACY).await);
    let history = clinic.bundle(&format!("/fhir/Task/{id}/_history")).await;
    assert_eq!(entries(&history), written.iter().rev().copied().collect::<Vec<_>>());
    assert_eq!(history["total"], written.len());
    let third = clinic.get(&format!("/fhir/Task/{id}/_history/3"), None).await;
    assert_eq!(third.headers()["etag"], "W/\"3\"");
    assert_eq!(third.json::<Value>().await.unwrap()["status"], "in-progress");
    for path in [format!("/fhir/Task/{id}/_history"), format!("/fhir/Task/{id}/_history/1")] {
        assert_eq!(other.get(&path, None).await.status(), StatusCode::NOT_FOUND, "{path}");
    }
    let unknown = clinic.get(&format!("/fhir/Task/{id}/_history/99"), None).await;
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);

    let search = clinic.bundle("/fhir/Task?_lastUpdated=gt2020-01-01").await;
    let feed = link(&search, "feed").unwrap();
    assert!(entries(&clinic.bundle(&feed).await).is_empty(), "the search has told it all");
    let cursor = feed.split("_cursor=").nth(1).unwrap();
    let mut forged = cursor.to_owned();
    forged.replace_range(40..41, if &cursor[40..41] == "A" { "B" } else { "A" });
    for (who, cursor) in [(&other, cursor), (&clinic, &*forged), (&clinic, ""), (&clinic, "AAAA")] {
        for path in ["/fhir/Task/_history", "/fhir/Task/$events"] {
            let answer = who.get(&format!("{path}?_cursor={cursor}"), None).await;
            assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{path} {cursor}");
        }
    }
    running.server.stop().await.unwrap();
}

#[tokio::test]
async fn streams_are_few_and_end_with_the_server() {
    let running = Running::start().await;
    let clinic = running.follower(CLINIC).await;
    let mut streams = Vec::new();
    for _ in 0..4 {
        streams.push(clinic.get("/fhir/Task/$events", None).await);
    }
    assert!(streams.iter().all(|stream| stream.status() == StatusCode::OK));
    let refused = clinic.get("/fhir/Task/$events", None).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(refused.headers().contains_key("retry-after"));
    let other = running.follower(PHARMACY).await.get("/fhir/Task/$events", None).await;
    assert_eq!(other.status(), StatusCode::OK, "each facility has its own");
    drop(other);
    running.server.stop().await.unwrap();
    for mut stream in streams {
        while stream.chunk().await.unwrap().is_some() {}
    }
}
