//! The directories of a private cluster, their owner and their modes.
//!
//! A Unix socket's path must be short, and as root the cluster's owner must be able to reach the data; both
//! can rule out the state directory. Then another place is taken, and the state directory says which.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;
use ring::digest::{SHA256, digest};
use ring::rand::SecureRandom;

use super::ClusterError;
use super::program::Owner;

/// `sun_path` holds 108 bytes on Linux and 104 elsewhere; PostgreSQL adds `/.s.PGSQL.5432` and a lock's name.
const SOCKET_PATH_LIMIT: usize = 100;
const SOCKET_NAME: &str = ".s.PGSQL.5432.lock";
/// Where a cluster lives when its owner cannot reach the state directory.
const ELSEWHERE: &str = "/var/lib/hikikae";
/// The file of the state directory that names that place.
const POINTER: &str = "postgres.path";

/// The directories of a private cluster.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub data: PathBuf,
    pub socket: PathBuf,
    pub log: PathBuf,
    home: PathBuf,
    owner: Option<Owner>,
}

impl Place {
    /// Finds or makes the directories. The caller holds the cluster's lock.
    pub fn prepare(state: &Path, owner: Option<Owner>, rng: &dyn SecureRandom) -> Result<Self, ClusterError> {
        let home = match owner {
            Some(owner) => home_for(state, owner, rng)?,
            None => state.join("postgres"),
        };
        make_private(&home, owner)?;
        let socket = home.join("socket");
        let socket = if socket.as_os_str().len() + 1 + SOCKET_NAME.len() < SOCKET_PATH_LIMIT {
            socket
        } else {
            let name = digest(&SHA256, home.as_os_str().as_encoded_bytes());
            std::env::temp_dir().join(format!("hikikae-{}", hex(&name.as_ref()[..8])))
        };
        make_private(&socket, owner)?;
        Ok(Self { data: home.join("data"), log: home.join("postgres.log"), socket, home, owner })
    }

    /// An empty directory to make a new cluster in, which [`Place::draft_keep`] then puts in place.
    pub fn draft(&self) -> Result<PathBuf, ClusterError> {
        let draft = self.home.join("data.draft");
        if draft.exists() {
            fs::remove_dir_all(&draft).map_err(|source| io_error(&draft, source))?;
        }
        make_private(&draft, self.owner)?;
        Ok(draft)
    }

    /// Puts a complete new cluster in place.
    pub fn draft_keep(&self, draft: &Path) -> Result<(), ClusterError> {
        fs::rename(draft, &self.data).map_err(|source| io_error(&self.data, source))
    }
}

/// The cluster's home when this process is root: below the state directory if the owner can reach it.
fn home_for(state: &Path, owner: Owner, rng: &dyn SecureRandom) -> Result<PathBuf, ClusterError> {
    let pointer = state.join(POINTER);
    match fs::read_to_string(&pointer) {
        Ok(path) => return Ok(PathBuf::from(path.trim_end())),
        Err(source) if source.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(io_error(&pointer, source)),
    }
    // Our own directory may be passed through, not listed; what lies in it has modes of its own.
    let metadata = fs::metadata(state).map_err(|source| io_error(state, source))?;
    if metadata.uid() == geteuid().as_raw() {
        let mode = Permissions::from_mode(metadata.mode() & 0o7777 | 0o011);
        fs::set_permissions(state, mode).map_err(|source| io_error(state, source))?;
    }
    if owner.may_enter(state) {
        return Ok(state.join("postgres"));
    }
    let mut suffix = [0_u8; 8];
    rng.fill(&mut suffix).map_err(|_| ClusterError::Random)?;
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(ELSEWHERE)
        .map_err(|source| io_error(Path::new(ELSEWHERE), source))?;
    let home = Path::new(ELSEWHERE).join(hex(&suffix));
    fs::write(&pointer, format!("{}\n", home.display())).map_err(|source| io_error(&pointer, source))?;
    Ok(home)
}

/// Makes a directory that only its owner may enter, or proves that an existing one is such.
fn make_private(path: &Path, owner: Option<Owner>) -> Result<(), ClusterError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => {
            if let Some(owner) = owner {
                chown(path, Some(owner.uid), Some(owner.gid)).map_err(|source| io_error(path, source))?;
            }
            // The umask may have taken more than it should.
            fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(|source| io_error(path, source))
        }
        Err(source) if source.kind() == io::ErrorKind::AlreadyExists => {
            let metadata = fs::symlink_metadata(path).map_err(|source| io_error(path, source))?;
            let uid = owner.map_or_else(|| geteuid().as_raw(), |owner| owner.uid);
            if metadata.is_dir() && metadata.uid() == uid && metadata.mode().trailing_zeros() >= 6 {
                Ok(())
            } else {
                Err(ClusterError::NotPrivate { path: path.to_owned() })
            }
        }
        Err(source) => Err(io_error(path, source)),
    }
}

pub(super) fn io_error(path: &Path, source: io::Error) -> ClusterError {
    ClusterError::Io { path: path.to_owned(), source }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
