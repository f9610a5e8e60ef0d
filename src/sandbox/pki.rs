//! The sandbox's certification authorities and everybody's certificates: made once in a directory, found again on
//! the next start. Knows who is to have a certificate only from what it is given.
//!
//! ```text
//! DIR/pki/authorities/{hpki-root,hpki,facility,jpki,tsa}.{pem,key}
//! DIR/pki/{people,patients}/ID.{pem,key}    DIR/pki/facilities/CODE.{pem,key}    DIR/pki/tsa/tsa.{pem,key}
//! DIR/pki/faulty/{revoked,expired,untrusted,untrusted-authority,card-revoked,card-expired}.{pem,key}
//! DIR/pki/trust/{facility,hpki,jpki,tsa}/root.pem    DIR/pki/trust/hpki/issuing.pem    DIR/pki/trust/crl/*.pem
//! ```
//!
//! HPKI and the time stamping key are RSA-2048 as in the field, all others P-256 because they are quickly made.

use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};
use ring::rand::SecureRandom;
use x509_cert::ext::pkix::CrlReason;

use crate::prescription::identifier::InstitutionCode;
use crate::trust::issuance::{Authority, CrlRequest, IssuanceError, RevocationRequest};
use crate::trust::name::{COMMON_NAME, ORGANIZATION, SERIAL_NUMBER};
use crate::trust::{Certificate, CertificateError, HcRole, SigningKey, SigningKeyError, profile};

mod desk;
mod keys;

use desk::{Desk, Holder, file_write, stem};
use keys::{KeyKind, keys_ensure};

/// How long a list issued here is good for.
const CRL_LIFETIME: TimeDelta = TimeDelta::days(30);
/// How long after their first day of validity the revoked certificates were revoked.
const REVOKED_AFTER: TimeDelta = TimeDelta::days(335);

/// When what has expired began and ended, counted from now.
const EXPIRED: (TimeDelta, TimeDelta) = (TimeDelta::days(-6 * 365), TimeDelta::days(-365));

const RSA_STEMS: [&str; 7] = [
    "authorities/hpki-root",
    "authorities/hpki",
    "tsa/tsa",
    "faulty/revoked",
    "faulty/expired",
    "faulty/untrusted",
    "faulty/untrusted-authority",
];
const P256_STEMS: [&str; 5] = [
    "authorities/facility",
    "authorities/jpki",
    "authorities/tsa",
    "faulty/card-revoked",
    "faulty/card-expired",
];

/// A healthcare professional who is to have an HPKI signing certificate.
#[derive(Clone, Debug)]
pub struct PersonSpec {
    /// The name of the files: letters, digits, `-` and `_`.
    pub id: String,
    /// The name in Latin letters, the subject's `commonName`.
    pub romaji: String,
    /// 漢字氏名, in `subjectAltName`.
    pub kanji: String,
    /// 医籍・歯科医籍・薬剤師名簿登録番号, the subject's `serialNumber`.
    pub registration_number: String,
    /// The roles in `hcRole`; empty: no such attribute.
    pub roles: Vec<HcRole>,
}

/// A clinic, hospital or pharmacy that is to have a facility certificate.
#[derive(Clone, Debug)]
pub struct FacilitySpec {
    /// 医療機関コード, also the name of the files.
    pub code: InstitutionCode,
    /// Its name, `organizationName` and `commonName`.
    pub name: String,
}

/// A patient who is to have a JPKI authentication certificate. It names nobody.
#[derive(Clone, Debug)]
pub struct PatientSpec {
    /// The name of the files: letters, digits, `-` and `_`.
    pub id: String,
    /// The holder's number on the card, the subject's `commonName`.
    pub card_number: String,
}

/// Why there is no PKI.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A name that cannot be the name of a file.
    #[error("an id may hold letters, digits, - and _ only")]
    Id,
    /// A file or directory cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A key file cannot be used or made.
    #[error("{path}: {source}")]
    Key {
        /// Which.
        path: PathBuf,
        /// Why.
        source: SigningKeyError,
    },
    /// A certificate file cannot be used.
    #[error("{path}: {source}")]
    Certificate {
        /// Which.
        path: PathBuf,
        /// Why.
        source: CertificateError,
    },
    /// Something cannot be issued.
    #[error(transparent)]
    Issuance(#[from] IssuanceError),
    /// A thread that made keys has died.
    #[error("making keys was interrupted")]
    Interrupted,
}

impl From<der::Error> for PkiError {
    fn from(error: der::Error) -> Self {
        Self::Issuance(error.into())
    }
}

/// A certificate with its key, and where the files are. Paths are relative to the sandbox directory.
#[derive(Clone, Debug)]
pub struct Credential {
    /// The certificate.
    pub certificate: Certificate,
    /// Its key.
    pub key: SigningKey,
    /// The intermediate authorities above it, without the root.
    pub chain: Vec<Certificate>,
    /// The certificate's file.
    pub certificate_path: PathBuf,
    /// The key's file.
    pub key_path: PathBuf,
    /// The files of `chain`.
    pub chain_paths: Vec<PathBuf>,
}

/// Physicians whose signatures, and patients' cards whose assertions, must be refused.
#[derive(Clone, Debug)]
pub struct FaultyCredentials {
    /// A card on the JPKI authority's revocation list.
    pub card_revoked: Credential,
    /// A card that ended a year before it was made.
    pub card_expired: Credential,
    /// On the HPKI authority's revocation list.
    pub revoked: Credential,
    /// Ended a year before it was made.
    pub expired: Credential,
    /// Issued by an authority that bears the HPKI authority's name and is not it.
    pub untrusted: Credential,
}

/// The sandbox's PKI.
#[derive(Debug)]
pub struct Pki {
    directory: PathBuf,
    authorities: Vec<(&'static str, Authority)>,
    /// In the order of the specifications.
    pub people: Vec<Credential>,
    /// In the order of the specifications.
    pub facilities: Vec<Credential>,
    /// In the order of the specifications.
    pub patients: Vec<Credential>,
    /// The time stamping authority's.
    pub tsa: Credential,
    /// Those that must be refused.
    pub faulty: FaultyCredentials,
}

impl Pki {
    /// Opens the PKI under `directory`, making whatever is missing and reissuing the revocation lists. Keys are
    /// never replaced; a certificate is only when it does not say what is asked for, or `now` is outside its
    /// validity. `progress` is told how many of the missing keys are made, from several threads.
    ///
    /// # Errors
    /// [`PkiError`].
    pub fn open_or_create(
        directory: &Path,
        people: &[PersonSpec],
        facilities: &[FacilitySpec],
        patients: &[PatientSpec],
        now: DateTime<Utc>,
        random: &(dyn SecureRandom + Sync),
        progress: &(dyn Fn(usize, usize) + Sync),
    ) -> Result<Self, PkiError> {
        let people_stems = stems("people", people.iter().map(|spec| spec.id.as_str()))?;
        let facility_stems = stems("facilities", facilities.iter().map(|spec| spec.code.as_str()))?;
        let patient_stems = stems("patients", patients.iter().map(|spec| spec.id.as_str()))?;
        let desk = Desk { directory, now, random };
        let key = |kind| move |stem: &str| (desk.path(stem, "key"), kind);
        let mut plan: Vec<_> = RSA_STEMS.into_iter().map(key(KeyKind::Rsa)).collect();
        plan.extend(P256_STEMS.into_iter().map(key(KeyKind::P256)));
        plan.extend(people_stems.iter().map(String::as_str).map(key(KeyKind::Rsa)));
        plan.extend(facility_stems.iter().chain(&patient_stems).map(String::as_str).map(key(KeyKind::P256)));
        keys_ensure(&plan, random, progress)?;

        let hpki_root = desk.root("authorities/hpki-root", "HPKI Root CA")?;
        let hpki_stem = "authorities/hpki";
        let hpki = desk.hpki_authority(hpki_stem, &hpki_root, desk.key(hpki_stem)?)?;
        let facility = desk.root("authorities/facility", "Facility CA")?;
        let jpki = desk.root("authorities/jpki", "JPKI CA for user authentication")?;
        let tsa = desk.root("authorities/tsa", "Time Stamping CA")?;

        let chain = [(hpki_stem, &hpki.certificate)];
        let people = people_stems
            .iter()
            .zip(people)
            .map(|(stem, spec)| desk.credential(stem, &hpki, &chain, &person(spec)?));
        let facilities = facility_stems.iter().zip(facilities).map(|(stem, spec)| {
            let attributes = [
                (ORGANIZATION, &*spec.name),
                (COMMON_NAME, &*spec.name),
                (SERIAL_NUMBER, spec.code.as_str()),
            ];
            desk.credential(stem, &facility, &[], &Holder::new(&attributes, profile::facility()?)?)
        });
        let patients = patient_stems.iter().zip(patients).map(|(stem, spec)| {
            let attributes = [(COMMON_NAME, &*spec.card_number)];
            desk.credential(stem, &jpki, &[], &Holder::new(&attributes, profile::patient()?)?)
        });
        let stamping = Holder::new(&[(COMMON_NAME, "Sandbox TSA 01")], profile::time_stamping()?)?;

        let pki = Self {
            directory: directory.to_owned(),
            people: people.collect::<Result<_, PkiError>>()?,
            facilities: facilities.collect::<Result<_, PkiError>>()?,
            patients: patients.collect::<Result<_, PkiError>>()?,
            tsa: desk.credential("tsa/tsa", &tsa, &[], &stamping)?,
            faulty: FaultyCredentials::open_or_create(&desk, &hpki_root, &hpki, &jpki)?,
            authorities: vec![
                ("hpki-root", hpki_root),
                ("hpki", hpki),
                ("facility", facility),
                ("jpki", jpki),
                ("tsa", tsa),
            ],
        };
        pki.anchors_write()?;
        pki.refresh_crls(now, random)?;
        Ok(pki)
    }

    /// The directory to load a [`crate::trust::TrustStore`] from.
    pub fn trust_directory(&self) -> PathBuf {
        self.directory.join("pki/trust")
    }

    /// Issues every authority's revocation list anew, good for thirty days from `now`.
    ///
    /// # Errors
    /// [`PkiError`].
    pub fn refresh_crls(&self, now: DateTime<Utc>, random: &dyn SecureRandom) -> Result<(), PkiError> {
        let revocation = |revoked: &Certificate| RevocationRequest {
            serial: revoked.serial().to_vec(),
            at: revoked.not_before() + REVOKED_AFTER,
            reason: CrlReason::CessationOfOperation,
        };
        for (stem, authority) in &self.authorities {
            let request = CrlRequest {
                this_update: now,
                next_update: now + CRL_LIFETIME,
                revoked: match *stem {
                    "hpki" => vec![revocation(&self.faulty.revoked.certificate)],
                    "jpki" => vec![revocation(&self.faulty.card_revoked.certificate)],
                    _ => Vec::new(),
                },
                extensions: Vec::new(),
            };
            let list = authority.crl_issue(&request, random)?;
            file_write(&self.trust_directory().join(format!("crl/{stem}.pem")), &list.to_pem())?;
        }
        Ok(())
    }

    /// Documents carry the signer's certificate alone, so the HPKI issuing authority is an anchor beside its root.
    fn anchors_write(&self) -> Result<(), PkiError> {
        for (stem, authority) in &self.authorities {
            let file = match *stem {
                "hpki-root" => "hpki/root.pem",
                "hpki" => "hpki/issuing.pem",
                "facility" => "facility/root.pem",
                "jpki" => "jpki/root.pem",
                _ => "tsa/root.pem",
            };
            file_write(&self.trust_directory().join(file), &authority.certificate.to_pem())?;
        }
        Ok(())
    }
}

impl FaultyCredentials {
    fn open_or_create(
        desk: &Desk<'_>,
        root: &Authority,
        hpki: &Authority,
        jpki: &Authority,
    ) -> Result<Self, PkiError> {
        let physician = |romaji: &str, kanji: &str, number: &str| {
            person(&PersonSpec {
                id: String::new(),
                romaji: romaji.to_owned(),
                kanji: kanji.to_owned(),
                registration_number: number.to_owned(),
                roles: vec![HcRole::MedicalDoctor],
            })
        };
        let stem = "authorities/hpki";
        let chain = [(stem, &hpki.certificate)];
        let revoked = physician("Taro Shikko", "失効　太郎", "Test990001")?;
        let mut expired = physician("Jiro Kigen", "期限　次郎", "Test990002")?;
        (expired.begins, expired.ends) = EXPIRED;
        let card = |number: &str| Holder::new(&[(COMMON_NAME, number)], profile::patient()?);
        let card_revoked = card("SANDBOX-revoked")?;
        let mut card_expired = card("SANDBOX-expired")?;
        (card_expired.begins, card_expired.ends) = EXPIRED;
        let untrusted = physician("Saburo Nise", "偽　三郎", "Test990003")?;
        // It bears both names and has neither key: only the signature gives it away.
        let false_stem = "faulty/untrusted-authority";
        let key = desk.key(false_stem)?;
        let false_root = Authority { certificate: root.certificate.clone(), key: key.clone() };
        let false_hpki = desk.hpki_authority(false_stem, &false_root, key)?;
        let false_chain = [(false_stem, &false_hpki.certificate)];
        Ok(Self {
            card_revoked: desk.credential("faulty/card-revoked", jpki, &[], &card_revoked)?,
            card_expired: desk.credential("faulty/card-expired", jpki, &[], &card_expired)?,
            revoked: desk.credential("faulty/revoked", hpki, &chain, &revoked)?,
            expired: desk.credential("faulty/expired", hpki, &chain, &expired)?,
            untrusted: desk.credential("faulty/untrusted", &false_hpki, &false_chain, &untrusted)?,
        })
    }
}

fn person(spec: &PersonSpec) -> Result<Holder, PkiError> {
    let number = (SERIAL_NUMBER, &*spec.registration_number);
    let japanese = desk::subject(&[(COMMON_NAME, &*spec.kanji), number])?;
    Holder::new(&[(COMMON_NAME, &*spec.romaji), number], profile::hpki_person(&spec.roles, &japanese)?)
}

fn stems<'a>(room: &str, ids: impl Iterator<Item = &'a str>) -> Result<Vec<String>, PkiError> {
    ids.map(|id| stem(room, id)).collect()
}

#[cfg(test)]
mod tests;
