//! A physician and a pharmacist under one authority, as files in a directory.

#![expect(clippy::unwrap_used, reason = "tests without signers fail")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use chrono::TimeDelta;
use const_oid::db::rfc4519::{COMMON_NAME, SERIAL_NUMBER};
use hikikae::clock::Clock;
use hikikae::trust::issuance::{Authority, CertificateRequest, CrlRequest, name};
use hikikae::trust::{HcRole, SigningKey, profile};
use ring::rand::SystemRandom;
use tempfile::TempDir;

/// `trust/`, `physician.{pem,key}`, `pharmacist.{pem,key}`.
pub struct Signers(TempDir);

pub static SIGNERS: LazyLock<Signers> = LazyLock::new(Signers::new);

impl Signers {
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The options to sign as somebody.
    pub fn options(&self, who: &str) -> [String; 4] {
        let file = |extension: &str| self.path(&format!("{who}.{extension}")).display().to_string();
        ["--cert".to_owned(), file("pem"), "--key".to_owned(), file("key")]
    }

    fn new() -> Self {
        let (directory, random) = (tempfile::tempdir().unwrap(), SystemRandom::new());
        let now = Clock::system().now();
        let request = |subject: &[_], key: &SigningKey, extensions| CertificateRequest {
            subject: name(subject).unwrap(),
            not_before: now - TimeDelta::days(1),
            not_after: now + TimeDelta::days(10),
            public_key: key.spki().clone(),
            extensions,
        };
        let key = SigningKey::p256_generate(&random).unwrap();
        let root = request(&[(COMMON_NAME, "Command Line Root")], &key, profile::authority(None).unwrap());
        let root = Authority::root(&root, key, &random).unwrap();
        let list = CrlRequest {
            this_update: now - TimeDelta::hours(1),
            next_update: now + TimeDelta::days(1),
            revoked: Vec::new(),
            extensions: Vec::new(),
        };
        let put = |path: &str, text: &str| {
            let path = directory.path().join(path);
            fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).unwrap();
            fs::write(path, text).unwrap();
        };
        put("trust/hpki/root.pem", &root.certificate.to_pem());
        put("trust/crl/root.pem", &root.crl_issue(&list, &random).unwrap().to_pem());
        for (who, number, role) in
            [("physician", "1", HcRole::MedicalDoctor), ("pharmacist", "2", HcRole::Pharmacist)]
        {
            let key = SigningKey::rsa_generate(2048, &random).unwrap();
            let japanese = name(&[(COMMON_NAME, "試験　花子")]).unwrap();
            let extensions = profile::hpki_person(&[role], &japanese).unwrap();
            let subject = [(COMMON_NAME, who), (SERIAL_NUMBER, number)];
            let certificate = root.issue(&request(&subject, &key, extensions), &random).unwrap();
            put(&format!("{who}.pem"), &certificate.to_pem());
            key.save_new(&directory.path().join(format!("{who}.key"))).unwrap();
        }
        Self(directory)
    }
}
