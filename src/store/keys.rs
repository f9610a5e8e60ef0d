//! The key list (鍵一覧): the master keys of the exchange in one file that only its owner may read.
//!
//! Owns the file's form and the keys in memory. Knows nothing of what is sealed or looked up with them, and
//! nothing of the database.
//!
//! The file is JSON: sealing master keys with ids (the last one seals, all of them open), one key for keyed
//! look-up hashes, one for buckets and their masks. Losing the file loses the data; it belongs into a backup
//! apart from the database's.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use ring::rand::SecureRandom;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

/// Length of every master key, bytes.
pub(super) const KEY_LENGTH: usize = 32;
const FORM: u32 = 1;
/// A key list holds a handful of keys; anything larger is another file.
const FILE_LIMIT: u64 = 64 * 1024;

pub(super) type Key = Zeroizing<[u8; KEY_LENGTH]>;

/// Why the key list cannot be used. No variant carries key material.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file may be read or written by others than its owner.
    #[error("key list {path} has mode {mode:04o}; it must not be accessible to others: chmod 600")]
    TooOpen {
        /// The file.
        path: String,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is not a key list of the known form.
    #[error("key list {path}: {fault}")]
    Malformed {
        /// The file.
        path: String,
        /// What is wrong, without any of its content.
        fault: &'static str,
    },
    /// The file could not be read or written.
    #[error("key list {path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// The operating system's word.
        source: io::Error,
    },
    /// The random generator failed.
    #[error("the random generator failed")]
    Random,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    form: u32,
    seal: Vec<SealKey>,
    lookup: String,
    bucket: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SealKey {
    id: u32,
    key: String,
}

impl Drop for KeyFile {
    fn drop(&mut self) {
        self.lookup.zeroize();
        self.bucket.zeroize();
        for sealing in &mut self.seal {
            sealing.key.zeroize();
        }
    }
}

/// The keys in memory, overwritten when dropped. (What `ring` derives from them while it works is not.)
pub struct Keys {
    /// Sealing master keys in the order of their making; never empty, the last one seals.
    seal: Vec<(u32, Key)>,
    lookup: Key,
    bucket: Key,
}

impl Keys {
    /// New keys, kept nowhere. For a first start and for tests.
    ///
    /// # Errors
    /// [`KeyError::Random`].
    pub fn generate(rng: &dyn SecureRandom) -> Result<Self, KeyError> {
        Ok(Self { seal: vec![(1, random_key(rng)?)], lookup: random_key(rng)?, bucket: random_key(rng)? })
    }

    /// Reads the key list at `path`.
    ///
    /// # Errors
    /// [`KeyError`]: also when others than the owner may read the file.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let file = File::open(path).map_err(|source| io_error(path, source))?;
        let metadata = file.metadata().map_err(|source| io_error(path, source))?;
        let mode = metadata.mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(KeyError::TooOpen { path: path.display().to_string(), mode });
        }
        let mut text = Zeroizing::new(String::with_capacity(4096));
        file.take(FILE_LIMIT).read_to_string(&mut text).map_err(|source| io_error(path, source))?;
        let file: KeyFile = serde_json::from_str(&text).map_err(|_| malformed(path, "not a key list"))?;
        Self::try_from(&file).map_err(|fault| malformed(path, fault))
    }

    /// Reads the key list at `path`, or makes one with mode 0600 when there is none. Of several processes
    /// that start at once, one makes the list and all read that one.
    ///
    /// # Errors
    /// As [`Keys::load`].
    pub fn load_or_create(path: &Path, rng: &dyn SecureRandom) -> Result<Self, KeyError> {
        match Self::load(path) {
            Err(KeyError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            answer => return answer,
        }
        let fresh = Self::generate(rng)?;
        let draft = fresh.write_draft(path, rng)?;
        // A hard link fails when the name is taken, so a complete list appears under the name or none does.
        let linked = fs::hard_link(&draft, path);
        fs::remove_file(&draft).map_err(|source| io_error(path, source))?;
        match linked {
            Err(source) if source.kind() != io::ErrorKind::AlreadyExists => Err(io_error(path, source)),
            _ => {
                sync_directory(path)?;
                Self::load(path)
            }
        }
    }

    /// The sealing keys with their ids, the newest last.
    pub(super) fn seals(&self) -> impl Iterator<Item = (u32, &Key)> {
        self.seal.iter().map(|(id, key)| (*id, key))
    }

    /// The key of look-up hashes.
    pub(super) fn lookup(&self) -> &Key {
        &self.lookup
    }

    /// The key of buckets and their masks.
    pub(super) fn bucket(&self) -> &Key {
        &self.bucket
    }

    /// What a database written with these look-up and bucket keys remembers of them.
    pub(super) fn proof(&self) -> [u8; 32] {
        let inner = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, self.bucket.as_slice()), b"key proof");
        let outer = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, self.lookup.as_slice()), inner.as_ref());
        let mut proof = [0_u8; 32];
        proof.copy_from_slice(outer.as_ref());
        proof
    }

    /// Writes the list beside `path`, durable and readable by its owner only; the caller puts it in place.
    fn write_draft(&self, path: &Path, rng: &dyn SecureRandom) -> Result<std::path::PathBuf, KeyError> {
        let mut suffix = [0_u8; 8];
        rng.fill(&mut suffix).map_err(|_| KeyError::Random)?;
        let draft = path.with_extension(format!("{:016x}.draft", u64::from_be_bytes(suffix)));
        let text = Zeroizing::new(
            serde_json::to_string_pretty(&KeyFile::from(self))
                .map_err(|_| malformed(path, "cannot be written"))?,
        );
        let write = || -> io::Result<()> {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()
        };
        write().map_err(|source| io_error(path, source))?;
        Ok(draft)
    }
}

/// Adds a sealing key to the list at `path` and returns its id: from the next start of the server on, what is
/// written is sealed with the new key, and what the older keys sealed still opens.
///
/// # Errors
/// As [`Keys::load`].
pub fn rotate(path: &Path, rng: &dyn SecureRandom) -> Result<u32, KeyError> {
    let mut keys = Keys::load(path)?;
    let id = keys.seal.iter().map(|(id, _)| *id).max().unwrap_or(0) + 1;
    keys.seal.push((id, random_key(rng)?));
    let draft = keys.write_draft(path, rng)?;
    fs::rename(&draft, path).map_err(|source| io_error(path, source))?;
    sync_directory(path)?;
    Ok(id)
}

impl TryFrom<&KeyFile> for Keys {
    type Error = &'static str;

    fn try_from(file: &KeyFile) -> Result<Self, Self::Error> {
        if file.form != FORM {
            return Err("a form this program does not know");
        }
        let ids: BTreeSet<u32> = file.seal.iter().map(|sealing| sealing.id).collect();
        if ids.is_empty() || ids.len() != file.seal.len() {
            return Err("sealing keys missing or with the same id");
        }
        let seal = file
            .seal
            .iter()
            .map(|sealing| Ok((sealing.id, decode_key(&sealing.key)?)))
            .collect::<Result<_, Self::Error>>()?;
        Ok(Self { seal, lookup: decode_key(&file.lookup)?, bucket: decode_key(&file.bucket)? })
    }
}

impl From<&Keys> for KeyFile {
    fn from(keys: &Keys) -> Self {
        Self {
            form: FORM,
            seal: keys.seal.iter().map(|(id, key)| SealKey { id: *id, key: encode_key(key) }).collect(),
            lookup: encode_key(&keys.lookup),
            bucket: encode_key(&keys.bucket),
        }
    }
}

fn encode_key(key: &Key) -> String {
    STANDARD.encode(key.as_slice())
}

fn decode_key(text: &str) -> Result<Key, &'static str> {
    let bytes = Zeroizing::new(STANDARD.decode(text).map_err(|_| "a key is not Base64")?);
    let bytes: [u8; KEY_LENGTH] = bytes.as_slice().try_into().map_err(|_| "a key is not 32 bytes long")?;
    Ok(Zeroizing::new(bytes))
}

fn random_key(rng: &dyn SecureRandom) -> Result<Key, KeyError> {
    let mut key = Zeroizing::new([0_u8; KEY_LENGTH]);
    rng.fill(key.as_mut_slice()).map_err(|_| KeyError::Random)?;
    Ok(key)
}

fn sync_directory(path: &Path) -> Result<(), KeyError> {
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    File::open(directory).and_then(|dir| dir.sync_all()).map_err(|source| io_error(path, source))
}

fn io_error(path: &Path, source: io::Error) -> KeyError {
    KeyError::Io { path: path.display().to_string(), source }
}

fn malformed(path: &Path, fault: &'static str) -> KeyError {
    KeyError::Malformed { path: path.display().to_string(), fault }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use ring::rand::SystemRandom;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_first_start_makes_a_list_only_its_owner_reads_and_later_starts_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.json");
        let first = Keys::load_or_create(&path, &SystemRandom::new()).unwrap();
        let second = Keys::load_or_create(&path, &SystemRandom::new()).unwrap();
        assert_eq!(mode(&path), 0o600);
        assert_eq!(first.lookup().as_slice(), second.lookup().as_slice());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no draft is left behind");
    }

    #[test]
    fn a_list_others_may_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.json");
        Keys::load_or_create(&path, &SystemRandom::new()).unwrap();
        for open in [0o640, 0o604, 0o660] {
            fs::set_permissions(&path, fs::Permissions::from_mode(open)).unwrap();
            assert!(matches!(Keys::load(&path), Err(KeyError::TooOpen { .. })), "{open:o}");
        }
    }

    #[test]
    fn starting_together_agrees_on_one_list() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.json");
        let lists: Vec<Vec<u8>> = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..8)
                .map(|_| {
                    let load = || Keys::load_or_create(&path, &SystemRandom::new()).unwrap();
                    scope.spawn(move || load().lookup().to_vec())
                })
                .collect();
            starts.into_iter().map(|start| start.join().unwrap()).collect()
        });
        assert!(lists.windows(2).all(|pair| pair[0] == pair[1]));
    }

    #[test]
    fn rotation_adds_a_newest_key_and_keeps_the_mode() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.json");
        let before = Keys::load_or_create(&path, &SystemRandom::new()).unwrap();
        assert_eq!(rotate(&path, &SystemRandom::new()).unwrap(), 2);
        let after = Keys::load(&path).unwrap();
        assert_eq!(after.seal.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(after.seal[0].1.as_slice(), before.seal[0].1.as_slice());
        assert_eq!(after.bucket().as_slice(), before.bucket().as_slice());
        assert_eq!(mode(&path), 0o600);
    }

    #[test]
    fn other_files_are_refused_without_quoting_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.json");
        let key = STANDARD.encode([7; 32]);
        for text in [
            String::new(),
            "{}".to_owned(),
            format!(r#"{{"form":2,"seal":[{{"id":1,"key":"{key}"}}],"lookup":"{key}","bucket":"{key}"}}"#),
            format!(r#"{{"form":1,"seal":[],"lookup":"{key}","bucket":"{key}"}}"#),
            format!(r#"{{"form":1,"seal":[{{"id":1,"key":"AAAA"}}],"lookup":"{key}","bucket":"{key}"}}"#),
        ] {
            fs::write(&path, &text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            let Err(error) = Keys::load(&path) else { panic!("accepted") };
            assert!(matches!(error, KeyError::Malformed { .. }));
            assert!(!error.to_string().contains(&key));
        }
    }
}
