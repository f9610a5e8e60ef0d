//! Runs the program and keeps what it said.

#![expect(clippy::unwrap_used, reason = "a program that cannot be run fails its tests")]

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a run ended with.
#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub out: Vec<u8>,
    pub err: String,
}

impl Run {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.out).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.out).unwrap()
    }

    /// The output of a run that must have succeeded.
    #[track_caller]
    pub fn done(self) -> Self {
        assert_eq!(self.code, 0, "{}{}", self.err, String::from_utf8_lossy(&self.out));
        self
    }
}

/// Runs `hikikae`.
pub fn hikikae<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Run {
    let output =
        Command::new(env!("CARGO_BIN_EXE_hikikae")).args(args).env_remove("RUST_LOG").output().unwrap();
    Run {
        code: output.status.code().unwrap(),
        out: output.stdout,
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A file of the project.
pub fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The arguments of a line, split at spaces.
pub fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}
