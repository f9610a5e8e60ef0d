//! The PKI made, judged by the trust room as anybody's would be, and found again.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicUsize, Ordering};

use ring::rand::SystemRandom;

use super::*;
use crate::trust::path::UntrustedReason;
use crate::trust::{AnchorKind, PathError, Purpose, TrustPolicy, TrustStore};

fn person_spec(id: &str, kanji: &str) -> PersonSpec {
    PersonSpec {
        id: id.to_owned(),
        romaji: "Ichiro Test".to_owned(),
        kanji: kanji.to_owned(),
        registration_number: "100001".to_owned(),
        roles: vec![HcRole::Pharmacist],
    }
}

fn open(directory: &Path, kanji: &str, now: DateTime<Utc>, made: &AtomicUsize) -> Result<Pki, PkiError> {
    let facility = FacilitySpec { code: "1341234567".parse().unwrap(), name: "試験薬局".to_owned() };
    let patient = PatientSpec { id: "patient-1".to_owned(), card_number: "0001".to_owned() };
    let progress = |_: usize, total: usize| made.store(total, Ordering::Relaxed);
    let random = SystemRandom::new();
    let people = [person_spec("pharmacist-1", kanji)];
    Pki::open_or_create(directory, &people, &[facility], &[patient], now, &random, &progress)
}

/// Every file under `directory` with its content.
fn snapshot(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.append(&mut snapshot(&path));
        } else {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found
}

#[test]
fn everybody_is_trusted_as_they_should_be_and_kept() {
    let directory = tempfile::tempdir().unwrap();
    let now: DateTime<Utc> = "2026-04-01T00:00:00Z".parse().unwrap();
    let made = AtomicUsize::new(0);
    let pki = open(directory.path(), "薬剤　一郎", now, &made).unwrap();
    assert_eq!(made.load(Ordering::Relaxed), 15);
    let store = TrustStore::load(&pki.trust_directory(), TrustPolicy::default()).unwrap();
    let validate = |kind, purpose, who: &Credential| {
        assert!(who.key.is_key_of(&who.certificate));
        store.validate(kind, purpose, &who.certificate, &who.chain, &[], now)
    };
    validate(AnchorKind::Hpki, Purpose::SignDocument, &pki.people[0]).unwrap();
    validate(AnchorKind::Hpki, Purpose::Authenticate, &pki.people[0]).unwrap();
    validate(AnchorKind::Facility, Purpose::Authenticate, &pki.facilities[0]).unwrap();
    validate(AnchorKind::Jpki, Purpose::Authenticate, &pki.patients[0]).unwrap();
    validate(AnchorKind::Tsa, Purpose::Timestamp, &pki.tsa).unwrap();
    let faulty = |who| validate(AnchorKind::Hpki, Purpose::SignDocument, who).unwrap_err();
    assert!(matches!(faulty(&pki.faulty.revoked), PathError::Revoked(_)));
    assert!(matches!(faulty(&pki.faulty.expired), PathError::Expired { .. }));
    assert_eq!(faulty(&pki.faulty.untrusted), PathError::Untrusted(UntrustedReason::Signature));
    let faulty = |card| validate(AnchorKind::Jpki, Purpose::Authenticate, card).unwrap_err();
    assert!(matches!(faulty(&pki.faulty.card_revoked), PathError::Revoked(_)));
    assert!(matches!(faulty(&pki.faulty.card_expired), PathError::Expired { .. }));
    assert_eq!(pki.people[0].certificate.hc_roles(), [HcRole::Pharmacist]);
    assert_eq!(pki.people[0].certificate.kanji_name(), Some("薬剤　一郎"));
    assert_eq!(pki.facilities[0].certificate.institution_code(), Some("1341234567"));

    for (path, _) in snapshot(directory.path()) {
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
    }
    for credential in [&pki.people[0], &pki.facilities[0], &pki.tsa] {
        for path in credential.chain_paths.iter().chain([&credential.certificate_path, &credential.key_path])
        {
            assert!(directory.path().join(path).is_file());
        }
    }

    // Two months later: everything as it was but the lists.
    let before = snapshot(directory.path());
    let later = now + TimeDelta::days(60);
    made.store(0, Ordering::Relaxed);
    let pki = open(directory.path(), "薬剤　一郎", later, &made).unwrap();
    let after = snapshot(directory.path());
    let changed: Vec<_> = after.iter().filter(|(path, text)| before.get(*path) != Some(text)).collect();
    assert_eq!((changed.len(), made.load(Ordering::Relaxed)), (5, 0));
    assert!(changed.iter().all(|(path, _)| path.parent().unwrap().ends_with("trust/crl")));
    let store = TrustStore::load(&pki.trust_directory(), TrustPolicy::default()).unwrap();
    let who = &pki.people[0];
    let path =
        store.validate(AnchorKind::Hpki, Purpose::SignDocument, &who.certificate, &who.chain, &[], later);
    path.unwrap();

    // Another name: another certificate for the same key.
    let renamed = open(directory.path(), "新姓　一郎", later, &made).unwrap();
    assert_eq!(renamed.people[0].certificate.public_key(), who.certificate.public_key());
    assert_eq!(renamed.people[0].certificate.kanji_name(), Some("新姓　一郎"));
    let kept = fs::read(directory.path().join(&renamed.people[0].certificate_path)).unwrap();
    assert_eq!(kept, renamed.people[0].certificate.to_pem().into_bytes());
}

#[test]
fn an_id_cannot_lead_elsewhere() {
    let directory = tempfile::tempdir().unwrap();
    for id in ["", "..", "a/b", ".hidden", "薬"] {
        let random = SystemRandom::new();
        let result = Pki::open_or_create(
            directory.path(),
            &[person_spec(id, "甲")],
            &[],
            &[],
            DateTime::UNIX_EPOCH,
            &random,
            &|_, _| {},
        );
        assert!(matches!(result, Err(PkiError::Id)), "{id}");
    }
    assert!(snapshot(directory.path()).is_empty());
}
