//! The bench against a sandbox: the population is read by the server, every scenario comes to its end without a refusal,
//! and the bare database does the same acts.

#![expect(clippy::unwrap_used, reason = "a program that cannot be run fails its tests")]

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Days;
use hikikae::bench::drug::Drugs;
use hikikae::bench::person::{insured, person};
use hikikae::bench::population::Population;
use hikikae::clock::{Clock, japanese_date};
use hikikae::formulary::Formulary;
use hikikae::prescription::state::Shown;
use hikikae::store::PrescriptionId;
use hikikae::store::prescription::{Filter, Whose};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::harness;

#[tokio::test]
async fn what_is_loaded_is_read_as_what_the_server_wrote() {
    let store = harness::store().await;
    let drugs = Arc::new(Drugs::load(&Formulary::fixture().unwrap(), None).unwrap());
    let (clock, mut population) = (Clock::system(), Population::default());
    let today = japanese_date(clock.now());
    population.cohorts.push(population.cohort(30, 100, today));
    let written = population.cohorts[0].write(&store, &drugs, Arc::new(|_| ())).await.unwrap();
    assert_eq!(written, 200);
    for number in 0..30 {
        let persona = person(number);
        let identity = insured(&persona).unwrap();
        let found = store.identity_find(&identity, persona.birth_date, today).await.unwrap();
        let patient = found.unwrap().patient;
        assert_eq!(patient.particulars.name, persona.name);
        let history = store.history_read(patient.id, today - Days::new(3650), clock.now()).await.unwrap();
        // What was dispensed counts, and what was prescribed no more.
        let visits = population.visits(number, &drugs).unwrap();
        let given: Vec<_> =
            visits.iter().flat_map(|visit| &visit.drugs).map(|drug| Some(drug.code())).collect();
        let mut read: Vec<_> = history.periods.iter().map(|period| period.code.clone()).collect();
        assert!(!given.is_empty() && read.len() == given.len());
        for code in &given {
            let at = read.iter().position(|read| read == code);
            read.remove(at.expect("every medicine given is read"));
        }
        let whose = Whose::Patient(vec![patient.id]);
        let prescriptions = store.prescription_list(&whose, &Filter::default(), None).await.unwrap();
        assert_eq!(prescriptions.len(), visits.len());
        for one in prescriptions {
            let id = PrescriptionId::from_uuid(one.registered.id);
            let versions = store.prescription_version_list(id).await.unwrap();
            assert_eq!(versions.len(), 3);
            assert_eq!(versions.last().map(|last| &last.registered), Some(&one.registered));
            assert_eq!(one.registered.life.shown(clock.now()), Shown::Dispensed);
        }
    }
}

/// A sandbox that stays up, stopped when the test ends in whatever way.
struct Sandbox {
    directory: tempfile::TempDir,
    server: Child,
}

impl Sandbox {
    fn start() -> Self {
        let directory = tempfile::Builder::new().prefix("hikikae-bench-").tempdir().unwrap();
        set_permissions(directory.path(), Permissions::from_mode(0o711)).unwrap();
        let server = Command::new(env!("CARGO_BIN_EXE_hikikae"))
            .args(["demo", "--listen", "127.0.0.1:0", "--dir"])
            .arg(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let sandbox = Self { directory, server };
        let end = Instant::now() + Duration::from_mins(3);
        while !sandbox.directory.path().join("personas.json").exists() {
            assert!(Instant::now() < end, "the sandbox does not come up");
            std::thread::sleep(Duration::from_millis(50));
        }
        sandbox
    }

    fn bench(&self, line: &str) -> Value {
        let output = run(self.directory.path(), line);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{line}: {told}");
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let pid = Pid::from_raw(i32::try_from(self.server.id()).unwrap());
        let _ = kill(pid, Signal::SIGTERM);
        let _ = self.server.wait();
    }
}

fn run(directory: &Path, line: &str) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_hikikae"))
        .arg("bench")
        .args(line.split_whitespace())
        .arg("--dir")
        .arg(directory)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[test]
fn every_scenario_comes_to_its_end_without_a_refusal() {
    let sandbox = Sandbox::start();
    let early = run(sandbox.directory.path(), "register");
    assert_eq!(early.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&early.stderr).contains("bench populate"));

    let populated = sandbox.bench("populate --patients 60 --rows 301 --json");
    assert_eq!((&populated["patients"], &populated["rows"]), (&60.into(), &302.into()));

    let journey = sandbox.bench("journey --documents 6 --clients 2 --seconds 60 --json");
    assert_eq!(journey["journeys"]["done"], 6, "{journey:#}");
    assert_eq!(journey["exhausted"], "register");
    for act in ["register", "identify", "accept", "dispense", "read"] {
        assert_eq!(journey["acts"][act]["done"], 6, "{journey:#}");
    }

    let jose = sandbox.bench("journey --form jose --documents 4 --clients 2 --seconds 60 --json");
    assert_eq!(jose["journeys"]["done"], 4, "{jose:#}");

    let national = sandbox.bench("national --rate 20 --seconds 2 --clients 4 --json");
    let acts = national["acts"].as_object().unwrap();
    let done: u64 = acts.values().map(|act| act["done"].as_u64().unwrap()).sum();
    assert_eq!((acts.len(), done), (6, 40), "{national:#}");
    assert!(acts.values().all(|act| act["refused"].as_object().unwrap().is_empty()), "{national:#}");
    assert!(national["server"]["rss_kib"].as_u64().unwrap() > 10_000, "{national:#}");

    let limit = sandbox.bench("limit --rounds 1 --documents 12 --clients 2 --json");
    let compared: Vec<&str> =
        limit.as_array().unwrap().iter().filter_map(|one| one["act"].as_str()).collect();
    assert_eq!(compared, ["register", "check", "accept", "dispense"]);
    assert!(limit.as_array().unwrap().iter().all(|one| one["ratio"].as_f64().unwrap() > 0.0), "{limit:#}");

    let elsewhere = run(sandbox.directory.path(), "register --url http://192.0.2.1:80");
    assert_eq!(elsewhere.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&elsewhere.stderr).contains("--remote"));
}
