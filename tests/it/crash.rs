//! `kill -9` of the real program under load: what was acknowledged is there once, nothing is there by halves, and what
//! lies on the disk shows nobody.

#![expect(clippy::unwrap_used, reason = "a server that cannot start fails its tests")]

use std::collections::HashSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use hikikae::clock::Clock;
use hikikae::config::Config;
use hikikae::serve::store_open;
use hikikae::trust::Assertion;
use ring::rand::SystemRandom;
use serde_json::{Map, Value};

use crate::world::{self, CLINIC, PKI, World};

const LOAD: u32 = 8;
const SERVER_LINE: Duration = Duration::from_mins(1);

struct Program {
    child: Child,
    base_url: String,
}

impl Program {
    fn start(directory: &Path) -> Self {
        let config = directory.join("hikikae.toml");
        let text = format!(
            "listen = \"127.0.0.1:0\"\nstate_dir = \"{}\"\ntrust_dir = \"{}\"\n",
            directory.join("state").display(),
            PKI.trust_directory().display(),
        );
        fs::write(&config, text).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_hikikae"))
            .args(["serve", "--config"])
            .arg(&config)
            .env("RUST_LOG", "info")
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = child.stderr.take().unwrap();
        let (send, receive) = std::sync::mpsc::channel();
        // The log is read to its end, so that the program never waits for its reader.
        std::thread::spawn(move || {
            for line in BufReader::new(log).lines().map_while(Result::ok) {
                let address = line.split("\"address\":\"").nth(1).and_then(|rest| rest.split('"').next());
                if let Some(address) = address {
                    let _ = send.send(format!("http://{address}"));
                }
            }
        });
        let base_url = receive.recv_timeout(SERVER_LINE).unwrap();
        Self { child, base_url }
    }

    async fn token(&self, client: &reqwest::Client, jti: &str) -> String {
        let clinic = &PKI.facilities[0];
        let assertion = Assertion {
            chain: std::slice::from_ref(&clinic.certificate),
            issuer: CLINIC,
            audience: &self.base_url,
            jti,
            issued_at: Clock::system().now(),
            claims: Map::new(),
        };
        let jwt = assertion.sign(&clinic.key, &SystemRandom::new()).unwrap();
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
        answer["access_token"].as_str().unwrap().to_owned()
    }
}

/// Registers and cancels one document after the other until the server is gone; keeps what was acknowledged.
async fn register_all(
    base: &str,
    client: &reqwest::Client,
    token: &str,
    documents: &[(u32, bytes::Bytes)],
    worker: u32,
    ended: &AtomicBool,
    acknowledged: &Mutex<HashSet<String>>,
) {
    const REASON: &str = r#"{"resourceType":"Parameters","parameter":[{"name":"reason","valueString":"x"}]}"#;
    let own = documents.iter().filter(|(patient, _)| *patient == worker);
    for (count, (patient, document)) in own.enumerate() {
        if ended.load(Ordering::Relaxed) {
            break;
        }
        let answer = client
            .post(format!("{base}/fhir/Task/$register"))
            .bearer_auth(token)
            .header("content-type", "application/xml")
            .header("idempotency-key", format!("{patient} {count}"))
            .body(document.clone())
            .send()
            .await;
        let Ok(answer) = answer else { break };
        let Ok(task) = answer.json::<Value>().await else { break };
        let Some(id) = task["id"].as_str().filter(|_| task["resourceType"] == "Task") else { continue };
        acknowledged.lock().unwrap().insert(id.to_owned());
        // The next document of the patient would meet this one as a duplicate.
        let _ = client
            .post(format!("{base}/fhir/Task/{id}/$cancel"))
            .bearer_auth(token)
            .header("content-type", "application/fhir+json")
            .body(REASON)
            .send()
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_a_kill_and_nothing_is_there_by_halves() {
    let directory = tempfile::tempdir().unwrap();
    // PostgreSQL, which does not run as root, has to pass through.
    fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
    let config = Config { state_dir: directory.path().join("state"), ..Config::default() };
    let (store, cluster) = store_open(&config).await.unwrap();
    world::populate(&store).await;
    drop(store);
    tokio::task::spawn_blocking(move || cluster.unwrap().stop().unwrap()).await.unwrap();

    // Signed beforehand; different days of supply make different documents.
    let world = World::new().await;
    let documents: Vec<_> = (0..LOAD)
        .flat_map(|patient| {
            let world = &world;
            (1..=20).map(move |days| {
                let rx = world::Rx {
                    days, drug: "620002477,クレストール錠２．５ｍｇ", ..world.rx(patient)
                };
                (patient, world.sign(&rx))
            })
        })
        .collect();

    let mut program = Program::start(directory.path());
    let client = reqwest::Client::new();
    let token = program.token(&client, "before").await;
    let acknowledged = Mutex::new(HashSet::new());
    let ended = AtomicBool::new(false);
    let load = join_all((0..LOAD).map(|worker| {
        register_all(&program.base_url, &client, &token, &documents, worker, &ended, &acknowledged)
    }));
    let kill = async {
        // Under way, however busy the machine is.
        for _ in 0..6000 {
            if !acknowledged.lock().unwrap().is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(150)).await;
        ended.store(true, Ordering::Relaxed);
    };
    let pid = nix::unistd::Pid::from_raw(i32::try_from(program.child.id()).unwrap());
    let ((), _) = tokio::join!(
        async {
            kill.await;
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
        },
        load
    );
    program.child.wait().unwrap();
    let acknowledged = acknowledged.into_inner().unwrap();
    assert!(!acknowledged.is_empty(), "the load began before the kill");

    let mut program = Program::start(directory.path());
    let token = program.token(&client, "after").await;
    for id in &acknowledged {
        for path in [format!("/fhir/Task/{id}"), format!("/fhir/Task/{id}/$document")] {
            let answer =
                client.get(format!("{}{path}", program.base_url)).bearer_auth(&token).send().await.unwrap();
            assert_eq!(answer.status(), 200, "{path}");
        }
    }
    let pid = nix::unistd::Pid::from_raw(i32::try_from(program.child.id()).unwrap());

    // Behind the program's back: every prescription has all its rows, and none has more.
    let (store, cluster) = store_open(&config).await.unwrap();
    let database = cluster.as_ref().unwrap().config();
    let rows = crate::harness::connect(&database)
        .await
        .query_one(
            "SELECT count(*) AS prescriptions,
                    count(*) FILTER (WHERE (SELECT count(*) FROM document d
                        WHERE d.bucket = p.bucket AND d.prescription_id = p.id) = 1
                      AND (SELECT count(*) FROM medication m
                        WHERE m.bucket = p.bucket AND m.patient_id = p.patient_id AND m.prescription_id = p.id) = 1
                      AND (SELECT count(*) FROM access_record a
                        WHERE a.bucket = p.bucket AND a.prescription_id = p.id AND a.act = 'register') = 1) AS whole
             FROM prescription p",
            &[],
        )
        .await
        .unwrap();
    let (prescriptions, whole): (i64, i64) = (rows.get(0), rows.get(1));
    assert_eq!(prescriptions, whole);
    assert!(usize::try_from(prescriptions).unwrap() >= acknowledged.len());
    drop(store);

    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    program.child.wait().unwrap();
    let cluster = cluster.unwrap();
    let data = cluster.data().to_owned();
    tokio::task::spawn_blocking(move || cluster.stop().unwrap()).await.unwrap();

    // Invariant 8, on the files of the stopped cluster.
    let mut secrets: Vec<String> = (0..LOAD).flat_map(|n| [world::name(n), world::number(n)]).collect();
    secrets.extend(["クレストール", "620002477", "セカイ カンジャ"].map(str::to_owned));
    let searched = search(&data, &secrets);
    assert!(searched > 1 << 20, "the files of the cluster were searched");
}

/// Searches every file below for the secrets in UTF-8; answers how many bytes were looked at.
fn search(directory: &Path, secrets: &[String]) -> usize {
    let mut searched = 0;
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            searched += search(&path, secrets);
        } else if path.is_file() {
            let bytes = fs::read(&path).unwrap();
            for secret in secrets {
                let found = memchr::memmem::find(&bytes, secret.as_bytes());
                assert!(found.is_none(), "{} shows {secret}", path.display());
            }
            searched += bytes.len();
        }
    }
    searched
}
