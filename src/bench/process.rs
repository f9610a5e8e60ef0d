//! What the server's process uses, where the system tells (Linux, `/proc`) and the process is on this machine.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// Clock ticks a second in `/proc`, the same on every Linux.
const TICKS: f64 = 100.0;
/// State `LISTEN` in `/proc/net/tcp`.
const LISTEN: &str = "0A";

/// A process that listens.
#[derive(Clone, Debug)]
pub struct Process {
    pid: u32,
    place: PathBuf,
}

/// What a process uses.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Usage {
    /// Its id.
    pub pid: u32,
    /// Resident memory, KiB.
    pub rss_kib: u64,
    /// The most it ever had.
    pub rss_peak_kib: u64,
    /// Processor time since it started, seconds.
    pub cpu_seconds: f64,
}

impl Process {
    /// The process that listens on a port of this machine, when it can be told.
    pub fn listening(port: u16) -> Option<Self> {
        let inodes: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
            .into_iter()
            .flat_map(|table| listeners(Path::new(table), port))
            .collect();
        let mut processes = fs::read_dir("/proc").ok()?.flatten();
        processes.find_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let place = entry.path();
            let held = fs::read_dir(place.join("fd")).ok()?.flatten().any(|file| {
                fs::read_link(file.path()).is_ok_and(|link| {
                    inodes.iter().any(|inode| link.as_os_str() == format!("socket:[{inode}]").as_str())
                })
            });
            held.then_some(Self { pid, place })
        })
    }

    /// What it uses now.
    pub fn usage(&self) -> Option<Usage> {
        let status = fs::read_to_string(self.place.join("status")).ok()?;
        let kib = |name: &str| -> Option<u64> {
            status.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
        };
        let stat = fs::read_to_string(self.place.join("stat")).ok()?;
        Some(Usage {
            pid: self.pid,
            rss_kib: kib("VmRSS:")?,
            rss_peak_kib: kib("VmHWM:")?,
            cpu_seconds: ticks(&stat)? / TICKS,
        })
    }
}

/// The inodes of the sockets that listen on a port.
fn listeners(table: &Path, port: u16) -> Vec<String> {
    let text = fs::read_to_string(table).unwrap_or_default();
    let suffix = format!(":{port:04X}");
    text.lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let fits = fields.get(1)?.ends_with(&suffix) && *fields.get(3)? == LISTEN;
            fits.then(|| fields.get(9).map(|inode| (*inode).to_owned()))?
        })
        .collect()
}

/// User and system time. The name before them may hold spaces and parentheses.
fn ticks(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let mut field = || fields.next()?.parse::<f64>().ok();
    Some(field()? + field()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_found_by_its_port() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let process = Process::listening(listener.local_addr().unwrap().port()).unwrap();
        assert_eq!(process.pid, std::process::id());
        let usage = process.usage().unwrap();
        assert!(usage.rss_kib > 1000 && usage.rss_peak_kib >= usage.rss_kib && usage.cpu_seconds >= 0.0);
    }

    #[test]
    fn a_name_with_parentheses_is_no_field() {
        let stat = "1 (a) b) S 1 1 1 0 -1 4194304 1 1 1 1 250 50 0 0 20 0";
        assert_eq!(ticks(stat), Some(300.0));
    }
}
