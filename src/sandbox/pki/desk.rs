//! The desk that hands out the sandbox's certificates: issues one, or finds the file where an equal one lies.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};
use der::asn1::ObjectIdentifier;
use ring::rand::SecureRandom;
use x509_cert::ext::Extension;
use x509_cert::name::Name;

use super::{Credential, PkiError};
use crate::trust::issuance::{Authority, CertificateRequest, name};
use crate::trust::name::{COMMON_NAME, COUNTRY, ORGANIZATION};
use crate::trust::{Certificate, SigningKey, profile};

/// What the sandbox's authorities call themselves.
const OPERATOR: &str = "Hikikae Sandbox";

/// Who is to have a certificate, and for how long counted from now.
pub(super) struct Holder {
    pub subject: Name,
    pub begins: TimeDelta,
    pub ends: TimeDelta,
    pub extensions: Vec<Extension>,
}

impl Holder {
    /// For five years, of which one has passed.
    pub fn new(
        attributes: &[(ObjectIdentifier, &str)],
        extensions: Vec<Extension>,
    ) -> Result<Self, PkiError> {
        let (begins, ends) = (TimeDelta::days(-365), TimeDelta::days(4 * 365));
        Ok(Self { subject: subject(attributes)?, begins, ends, extensions })
    }

    fn authority(called: &str, extensions: Vec<Extension>) -> Result<Self, PkiError> {
        let attributes = [(ORGANIZATION, OPERATOR), (COMMON_NAME, called)];
        let (begins, ends) = (TimeDelta::days(-10 * 365), TimeDelta::days(20 * 365));
        Ok(Self { begins, ends, ..Self::new(&attributes, extensions)? })
    }
}

/// Where things lie, and what they are made with.
#[derive(Clone, Copy)]
pub(super) struct Desk<'a> {
    pub directory: &'a Path,
    pub now: DateTime<Utc>,
    pub random: &'a dyn SecureRandom,
}

impl Desk<'_> {
    pub fn path(&self, stem: &str, extension: &str) -> PathBuf {
        self.directory.join(relative(stem, extension))
    }

    pub fn key(&self, stem: &str) -> Result<SigningKey, PkiError> {
        let path = self.path(stem, "key");
        SigningKey::load(&path).map_err(|source| PkiError::Key { path, source })
    }

    pub fn root(&self, stem: &str, called: &str) -> Result<Authority, PkiError> {
        let key = self.key(stem)?;
        let request = self.request(&Holder::authority(called, profile::authority(None)?)?, &key);
        let root = Authority::root(&request, key, self.random)?;
        let certificate = self.keep(stem, &root, root.certificate.clone())?;
        Ok(Authority { certificate, ..root })
    }

    pub fn hpki_authority(
        &self,
        stem: &str,
        root: &Authority,
        key: SigningKey,
    ) -> Result<Authority, PkiError> {
        let holder = Holder::authority("HPKI-01-Sandbox-forNonRepudiation", profile::hpki_authority()?)?;
        let certificate = root.issue(&self.request(&holder, &key), self.random)?;
        Ok(Authority { certificate: self.keep(stem, root, certificate)?, key })
    }

    pub fn credential(
        &self,
        stem: &str,
        issuer: &Authority,
        chain: &[(&str, &Certificate)],
        holder: &Holder,
    ) -> Result<Credential, PkiError> {
        let key = self.key(stem)?;
        let certificate = issuer.issue(&self.request(holder, &key), self.random)?;
        Ok(Credential {
            certificate: self.keep(stem, issuer, certificate)?,
            key,
            chain: chain.iter().map(|(_, certificate)| (*certificate).clone()).collect(),
            certificate_path: relative(stem, "pem"),
            key_path: relative(stem, "key"),
            chain_paths: chain.iter().map(|(stem, _)| relative(stem, "pem")).collect(),
        })
    }

    fn request(&self, holder: &Holder, key: &SigningKey) -> CertificateRequest {
        CertificateRequest {
            subject: holder.subject.clone(),
            not_before: self.now + holder.begins,
            not_after: self.now + holder.ends,
            public_key: key.spki().clone(),
            extensions: holder.extensions.clone(),
        }
    }

    /// The certificate in the file when it says what `fresh` says; else `fresh`, which then lies there.
    fn keep(&self, stem: &str, issuer: &Authority, fresh: Certificate) -> Result<Certificate, PkiError> {
        let path = self.path(stem, "pem");
        if let Ok(text) = fs::read(&path) {
            let kept = Certificate::from_pem_many(&text)
                .map_err(|source| PkiError::Certificate { path: path.clone(), source })?;
            if let Some(kept) =
                kept.into_iter().next().filter(|kept| self.says_the_same(kept, &fresh, issuer))
            {
                return Ok(kept);
            }
        }
        file_write(&path, &fresh.to_pem())?;
        Ok(fresh)
    }

    fn says_the_same(&self, kept: &Certificate, fresh: &Certificate, issuer: &Authority) -> bool {
        let valid = |c: &Certificate| (c.not_before()..=c.not_after()).contains(&self.now);
        let signed = issuer.key.public_key().is_ok_and(|key| kept.verify_signed_by(&key).is_ok());
        signed
            && valid(kept) == valid(fresh)
            && kept.subject() == fresh.subject()
            && kept.public_key() == fresh.public_key()
            && kept.alternative_name() == fresh.alternative_name()
            && kept.hc_roles() == fresh.hc_roles()
    }
}

/// A Japanese subject with these attributes.
pub(super) fn subject(attributes: &[(ObjectIdentifier, &str)]) -> Result<Name, PkiError> {
    Ok(name(&[&[(COUNTRY, "JP")], attributes].concat())?)
}

/// The place of one holder's files, without their extension.
pub(super) fn stem(room: &str, id: &str) -> Result<String, PkiError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if !id.is_empty() && id.bytes().all(plain) { Ok(format!("{room}/{id}")) } else { Err(PkiError::Id) }
}

fn relative(stem: &str, extension: &str) -> PathBuf {
    PathBuf::from(format!("pki/{stem}.{extension}"))
}

/// The directory a file is to lie in.
pub(super) fn directory_ensure(file: &Path) -> Result<(), PkiError> {
    let directory = file.parent().unwrap_or(file);
    fs::create_dir_all(directory).map_err(|source| PkiError::File { path: directory.to_owned(), source })
}

/// Writes or replaces a file whole: whoever reads sees the old one or the new one. Mode 0600.
pub(super) fn file_write(path: &Path, text: &str) -> Result<(), PkiError> {
    directory_ensure(path)?;
    // Hidden, so that nobody who lists the directory takes the draft for the file.
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let draft = path.with_file_name(format!(".{name}.draft"));
    let written = || {
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(text.as_bytes())?;
        fs::rename(&draft, path)
    };
    written().map_err(|source| PkiError::File { path: path.to_owned(), source })
}
