//! The installed PostgreSQL programs: where they are, of which version, and as whom they run.
//!
//! Knows nothing of the cluster that is run with them. Installs nothing.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::unistd::{User, geteuid};

use super::ClusterError;

/// Where Debian keeps its versions.
const DEBIAN: &str = "/usr/lib/postgresql";
/// Names the directory of the programs outright.
const OVERRIDE: &str = "HIKIKAE_PG_BIN";

/// The system user that owns a cluster when this program runs as root, which PostgreSQL refuses to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub uid: u32,
    pub gid: u32,
}

impl Owner {
    /// `None`: this process is not root and owns the cluster itself.
    pub fn find() -> Result<Option<Self>, ClusterError> {
        if !geteuid().is_root() {
            return Ok(None);
        }
        match User::from_name("postgres") {
            Ok(Some(user)) => Ok(Some(Self { uid: user.uid.as_raw(), gid: user.gid.as_raw() })),
            _ => Err(ClusterError::NoUser),
        }
    }

    /// Whether the owner may enter the directory.
    pub fn may_enter(self, directory: &Path) -> bool {
        let mut test = Command::new("test");
        test.arg("-x").arg(directory).uid(self.uid).gid(self.gid).current_dir("/").stderr(Stdio::null());
        test.status().is_ok_and(|status| status.success())
    }
}

/// A directory of PostgreSQL programs.
#[derive(Clone, Debug)]
pub(super) struct Programs {
    directory: PathBuf,
    pub major: u32,
    owner: Option<Owner>,
}

impl Programs {
    /// The newest programs installed, or those of `major` when a data directory wants that version.
    pub fn find(owner: Option<Owner>, major: Option<u32>) -> Result<Self, ClusterError> {
        let mut found: Vec<Self> = directories()
            .into_iter()
            .filter(|directory| directory.join("initdb").is_file())
            .filter_map(|directory| {
                let major = major_version(&directory.join("postgres"))?;
                Some(Self { directory, major, owner })
            })
            .collect();
        found.sort_by_key(|programs| programs.major);
        match major {
            None => found.pop().ok_or(ClusterError::NotInstalled),
            Some(wanted) => found
                .into_iter()
                .rev()
                .find(|programs| programs.major == wanted)
                .ok_or(ClusterError::VersionMissing { major: wanted }),
        }
    }

    /// A command of one of the programs, as the owner, away from the caller's settings.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.directory.join(program));
        command.current_dir("/").stdin(Stdio::null()).env("LC_ALL", "C");
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"PG")) {
            command.env_remove(name);
        }
        if let Some(owner) = self.owner {
            command.uid(owner.uid).gid(owner.gid);
        }
        command
    }

    /// Runs a program to its end and answers its standard output.
    pub fn run<A: AsRef<OsStr>>(
        &self,
        program: &'static str,
        args: impl IntoIterator<Item = A>,
    ) -> Result<String, ClusterError> {
        let output = self
            .command(program)
            .args(args)
            .output()
            .map_err(|source| ClusterError::Io { path: self.directory.join(program), source })?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(ClusterError::Failed {
                program,
                output: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            })
        }
    }
}

fn directories() -> Vec<PathBuf> {
    if let Some(directory) = std::env::var_os(OVERRIDE) {
        return vec![directory.into()];
    }
    let debian = std::fs::read_dir(DEBIAN).into_iter().flatten().flatten();
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain(debian.map(|entry| entry.path().join("bin"))).collect()
}

/// `postgres (PostgreSQL) 15.14 (Debian …)`
fn major_version(postgres: &Path) -> Option<u32> {
    let output = Command::new(postgres).arg("--version").stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let digits = text.split_whitespace().nth(2)?.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}
