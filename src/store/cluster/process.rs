//! The processes on a data directory: the server that runs, and what a killed one left.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::POLL;
use super::place::Place;

/// How long the processes of a killed server may take to notice.
const REMAINS_LIMIT: Duration = Duration::from_secs(10);

/// What a running server writes of itself into `postmaster.pid`: process, data, start, port, socket directory,
/// address, shared memory, state.
#[derive(Clone, Debug)]
pub(super) struct PidFile {
    pub pid: i32,
    pub port: u16,
    pub socket: PathBuf,
    pub ready: bool,
}

impl PidFile {
    pub fn read(data: &Path) -> Option<Self> {
        let text = fs::read_to_string(data.join("postmaster.pid")).ok()?;
        let mut lines = text.lines();
        Some(Self {
            pid: lines.next()?.trim().parse().ok()?,
            port: lines.nth(2)?.trim().parse().ok()?,
            socket: lines.next()?.trim().into(),
            ready: lines.nth(2).is_some_and(|state| state.trim() == "ready"),
        })
    }

    /// The server that runs on this data.
    pub fn read_running(data: &Path) -> Option<Self> {
        Self::read(data).filter(|found| serves(found.pid, data))
    }
}

/// Takes away what a killed server left: PostgreSQL would mistake any process that has the old number by now,
/// and the killed one while nobody has taken its exit status, for a running server.
///
/// Its files also guard against starting beside processes of the killed server that still write, so they are
/// only taken away once no process works in the data directory. When one stays, PostgreSQL judges.
pub(super) fn remains_clear(place: &Place) {
    let deadline = Instant::now() + REMAINS_LIMIT;
    while processes_on(&place.data) {
        if Instant::now() > deadline {
            return;
        }
        std::thread::sleep(POLL);
    }
    let lock = place.socket.join(".s.PGSQL.5432.lock");
    for file in [place.data.join("postmaster.pid"), lock] {
        // Mostly absent; and what cannot be removed PostgreSQL complains of on its start.
        let _ = fs::remove_file(file);
    }
}

/// Whether any process works in the directory.
fn processes_on(data: &Path) -> bool {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    numbers.any(|pid| serves(pid, data))
}

/// Whether the process is a PostgreSQL on this data: it works in its data directory.
pub(super) fn serves(pid: i32, data: &Path) -> bool {
    fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|directory| directory == data)
}
