//! A private PostgreSQL (専用クラスタ) under the state directory, for when no `database_url` is configured.
//!
//! Owns its making, starting, finding again and stopping. Listens on a Unix socket in a directory only its
//! owner may enter, on no network address. Knows no table.
//!
//! The server outlives a killed exchange and is found again by the next one. Programs that share a state
//! directory share the server; the last one to stop stops it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use ring::rand::SecureRandom;

mod make;
mod place;
mod process;
mod program;

use make::cluster_make;
use place::{Place, io_error};
use process::{PidFile, remains_clear, serves};
use program::{Owner, Programs};

/// The role and the database inside a private cluster.
const NAME: &str = "hikikae";
/// Crash recovery of a busy server takes minutes at worst.
const START_LIMIT: Duration = Duration::from_mins(3);
const STOP_LIMIT: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(20);

/// Why there is no private PostgreSQL. Its text is for the operator and tells what to do.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// No PostgreSQL programs were found.
    #[error("no PostgreSQL programs found; install them with: apt-get install postgresql")]
    NotInstalled,
    /// The data directory was made by a version that is not installed.
    #[error(
        "the data directory needs PostgreSQL {major}; install it with: apt-get install postgresql-{major}"
    )]
    VersionMissing {
        /// Major version.
        major: u32,
    },
    /// This program runs as root, which PostgreSQL refuses, and there is no user `postgres` to run it as.
    #[error("running as root needs a user postgres to run PostgreSQL as: apt-get install postgresql")]
    NoUser,
    /// A directory of the cluster can be entered by others.
    #[error("{} exists and is not a directory that only the cluster's owner may enter", path.display())]
    NotPrivate {
        /// The directory.
        path: PathBuf,
    },
    /// A PostgreSQL program failed.
    #[error("{program} failed: {output}")]
    Failed {
        /// The program.
        program: &'static str,
        /// What it said.
        output: String,
    },
    /// The server did not come up, or not in time.
    #[error("PostgreSQL did not start; the end of {}:\n{tail}", log.display())]
    NotStarted {
        /// Its log.
        log: PathBuf,
        /// The last lines of the log.
        tail: String,
    },
    /// The server did not stop in time.
    #[error("PostgreSQL (process {0}) did not stop in time")]
    NotStopped(i32),
    /// A file or directory could not be used.
    #[error("{}: {source}", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// The operating system's word.
        source: io::Error,
    },
    /// The random generator failed.
    #[error("the random generator failed")]
    Random,
}

/// Whether what is committed outlives the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Committed is on disk. The only choice outside tests.
    Durable,
    /// Committed may be lost with the machine (not with the program); several times faster.
    Volatile,
}

/// A running private PostgreSQL.
pub struct Cluster {
    place: Place,
    programs: Programs,
    server: PidFile,
    /// Set when this process started the server and has to take its exit status.
    child: Option<Child>,
    /// Locked shared by every program that uses the cluster.
    users: File,
    /// Locked by whoever starts or stops the server.
    gate: PathBuf,
    stopped: bool,
}

impl Cluster {
    /// Makes the cluster under `state` when there is none, starts it when it is not running, and waits until it
    /// answers. Blocks the thread.
    ///
    /// # Errors
    /// [`ClusterError`]
    pub fn start(state: &Path, durability: Durability, rng: &dyn SecureRandom) -> Result<Self, ClusterError> {
        fs::create_dir_all(state).map_err(|source| io_error(state, source))?;
        let state = fs::canonicalize(state).map_err(|source| io_error(state, source))?;
        let gate = state.join("postgres.gate");
        let _gate = locked(&gate)?;
        let users = open_lock(&state.join("postgres.users"))?;
        users.lock_shared().map_err(|source| io_error(&state, source))?;

        let owner = Owner::find()?;
        let place = Place::prepare(&state, owner, rng)?;
        let programs = Programs::find(owner, data_version(&place.data))?;
        if !place.data.exists() {
            cluster_make(&place, &programs, durability)?;
        }
        let mut child = None;
        let server = if let Some(running) = PidFile::read_running(&place.data) {
            await_ready(&place, running.pid, &mut None)?
        } else {
            remains_clear(&place);
            let mut started = server_spawn(&place, &programs, durability)?;
            let pid = i32::try_from(started.id()).map_err(|_| ClusterError::NotStopped(0))?;
            let ready = await_ready(&place, pid, &mut Some(&mut started))?;
            child = Some(started);
            ready
        };
        tracing::info!(
            data = %place.data.display(), version = programs.major, pid = server.pid, attached = child.is_none(),
            "private PostgreSQL is ready"
        );
        Ok(Self { place, programs, server, child, users, gate, stopped: false })
    }

    /// How to connect.
    pub fn config(&self) -> tokio_postgres::Config {
        let mut config = tokio_postgres::Config::new();
        config.host_path(&self.server.socket).port(self.server.port).user(NAME).dbname(NAME);
        config
    }

    /// The data directory.
    pub fn data(&self) -> &Path {
        &self.place.data
    }

    /// The process id of the server.
    pub fn pid(&self) -> i32 {
        self.server.pid
    }

    /// The database as `pg_dump` writes it.
    ///
    /// # Errors
    /// [`ClusterError::Failed`]
    pub fn dump(&self, database: &str) -> Result<String, ClusterError> {
        let port = self.server.port.to_string();
        let args = ["--username", NAME, "--port", &port, "--dbname", database, "--host"];
        self.programs.run("pg_dump", args.iter().map(AsRef::as_ref).chain([self.server.socket.as_os_str()]))
    }

    /// Stops the server (fast: open transactions are rolled back), unless another program uses it too.
    /// Blocks the thread.
    ///
    /// # Errors
    /// [`ClusterError::NotStopped`]
    pub fn stop(mut self) -> Result<(), ClusterError> {
        self.stop_once()
    }

    fn stop_once(&mut self) -> Result<(), ClusterError> {
        if std::mem::replace(&mut self.stopped, true) {
            return Ok(());
        }
        let _gate = locked(&self.gate)?;
        if self.users.try_lock().is_err() {
            tracing::info!(pid = self.server.pid, "private PostgreSQL stays up for another program");
            return Ok(());
        }
        let pid = self.server.pid;
        if !self.running() {
            return Ok(());
        }
        kill(Pid::from_raw(pid), Signal::SIGINT).map_err(|_| ClusterError::NotStopped(pid))?;
        let deadline = Instant::now() + STOP_LIMIT;
        while self.running() {
            if Instant::now() > deadline {
                return Err(ClusterError::NotStopped(pid));
            }
            std::thread::sleep(POLL);
        }
        tracing::info!(pid, "private PostgreSQL stopped");
        Ok(())
    }

    fn running(&mut self) -> bool {
        match &mut self.child {
            Some(child) => matches!(child.try_wait(), Ok(None)),
            None => serves(self.server.pid, &self.place.data),
        }
    }
}

/// Leaving early by an error stops the server as leaving in order does.
impl Drop for Cluster {
    fn drop(&mut self) {
        if let Err(error) = self.stop_once() {
            tracing::error!(%error, "private PostgreSQL could not be stopped");
        }
    }
}

fn open_lock(path: &Path) -> Result<File, ClusterError> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)
        .map_err(|source| io_error(path, source))
}

fn locked(path: &Path) -> Result<File, ClusterError> {
    let file = open_lock(path)?;
    file.lock().map_err(|source| io_error(path, source))?;
    Ok(file)
}

fn data_version(data: &Path) -> Option<u32> {
    fs::read_to_string(data.join("PG_VERSION")).ok()?.trim().parse().ok()
}

fn server_spawn(place: &Place, programs: &Programs, durability: Durability) -> Result<Child, ClusterError> {
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&place.log)
        .map_err(|source| io_error(&place.log, source))?;
    let errors = log.try_clone().map_err(|source| io_error(&place.log, source))?;
    let mut command = programs.command("postgres");
    command.arg("-D").arg(&place.data).args(["-c", "listen_addresses=", "-c", "port=5432"]);
    command.arg("-c").arg(format!("unix_socket_directories={}", place.socket.display()));
    command.args(["-c", "unix_socket_permissions=0700"]);
    if durability == Durability::Volatile {
        command.args(["-c", "fsync=off", "-c", "full_page_writes=off", "-c", "shared_buffers=64MB"]);
    }
    // A group of its own: Ctrl-C at the terminal is for the exchange, which stops the server last.
    command.process_group(0).stdout(log).stderr(errors);
    command.spawn().map_err(|source| io_error(&place.data, source))
}

/// Waits until the server says in its pid file that it accepts connections.
fn await_ready(place: &Place, pid: i32, child: &mut Option<&mut Child>) -> Result<PidFile, ClusterError> {
    let deadline = Instant::now() + START_LIMIT;
    loop {
        if let Some(server) = PidFile::read(&place.data).filter(|server| server.ready && server.pid == pid) {
            return Ok(server);
        }
        let gone = match child {
            Some(child) => !matches!(child.try_wait(), Ok(None)),
            None => !serves(pid, &place.data),
        };
        if gone || Instant::now() > deadline {
            return Err(ClusterError::NotStarted { log: place.log.clone(), tail: log_tail(&place.log) });
        }
        std::thread::sleep(POLL);
    }
}

fn log_tail(path: &Path) -> String {
    let read = || -> io::Result<String> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(2048)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().unwrap_or_else(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use ring::rand::SystemRandom;

    use super::*;

    fn start(state: &Path) -> Cluster {
        Cluster::start(state, Durability::Volatile, &SystemRandom::new()).unwrap()
    }

    async fn ask(config: &tokio_postgres::Config, sql: &str) -> String {
        let (client, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client.query_one(sql, &[]).await.unwrap().get(0)
    }

    #[tokio::test]
    async fn starts_is_shared_found_again_and_stopped() {
        let state = tempfile::tempdir().unwrap();
        let mut first = start(state.path());
        let pid = first.pid();
        assert_eq!(ask(&first.config(), "SELECT current_database()::text").await, NAME);
        assert_eq!(ask(&first.config(), "SHOW listen_addresses").await, "");
        assert_eq!(ask(&first.config(), "SHOW data_checksums").await, "on");
        assert_eq!(ask(&first.config(), "SHOW server_encoding").await, "UTF8");

        let second = start(state.path());
        assert_eq!(second.pid(), pid, "a second program finds the running server");
        second.stop().unwrap();
        assert!(serves(pid, first.data()), "and leaves it to the first");

        // The exchange is killed: its server stays, its locks are gone.
        let mut orphan = first.child.take().unwrap();
        first.stopped = true;
        drop(first);
        let third = start(state.path());
        assert_eq!(third.pid(), pid);
        let data = third.data().to_owned();
        // This test is still the parent; take the exit status as init would.
        let reaper = std::thread::spawn(move || orphan.wait());
        third.stop().unwrap();
        reaper.join().unwrap().unwrap();
        assert!(!data.join("postmaster.pid").exists());
    }

    #[tokio::test]
    async fn a_killed_server_and_its_stale_pid_file_are_no_obstacle() {
        let state = tempfile::tempdir().unwrap();
        let mut first = start(state.path());
        let data = first.data().to_owned();
        kill(Pid::from_raw(first.pid()), Signal::SIGKILL).unwrap();
        first.child.as_mut().unwrap().wait().unwrap();
        drop(first);
        // The number now belongs to a process that is not PostgreSQL: this one.
        let left = fs::read_to_string(data.join("postmaster.pid")).unwrap();
        let (_, rest) = left.split_once('\n').unwrap();
        fs::write(data.join("postmaster.pid"), format!("{}\n{rest}", std::process::id())).unwrap();
        let second = start(state.path());
        assert_eq!(ask(&second.config(), "SELECT 'up'").await, "up");
        second.stop().unwrap();
    }

    #[tokio::test]
    async fn a_deep_state_directory_gets_a_short_socket() {
        let root = tempfile::tempdir().unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o711)).unwrap();
        let state = root.path().join("d".repeat(60)).join("e".repeat(60));
        let cluster = start(&state);
        assert_eq!(ask(&cluster.config(), "SELECT 'up'").await, "up");
        let socket = cluster.server.socket.clone();
        assert!(socket.as_os_str().len() < 80);
        cluster.stop().unwrap();
        fs::remove_dir_all(socket).unwrap();
    }

    #[test]
    fn a_server_that_cannot_start_says_why() {
        let state = tempfile::tempdir().unwrap();
        let cluster = start(state.path());
        let settings = cluster.data().join("postgresql.conf");
        cluster.stop().unwrap();
        fs::write(&settings, "no_such_setting = 1\n").unwrap();
        let started = Cluster::start(state.path(), Durability::Volatile, &SystemRandom::new());
        let Err(ClusterError::NotStarted { tail, .. }) = started else { panic!("started") };
        assert!(tail.contains("no_such_setting"));
    }

    #[test]
    fn missing_programs_name_the_package() {
        assert!(ClusterError::NotInstalled.to_string().ends_with("apt-get install postgresql"));
    }
}
