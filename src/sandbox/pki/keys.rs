//! Makes the key files that are missing, on every processor at once: an RSA key is the slow part of a first start.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use ring::rand::SecureRandom;

use super::PkiError;
use super::desk::directory_ensure;
use crate::trust::{SigningKey, SigningKeyError};

/// What kind of key to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyKind {
    /// RSA of 2048 bits.
    Rsa,
    /// Elliptic curve P-256.
    P256,
}

type Planned = (PathBuf, KeyKind);

pub(super) fn keys_ensure(
    plan: &[Planned],
    random: &(dyn SecureRandom + Sync),
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<(), PkiError> {
    let missing: Vec<_> = plan.iter().filter(|(path, _)| !path.exists()).collect();
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || {
        while let Some(planned) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
            key_make(planned, random)?;
            progress(done.fetch_add(1, Ordering::Relaxed) + 1, missing.len());
        }
        Ok(())
    };
    thread::scope(|scope| {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let workers: Vec<_> = (0..processors.min(missing.len())).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| PkiError::Interrupted)?)
    })
}

fn key_make((path, kind): &Planned, random: &dyn SecureRandom) -> Result<(), PkiError> {
    let failed = |source: SigningKeyError| PkiError::Key { path: path.clone(), source };
    let key = match kind {
        KeyKind::Rsa => SigningKey::rsa_generate(2048, random),
        KeyKind::P256 => SigningKey::p256_generate(random),
    };
    let key = key.map_err(failed)?;
    directory_ensure(path)?;
    key.save_new(path).map_err(failed)
}
