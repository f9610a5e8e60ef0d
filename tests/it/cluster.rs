//! The private PostgreSQL across a `kill -9` of the program and of the server: what was acknowledged is there.

#![expect(clippy::expect_used, reason = "the helpers of tests are tests")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use hikikae::store::directory::{Facility, FacilityKind};
use hikikae::store::{Cluster, Durability, Keys, Store};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use ring::rand::SystemRandom;

use crate::harness;

/// Names the state directory to the program that is to be killed.
const HOLD: &str = "HIKIKAE_IT_HOLD";

async fn start(state: &Path) -> (Cluster, Store) {
    let rng = SystemRandom::new();
    let cluster = Cluster::start(state, Durability::Durable, &rng).expect("starts");
    let keys = Keys::load_or_create(&state.join("keys.json"), &rng).expect("keys");
    let opened = Store::open(cluster.config(), &harness::options(), &keys, harness::rng()).await;
    (cluster, opened.expect("opens"))
}

/// Not a test of its own: the program that [`acknowledged_is_durable`] starts and kills. Prints what the store
/// has acknowledged.
#[tokio::test]
async fn program_to_be_killed() {
    let Some(state) = std::env::var_os(HOLD) else { return };
    let (_cluster, store) = start(Path::new(&state)).await;
    for number in 0_u32.. {
        let code = format!("13{number:08}");
        let facility = Facility {
            code: code.parse().unwrap(),
            kind: FacilityKind::Clinic,
            name: "引換内科".into(),
            active: true,
        };
        store.facility_add(&facility).await.unwrap();
        let mut out = std::io::stdout().lock();
        writeln!(out, "acknowledged {code}").unwrap();
        out.flush().unwrap();
    }
}

#[tokio::test]
async fn acknowledged_is_durable() {
    let state = tempfile::tempdir().unwrap();
    let mut program = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "cluster::program_to_be_killed", "--nocapture"])
        .env(HOLD, state.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines().map_while(Result::ok);
    let code = |line: String| line.split_once("acknowledged ").map(|(_, code)| code.to_owned());
    let mut acknowledged: Vec<String> = lines.by_ref().filter_map(code).take(50).collect();
    program.kill().unwrap();
    program.wait().unwrap();
    acknowledged.extend(lines.filter_map(code));

    // The server outlived its program and is found; then it is killed too and recovers.
    for _ in 0..2 {
        let (cluster, store) = start(state.path()).await;
        for code in &acknowledged {
            let found = store.facility_find(&code.parse().unwrap()).await.unwrap();
            assert!(found.is_some(), "{code} was acknowledged and is gone");
        }
        kill(Pid::from_raw(cluster.pid()), Signal::SIGKILL).unwrap();
        drop(cluster);
    }
    let (cluster, _) = start(state.path()).await;
    cluster.stop().unwrap();
}
