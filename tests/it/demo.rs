//! The real program: the sandbox tells its story, twice in the same directory, and a server with work in flight
//! stops when it is asked to.

#![expect(clippy::unwrap_used, reason = "a program that cannot be run fails its tests")]

use std::fs::{Permissions, read_to_string, set_permissions, write};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::examples::page::named;
use crate::world::PKI;

/// Longer than any drain the configuration allows by default.
const PATIENCE: Duration = Duration::from_mins(2);

fn directory() -> tempfile::TempDir {
    let directory = tempfile::Builder::new().prefix("hikikae-demo-").tempdir().unwrap();
    // As root the database runs as another user, who must be able to pass.
    set_permissions(directory.path(), Permissions::from_mode(0o711)).unwrap();
    directory
}

fn hikikae() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hikikae"));
    command.stdin(Stdio::null()).env_remove("RUST_LOG");
    command
}

fn wait(child: &mut Child) -> ExitStatus {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if Instant::now() > end {
            child.kill().unwrap();
            panic!("the program hangs");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn demo_once(directory: &Path) -> (String, Value) {
    let told = directory.join("told.txt");
    let mut child = hikikae()
        .args(["demo", "--once", "--listen", "127.0.0.1:0", "--dir"])
        .arg(directory)
        .stdout(std::fs::File::create(&told).unwrap())
        .spawn()
        .unwrap();
    let status = wait(&mut child);
    let told = read_to_string(told).unwrap();
    assert_eq!(status.code(), Some(0), "{told}");
    let personas = serde_json::from_str(&read_to_string(directory.join("personas.json")).unwrap()).unwrap();
    (told, personas)
}

/// The contract's layout of `personas.json`, name by name.
fn layout(personas: &Value) {
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    let documented: Value = serde_json::from_str(&named("personas.json")).unwrap();
    assert_eq!(names(personas), names(&documented));
    let each = |kind: &str| personas[kind].as_array().unwrap().iter().map(names).collect::<Vec<_>>();
    for kind in ["facilities", "practitioners", "apps"] {
        assert!(each(kind).iter().all(|given| *given == names(&documented[kind][0])), "{kind}");
    }
    let patient = names(&documented["patients"][0]);
    let (with_card, without): (Vec<_>, Vec<_>) =
        each("patients").into_iter().partition(|names| *names == patient);
    assert_eq!(without, [patient.strip_suffix(" cert chain key").unwrap()], "only one patient has no card");
    assert!(with_card.len() >= 11);
}

#[test]
fn the_story_comes_to_its_end_twice_with_the_same_keys() {
    let directory = directory();
    let (told, first) = demo_once(directory.path());
    for step in
        ["409 Conflict", "held-by-pharmacy", "identity-not-verified", "\"completed\"", "\"cancelled\""]
    {
        assert!(told.contains(step), "the story does not tell {step}");
    }
    assert!(!told.contains('\u{1b}'), "colours are for terminals");
    let base_url = first["base_url"].as_str().unwrap();
    assert!(base_url.starts_with("http://127.0.0.1:") && !base_url.ends_with(":0"), "{base_url}");
    assert_eq!(directory.path().join("personas.json").metadata().unwrap().mode() & 0o777, 0o600);
    let everybody = ["facilities", "practitioners", "patients"];
    layout(&first);
    let files = |personas: &Value| -> Vec<Vec<u8>> {
        everybody
            .iter()
            .flat_map(|kind| personas[kind].as_array().unwrap())
            .flat_map(|persona| ["cert", "key"].map(|file| persona[file].as_str()))
            .flatten()
            .map(|file| std::fs::read(directory.path().join(file)).unwrap())
            .collect()
    };
    let keys = files(&first);
    assert!(keys.len() > 40);

    let (_, second) = demo_once(directory.path());
    for kind in everybody {
        assert_eq!(first[kind], second[kind], "{kind}");
    }
    assert_eq!(keys, files(&second), "keys and certificates are kept");
    assert!(
        !directory.path().join("server/postgres/data/postmaster.pid").exists(),
        "the database has stopped"
    );
}

#[test]
fn a_server_with_work_in_flight_stops_when_asked_to() {
    let directory = directory();
    let config = directory.path().join("hikikae.toml");
    let (state, trust) = (directory.path().join("state"), PKI.trust_directory());
    let text = format!(
        "listen = \"127.0.0.1:0\"\nstate_dir = {:?}\ntrust_dir = {:?}\n[request]\ndrain_seconds = 5\nhead_seconds = 5\n",
        state.display().to_string(),
        trust.display().to_string()
    );
    write(&config, text).unwrap();
    let mut child =
        hikikae().arg("serve").arg("--config").arg(&config).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    let address = log
        .by_ref()
        .map_while(Result::ok)
        .filter_map(|line| serde_json::from_str::<Value>(&line).ok())
        .find_map(|line| line["fields"]["address"].as_str().map(str::to_owned))
        .expect("the server says where it listens");
    // Whoever reads no log must not hold up the one who writes it.
    std::thread::spawn(move || log.for_each(drop));

    let (asked, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let (address, asked, answered) = (address.clone(), Arc::clone(&asked), Arc::clone(&answered));
            std::thread::spawn(move || {
                while let Ok(mut stream) = TcpStream::connect(&address) {
                    let request =
                        format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
                    let mut answer = String::new();
                    let told = stream
                        .write_all(request.as_bytes())
                        .and_then(|()| stream.read_to_string(&mut answer));
                    let whole =
                        told.is_ok() && answer.starts_with("HTTP/1.1 200") && answer.ends_with("ready\n");
                    // A connection made after the signal may be refused or dropped; an answer begun may not.
                    assert!(whole || asked.load(Ordering::SeqCst), "{answer}");
                    assert!(whole || answer.is_empty() || !answer.starts_with("HTTP/1.1 200"), "{answer}");
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    // One who never sends the body that was announced, and one who sends nothing.
    let mut half = TcpStream::connect(&address).unwrap();
    half.write_all(b"POST /oauth2/token HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\ngrant").unwrap();
    let idle = TcpStream::connect(&address).unwrap();
    while answered.load(Ordering::SeqCst) < 100 {
        std::thread::sleep(Duration::from_millis(10));
    }
    asked.store(true, Ordering::SeqCst);
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
    assert_eq!(wait(&mut child).code(), Some(0));
    for worker in workers {
        worker.join().unwrap();
    }
    drop((half, idle));
    assert!(!state.join("postgres/data/postmaster.pid").exists(), "the database has stopped");
}

#[test]
fn a_server_that_cannot_start_says_what_to_do() {
    let output = hikikae().args(["serve", "--config", "/nowhere/hikikae.toml"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("/nowhere/hikikae.toml") && told.contains("--config"), "{told}");
}
