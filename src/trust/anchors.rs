//! Trust anchors, the lists and the policy that go with them, as an operator keeps them in a directory. Decides
//! nothing about a path: see [`super::path`].

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::TimeDelta;
use der::asn1::ObjectIdentifier;

use super::certificate::{Certificate, CertificateError};
use super::memo::Memo;
use super::name::DistinguishedName;
use super::revocation::{Crl, CrlError};

/// Whose anchor it is, and so what a certificate below it may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AnchorKind {
    /// 医療機関・薬局の証明書: clinics, hospitals, pharmacies.
    Facility,
    /// 保健医療福祉分野公開鍵基盤 (HPKI): physicians, dentists, pharmacists.
    Hpki,
    /// 公的個人認証サービス (JPKI): patients.
    Jpki,
    /// 時刻認証局 (TSA): time stamps.
    Tsa,
}

impl AnchorKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Facility, Self::Hpki, Self::Jpki, Self::Tsa];

    /// The name of its directory.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Facility => "facility",
            Self::Hpki => "hpki",
            Self::Jpki => "jpki",
            Self::Tsa => "tsa",
        }
    }
}

/// What is asked of the certificates of one kind beyond RFC 5280.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KindPolicy {
    /// The end entity must be issued under one of these; empty: under any or none.
    pub accepted_policies: Vec<ObjectIdentifier>,
    /// Without a current revocation list of every issuer on the path nothing is accepted.
    pub crl_required: bool,
}

/// What is asked of certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustPolicy {
    /// Facility certificates.
    pub facility: KindPolicy,
    /// HPKI certificates. By default the policies 1.2.392.100495.1.5.1.1.0.1, seen in test certificates, and
    /// 1.2.392.100495.1.5.1.1.3.1, seen in those of their authorities.
    pub hpki: KindPolicy,
    /// JPKI certificates.
    pub jpki: KindPolicy,
    /// Time stamping certificates.
    pub tsa: KindPolicy,
    /// How long after its `nextUpdate` a list still counts; 24 hours by default.
    pub crl_grace: TimeDelta,
}

impl TrustPolicy {
    /// The part for one kind.
    pub fn of(&self, kind: AnchorKind) -> &KindPolicy {
        match kind {
            AnchorKind::Facility => &self.facility,
            AnchorKind::Hpki => &self.hpki,
            AnchorKind::Jpki => &self.jpki,
            AnchorKind::Tsa => &self.tsa,
        }
    }
}

impl Default for TrustPolicy {
    fn default() -> Self {
        const HPKI: [&str; 2] = ["1.2.392.100495.1.5.1.1.0.1", "1.2.392.100495.1.5.1.1.3.1"];
        let any = KindPolicy { accepted_policies: Vec::new(), crl_required: true };
        let hpki = HPKI.into_iter().map(ObjectIdentifier::new_unwrap).collect();
        Self {
            facility: any.clone(),
            hpki: KindPolicy { accepted_policies: hpki, crl_required: true },
            jpki: any.clone(),
            tsa: any,
            crl_grace: TimeDelta::hours(24),
        }
    }
}

/// Why a trust directory cannot be used. An anchor or list that cannot be read is an error and not skipped.
#[derive(Debug, thiserror::Error)]
pub enum TrustStoreError {
    /// A file or directory cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// An anchor is no certificate.
    #[error("{path}: {source}")]
    Anchor {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: CertificateError,
    },
    /// A revocation list is not one we use.
    #[error("{path}: {source}")]
    Crl {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: CrlError,
    },
}

/// Anchors by kind, revocation lists by issuer, and the policy. Immutable: to take up new lists, load another.
#[derive(Clone, Debug, Default)]
pub struct TrustStore {
    anchors: Vec<(AnchorKind, Certificate)>,
    crls: HashMap<DistinguishedName, Vec<Crl>>,
    policy: TrustPolicy,
    memo: Arc<Memo>,
}

impl TrustStore {
    /// A store that trusts nobody yet.
    pub fn new(policy: TrustPolicy) -> Self {
        Self { policy, ..Self::default() }
    }

    /// Loads `DIR/{facility,hpki,jpki,tsa}/*.pem` (anchors, any number a file) and `DIR/crl/*` (lists, DER or
    /// PEM). A directory that does not exist holds nothing; names that begin with a dot are passed over.
    ///
    /// # Errors
    /// [`TrustStoreError`] of the first file that cannot be used.
    pub fn load(directory: &Path, policy: TrustPolicy) -> Result<Self, TrustStoreError> {
        let mut store = Self::new(policy);
        for kind in AnchorKind::ALL {
            for (path, bytes) in files(&directory.join(kind.as_str()), Some("pem"))? {
                let anchors = Certificate::from_pem_many(&bytes)
                    .map_err(|source| TrustStoreError::Anchor { path, source })?;
                for anchor in anchors {
                    store.anchor_add(kind, anchor);
                }
            }
        }
        for (path, bytes) in files(&directory.join("crl"), None)? {
            let lists = if bytes.starts_with(b"-----") {
                Crl::from_pem(&bytes)
            } else {
                Crl::from_der(&bytes).map(|list| vec![list])
            };
            let lists = lists.map_err(|source| TrustStoreError::Crl { path, source })?;
            for list in lists {
                store.crl_add(list);
            }
        }
        Ok(store)
    }

    /// Trusts `anchor`, a root or an intermediate authority, for certificates of `kind`.
    pub fn anchor_add(&mut self, kind: AnchorKind, anchor: Certificate) {
        self.anchors.push((kind, anchor));
    }

    /// Keeps a revocation list.
    pub fn crl_add(&mut self, list: Crl) {
        self.crls.entry(list.issuer().clone()).or_default().push(list);
    }

    /// What is asked of certificates.
    pub fn policy(&self) -> &TrustPolicy {
        &self.policy
    }

    /// What has been found out of certificates since these anchors and lists were read.
    pub(super) fn memo(&self) -> &Memo {
        &self.memo
    }

    /// The anchors of one kind.
    pub fn anchors(&self, kind: AnchorKind) -> impl Iterator<Item = &Certificate> {
        self.anchors.iter().filter(move |(k, _)| *k == kind).map(|(_, anchor)| anchor)
    }

    /// The lists kept of one issuer.
    pub fn crls(&self, issuer: &DistinguishedName) -> &[Crl] {
        self.crls.get(issuer).map_or(&[], Vec::as_slice)
    }
}

fn files(directory: &Path, extension: Option<&str>) -> Result<Vec<(PathBuf, Vec<u8>)>, TrustStoreError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| TrustStoreError::Read { path, source }
    };
    let listing = match fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        listing => listing.map_err(failed(directory))?,
    };
    let mut found = Vec::new();
    for entry in listing {
        let path = entry.map_err(failed(directory))?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && path.is_file() && extension.is_none_or(|e| path.extension().is_some_and(|x| x == e)) {
            let bytes = fs::read(&path).map_err(failed(&path))?;
            found.push((path, bytes));
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::test_pki::PKI;

    #[test]
    fn a_directory_is_loaded_by_kind() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::create_dir(at("hpki")).unwrap();
        fs::create_dir(at("crl")).unwrap();
        let two = PKI.hpki_root.certificate.to_pem() + &PKI.hpki.certificate.to_pem();
        fs::write(at("hpki/roots.pem"), two).unwrap();
        fs::write(at("hpki/README"), "not an anchor").unwrap();
        fs::write(at("crl/a.crl"), PKI.crls[0].der()).unwrap();
        fs::write(at("crl/b.pem"), PKI.crls[1].to_pem()).unwrap();
        fs::write(at("crl/.hidden"), "passed over").unwrap();
        let store = TrustStore::load(directory.path(), TrustPolicy::default()).unwrap();
        assert_eq!(store.anchors(AnchorKind::Hpki).count(), 2);
        assert_eq!(store.anchors(AnchorKind::Facility).count(), 0);
        for list in &PKI.crls[..2] {
            assert_eq!(store.crls(list.issuer()).len(), 1);
        }
        assert_eq!(store.crls(PKI.crls[2].issuer()).len(), 0);

        fs::write(at("crl/broken"), "x").unwrap();
        let broken = TrustStore::load(directory.path(), TrustPolicy::default()).unwrap_err();
        assert!(matches!(broken, TrustStoreError::Crl { path, .. } if path.ends_with("broken")));
        fs::write(at("hpki/empty.pem"), "").unwrap();
        let broken = TrustStore::load(directory.path(), TrustPolicy::default()).unwrap_err();
        assert!(matches!(broken, TrustStoreError::Anchor { path, .. } if path.ends_with("empty.pem")));
    }

    #[test]
    fn no_directory_trusts_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let store = TrustStore::load(&directory.path().join("absent"), TrustPolicy::default()).unwrap();
        assert!(AnchorKind::ALL.iter().all(|kind| store.anchors(*kind).count() == 0));
    }
}
