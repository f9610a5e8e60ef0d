//! The certificates the tests of this room share: made once, with a fixed instant [`TestPki::now`] in 2026.

use std::sync::LazyLock;

use chrono::{DateTime, TimeDelta, Utc};
use der::asn1::ObjectIdentifier;
use ring::rand::SystemRandom;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::CrlReason;
use x509_cert::name::Name;

use HcRole::{Dentist, MedicalDoctor, Pharmacist};

use super::issuance::{Authority, CertificateRequest, CrlRequest, RevocationRequest, name};
use super::name::{COMMON_NAME, COUNTRY, ORGANIZATION, SERIAL_NUMBER};
use super::{AnchorKind, Certificate, Crl, HcRole, SigningKey, TrustPolicy, TrustStore, profile};

/// A certificate and its key.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub certificate: Certificate,
    pub key: SigningKey,
}

/// Authorities of every kind, people and facilities, and a store that trusts them.
pub(crate) struct TestPki {
    /// The instant at which everything but `expired` and `revoked` is good.
    pub now: DateTime<Utc>,
    pub random: SystemRandom,
    pub hpki_root: Authority,
    pub hpki: Authority,
    pub facility_root: Authority,
    pub tsa_root: Authority,
    pub physician: Identity,
    pub dentist: Identity,
    pub pharmacist: Identity,
    /// A physician revoked thirty days before `now`; the key is `physician`'s.
    pub revoked: Identity,
    /// A physician whose certificate ended a year before `now`; the key is `physician`'s.
    pub expired: Identity,
    pub clinic: Identity,
    pub pharmacy: Identity,
    pub patient: Identity,
    pub tsa: Identity,
    /// The current list of every authority, issued an hour before `now`, to be renewed a day after it.
    pub crls: Vec<Crl>,
    /// Trusts the four roots and holds `crls`.
    pub store: TrustStore,
}

pub(crate) static PKI: LazyLock<TestPki> = LazyLock::new(TestPki::new);

impl TestPki {
    /// The intermediates that go with an HPKI certificate.
    pub fn hpki_chain(&self) -> Vec<Certificate> {
        vec![self.hpki.certificate.clone()]
    }

    fn new() -> Self {
        let random = SystemRandom::new();
        let now = DateTime::from_timestamp(1_775_012_400, 0).unwrap();
        let rsa = || std::thread::spawn(|| SigningKey::rsa_generate(2048, &SystemRandom::new()).unwrap());
        let rsa: Vec<_> = [(); 5].map(|()| rsa()).into_iter().map(|t| t.join().unwrap()).collect();
        let ec = || SigningKey::p256_generate(&random).unwrap();

        let root = |common_name: &str, key: SigningKey| {
            let subject = test_name(&[(COUNTRY, "JP"), (COMMON_NAME, common_name)]);
            let request = request(subject, &key, now, 10 * 365, profile::authority(None).unwrap());
            Authority::root(&request, key, &random).unwrap()
        };
        let hpki_root = root("Test HPKI Root", rsa[0].clone());
        let (facility_root, jpki_root) = (root("Test Facility CA", ec()), root("Test JPKI CA", ec()));
        let tsa_root = root("Test TSA CA", ec());
        let subject = test_name(&[(COUNTRY, "JP"), (COMMON_NAME, "HPKI-01-Test-forNonRepudiation")]);
        let ca = request(subject, &rsa[1], now, 10 * 365, profile::hpki_authority().unwrap());
        let hpki = Authority { certificate: hpki_root.issue(&ca, &random).unwrap(), key: rsa[1].clone() };

        let person =
            |romaji: &str, kanji: &str, number: &str, role: HcRole, key: &SigningKey, end_days: i64| {
                let mut request = person_request(romaji, kanji, number, &[role], key, now);
                request.not_before = now - TimeDelta::days(5 * 365);
                request.not_after = now + TimeDelta::days(end_days);
                Identity { certificate: hpki.issue(&request, &random).unwrap(), key: key.clone() }
            };
        let physician = person("Hanako Ishi", "医師　花子", "Test100001", MedicalDoctor, &rsa[2], 365);
        let dentist = person("Taro Shika", "歯科　太郎", "Test200001", Dentist, &rsa[3], 365);
        let pharmacist = person("Jiro Yakuzai", "薬剤　次郎", "Test300001", Pharmacist, &rsa[4], 365);
        let revoked = person("Revoked Ishi", "失効　医師", "Test100002", MedicalDoctor, &rsa[2], 365);
        let expired = person("Expired Ishi", "期限　医師", "Test100003", MedicalDoctor, &rsa[2], -365);

        let end = |authority: &Authority, subject: Name, extensions: Vec<Extension>| {
            let key = ec();
            let request = request(subject, &key, now, 365, extensions);
            Identity { certificate: authority.issue(&request, &random).unwrap(), key }
        };
        let facility = |code: &str, called: &str| {
            let subject = test_name(&[
                (COUNTRY, "JP"),
                (ORGANIZATION, called),
                (COMMON_NAME, called),
                (SERIAL_NUMBER, code),
            ]);
            end(&facility_root, subject, profile::facility().unwrap())
        };
        let (clinic, pharmacy) = (facility("1311234567", "試験診療所"), facility("1341234567", "試験薬局"));
        let holder = test_name(&[(COUNTRY, "JP"), (COMMON_NAME, "TEST0000000001")]);
        let patient = end(&jpki_root, holder, profile::patient().unwrap());
        let stamper = test_name(&[(COUNTRY, "JP"), (COMMON_NAME, "Test TSA 01")]);
        let tsa = end(&tsa_root, stamper, profile::time_stamping().unwrap());

        let revocation = RevocationRequest {
            serial: revoked.certificate.serial().to_vec(),
            at: now - TimeDelta::days(30),
            reason: CrlReason::CessationOfOperation,
        };
        let crls: Vec<Crl> = [&hpki_root, &facility_root, &jpki_root, &tsa_root, &hpki]
            .map(|authority| {
                let mine = std::ptr::eq(authority, &raw const hpki);
                let revoked = if mine { vec![revocation.clone()] } else { Vec::new() };
                authority.crl_issue(&crl_request(now, revoked), &random).unwrap()
            })
            .into();

        let mut store = TrustStore::new(TrustPolicy::default());
        store.anchor_add(AnchorKind::Hpki, hpki_root.certificate.clone());
        store.anchor_add(AnchorKind::Facility, facility_root.certificate.clone());
        store.anchor_add(AnchorKind::Jpki, jpki_root.certificate.clone());
        store.anchor_add(AnchorKind::Tsa, tsa_root.certificate.clone());
        for list in &crls {
            store.crl_add(list.clone());
        }
        Self {
            now,
            random,
            hpki_root,
            hpki,
            facility_root,
            tsa_root,
            physician,
            dentist,
            pharmacist,
            revoked,
            expired,
            clinic,
            pharmacy,
            patient,
            tsa,
            crls,
            store,
        }
    }
}

pub(crate) fn test_name(attributes: &[(ObjectIdentifier, &str)]) -> Name {
    name(attributes).unwrap()
}

/// A request valid from ten years before `now` until `days` after it.
pub(crate) fn request(
    subject: Name,
    key: &SigningKey,
    now: DateTime<Utc>,
    days: i64,
    extensions: Vec<Extension>,
) -> CertificateRequest {
    CertificateRequest {
        subject,
        not_before: now - TimeDelta::days(3650),
        not_after: now + TimeDelta::days(days),
        public_key: key.spki().clone(),
        extensions,
    }
}

/// A request for an HPKI signing certificate in the usual profile.
pub(crate) fn person_request(
    romaji: &str,
    kanji: &str,
    number: &str,
    roles: &[HcRole],
    key: &SigningKey,
    now: DateTime<Utc>,
) -> CertificateRequest {
    let called = |text| test_name(&[(COUNTRY, "JP"), (COMMON_NAME, text), (SERIAL_NUMBER, number)]);
    let extensions = profile::hpki_person(roles, &called(kanji)).unwrap();
    request(called(romaji), key, now, 365, extensions)
}

/// A list issued an hour before `now` and to be renewed a day after it.
pub(crate) fn crl_request(now: DateTime<Utc>, revoked: Vec<RevocationRequest>) -> CrlRequest {
    CrlRequest {
        this_update: now - TimeDelta::hours(1),
        next_update: now + TimeDelta::days(1),
        revoked,
        extensions: Vec::new(),
    }
}
