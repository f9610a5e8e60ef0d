//! Making a cluster: `initdb`, our settings, our database.

use std::fmt::Write;
use std::fs;
use std::io;
use std::process::Stdio;

use super::place::{Place, io_error};
use super::program::Programs;
use super::{ClusterError, Durability, NAME};

/// A new cluster with its database, put in place only when it is complete.
pub(super) fn cluster_make(
    place: &Place,
    programs: &Programs,
    durability: Durability,
) -> Result<(), ClusterError> {
    let draft = place.draft()?;
    let directory = draft.to_string_lossy();
    let mut args = vec![
        "--pgdata",
        &directory,
        "--username",
        NAME,
        "--encoding=UTF8",
        "--locale=C",
        "--data-checksums",
        "--auth-local=trust",
        "--auth-host=reject",
        "--no-instructions",
    ];
    if durability == Durability::Volatile {
        args.push("--no-sync");
    }
    programs.run("initdb", args)?;
    // A program without lz4 refuses the setting before it starts.
    let lz4 = ["-D", &directory, "-c", "wal_compression=lz4", "-C", "wal_compression"];
    let compression = if programs.run("postgres", lz4).is_ok() { "lz4" } else { "on" };
    let settings = draft.join("postgresql.conf");
    let append = || -> io::Result<()> {
        let mut text = fs::read_to_string(&settings)?;
        text.push_str(SETTINGS);
        writeln!(text, "wal_compression = {compression}").map_err(io::Error::other)?;
        writeln!(text, "shared_buffers = {}MB", shared_buffers_mb()).map_err(io::Error::other)?;
        fs::write(&settings, text)
    };
    append().map_err(|source| io_error(&settings, source))?;
    database_make(programs, &directory)?;
    place.draft_keep(&draft)
}

/// An eighth of the machine's memory, 128 MB to 4 GB: half of what PostgreSQL's manual (20.4.1) starts from, because the
/// server lives beside it. 256 MB where the system does not say what it has.
fn shared_buffers_mb() -> u64 {
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next());
    let kib: Option<u64> = total.and_then(|kib| kib.parse().ok());
    kib.map_or(256, |kib| (kib / 1024 / 8).clamp(128, 4096))
}

/// Makes the database in single-user mode, before any server runs on the data.
fn database_make(programs: &Programs, directory: &str) -> Result<(), ClusterError> {
    let failed = |output: String| ClusterError::Failed { program: "postgres --single", output };
    let mut child = programs
        .command("postgres")
        .args(["--single", "-D", directory, "template1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|source| failed(source.to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        io::Write::write_all(&mut stdin, format!("CREATE DATABASE {NAME}\n").as_bytes())
            .map_err(|source| failed(source.to_string()))?;
    }
    let output = child.wait_with_output().map_err(|source| failed(source.to_string()))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() && !said.contains("ERROR") { Ok(()) } else { Err(failed(said)) }
}

/// Appended to `postgresql.conf` once; from then on the operator's to tune. The log keeps no values: no DETAIL
/// lines, no parameters.
const SETTINGS: &str = "
# Hikikae
max_connections = 64
max_wal_size = 2GB
checkpoint_timeout = 15min
fsync = on
synchronous_commit = on
full_page_writes = on
random_page_cost = 1.1
log_error_verbosity = terse
log_parameter_max_length = 0
log_parameter_max_length_on_error = 0
log_min_error_statement = panic
log_line_prefix = '%m [%p] '
timezone = 'UTC'
log_timezone = 'UTC'
";
