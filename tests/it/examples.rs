//! Every example of README.md and docs/ is run. The first word behind a fence says how:
//!
//! | fence | the block is |
//! |---|---|
//! | `sh` | run by `sh -eu`, and ends with 0 |
//! | `console` | lines `$ command`, each followed by what it says; a line `…` stands for any lines |
//! | `http` | a request, or the answer to the request before it ([`http`]) |
//! | `toml` | read as a configuration |
//! | `json personas.json` | compared with the file the program writes, by `demo.rs` |
//! | `csv NAME` | NAME in every page's directory, for the commands that take it |
//! | `text` | a drawing |
//! | any, with `no-run: reason` | told, not run |
//!
//! The blocks of a page are run in order in one directory, which holds what a reader would have by then: a sandbox's
//! keys under `.hikikae/demo`, the fixtures, a configuration. `hikikae serve` is stopped once it listens.

#![expect(clippy::unwrap_used, reason = "an example that cannot be run fails its test")]

mod http;
pub mod page;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use hikikae::config::Config;
use hikikae::sandbox::persona::Personas;
use tempfile::TempDir;

use crate::harness::Database;
use crate::world::PKI;
use http::Story;
use page::{Block, pages};

/// Stands before the program: a server that listens has done what its example says.
const PROGRAM: &str = r#"#!/bin/sh
if [ "$1" != serve ]; then exec "$PROGRAM" "$@"; fi
"$PROGRAM" "$@" 2>serve.log &
server=$!
until grep -q '"address"' serve.log; do kill -0 $server || exit 1; sleep 0.1; done
kill -TERM $server
wait $server
"#;

/// What a reader's directory holds.
struct Reader(TempDir);

impl Reader {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (path, database) = (directory.path(), Database::empty().await);
        for block in pages().iter().flat_map(|page| &page.blocks).filter(|block| block.kind == "csv") {
            fs::write(path.join(block.name.as_ref().unwrap()), &block.text).unwrap();
        }
        let project = Path::new(env!("CARGO_MANIFEST_DIR"));
        symlink(project.join("fixtures"), path.join("fixtures")).unwrap();
        symlink(project.join("fixtures/formulary"), path.join("masters")).unwrap();
        let (pki, keys) = (path.join(".hikikae/demo/pki"), PKI.trust_directory());
        fs::create_dir_all(pki.join("people")).unwrap();
        symlink(&keys, pki.join("trust")).unwrap();
        for person in Personas::fixture().unwrap().practitioners {
            let who = if person.role == "Pharmacist" { "pharmacist" } else { "physician" };
            for kind in ["pem", "key"] {
                let file = keys.with_file_name("people").join(format!("{who}.{kind}"));
                symlink(file, pki.join(format!("people/{}.{kind}", person.id))).unwrap();
            }
        }
        let config = format!(
            "listen = \"127.0.0.1:0\"\nstate_dir = \"state\"\ntrust_dir = {:?}\ndatabase_url = \"{}\"\n",
            keys.display().to_string(),
            database.connection(),
        );
        fs::write(path.join("hikikae.toml"), config).unwrap();
        let program = path.join("bin/hikikae");
        fs::create_dir(path.join("bin")).unwrap();
        fs::write(&program, PROGRAM).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        Self(directory)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn run(&self, script: &str) -> Output {
        let path = std::env::var("PATH").unwrap();
        Command::new("sh")
            .args(["-euc", script])
            .current_dir(self.path())
            .env("PATH", format!("{}:{path}", self.path().join("bin").display()))
            .env("PROGRAM", env!("CARGO_BIN_EXE_hikikae"))
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// Runs each `$ command` and compares what it says.
    fn converse(&self, block: &Block) {
        for part in block.text.split("$ ").filter(|part| !part.is_empty()) {
            let (command, wanted) = part.split_once('\n').unwrap_or((part, ""));
            let said = self.run(command);
            let told = String::from_utf8(said.stdout).unwrap();
            let (wanted, given): (Vec<&str>, Vec<&str>) = (wanted.lines().collect(), told.lines().collect());
            let errors = String::from_utf8_lossy(&said.stderr);
            assert!(lines_fit(&wanted, &given), "{block}: `{command}` says\n{told}{errors}");
        }
    }
}

fn lines_fit(wanted: &[&str], given: &[&str]) -> bool {
    match wanted {
        [] => given.is_empty(),
        ["…", rest @ ..] => (0..=given.len()).any(|skipped| lines_fit(rest, &given[skipped..])),
        [first, rest @ ..] => given.first() == Some(first) && lines_fit(rest, &given[1..]),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_in_the_documentation_is_run() {
    let (mut run, mut told) = (0, Vec::new());
    for page in pages() {
        let (mut reader, mut story): (Option<Reader>, Option<Story>) = (None, None);
        for block in &page.blocks {
            if let Some(reason) = &block.not_run {
                told.push(format!("{block}: {reason}"));
                continue;
            }
            match (block.kind.as_str(), block.name.as_deref()) {
                ("sh" | "console", None) if reader.is_none() => reader = Some(Reader::new().await),
                ("http", None) if story.is_none() => story = Some(Story::open().await),
                _ => {}
            }
            let (reader, story) = (reader.as_ref(), story.as_mut());
            match (block.kind.as_str(), block.name.as_deref()) {
                ("sh", None) => {
                    let output = reader.unwrap().run(&block.text);
                    let said = String::from_utf8_lossy(&output.stderr);
                    assert!(output.status.success(), "{block}: {said}");
                }
                ("console", None) => reader.unwrap().converse(block),
                ("http", None) => story.unwrap().go_on(block).await,
                ("toml", None) => assert!(Config::parse(&block.text).is_ok(), "{block}"),
                // Compared by `demo::the_story_comes_to_its_end_twice_with_the_same_keys`; for the commands that take it.
                ("json", Some("personas.json")) | ("csv", Some(_)) => {}
                ("text", None) => continue,
                _ => panic!("{block}: nobody knows how to run this; see {}", file!()),
            }
            run += 1;
        }
        if let Some(story) = story {
            story.end();
        }
    }
    eprintln!("{run} examples run; not run:\n{}", told.join("\n"));
    assert!(run > 20, "the documentation has lost its examples: {run}");
}

#[test]
fn a_line_of_three_dots_stands_for_any_lines() {
    let fits = |wanted: &str, given: &str| {
        lines_fit(&wanted.lines().collect::<Vec<_>>(), &given.lines().collect::<Vec<_>>())
    };
    assert!(fits("a\n…\nd", "a\nb\nc\nd") && fits("…", "") && fits("…\na", "a\nb\na"));
    assert!(!fits("a\n…\nd", "a\nb") && !fits("", "a") && !fits("a", "a\nb"));
}
