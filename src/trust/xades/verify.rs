//! Verifying a signature: the checks in their order, each told in the verdict.

use chrono::{DateTime, Utc};
use ring::digest::{SHA256, digest};
use roxmltree::Node;

use super::parts::{Parts, Reference, Target, parts_of};
use super::validation::Unsigned;
use crate::trust::c14n::canonicalise;
use crate::trust::signer::SignerToCheck;
use crate::trust::verdict::{Check, CheckName, Level, Outcome, Refusal, Signer, Verdict};
use crate::trust::xml::Xml;
use crate::trust::{HcRole, SignatureScheme, TrustStore};

/// Archive time stamps beyond which a signature is refused: each is work over the whole document.
const ARCHIVE_STAMPS_MAX: usize = 8;

/// Verifies `signature` (a `ds:Signature`) as one over exactly the element `content`, by an HPKI certificate with one
/// of `roles`.
///
/// Certificates are judged at the time of the signature's time stamp when it has one that verifies, else at `at`.
pub fn xades_verify(
    xml: &Xml<'_>,
    signature: Node<'_, '_>,
    content: Node<'_, '_>,
    roles: &[HcRole],
    trust: &TrustStore,
    at: DateTime<Utc>,
) -> Verdict {
    let parts = match parts_of(xml, signature, content, trust) {
        Ok(parts) => parts,
        Err(faults) => {
            let outcome = Outcome::failed(Refusal::DocumentInvalid, faults.join("; "));
            let checks = vec![Check { check: CheckName::Structure, subject: None, outcome }];
            return Verdict { checks, level: None, signer: None, signing_time: None, base_time: at };
        }
    };
    let mut verifier = Verifier { xml, parts: &parts, trust, at, base: at, checks: Vec::new() };
    let level = verifier.run(roles);
    Verdict {
        checks: verifier.checks,
        level,
        signer: Some(Signer(parts.certificates[0].clone())),
        signing_time: Some(parts.signing_time),
        base_time: verifier.base,
    }
}

struct Verifier<'v, 'n, 'a> {
    xml: &'v Xml<'a>,
    parts: &'v Parts<'n, 'a>,
    trust: &'v TrustStore,
    at: DateTime<Utc>,
    base: DateTime<Utc>,
    checks: Vec<Check>,
}

impl Verifier<'_, '_, '_> {
    fn run(&mut self, roles: &[HcRole]) -> Option<Level> {
        let unsigned = Unsigned::of(self.parts.unsigned);
        self.add(CheckName::Structure, None, Outcome::Passed);
        self.signature_value();
        self.references();
        self.signing_certificate();
        let holds = self.checks.iter().all(|check| check.outcome == Outcome::Passed);
        let stamped = self.signature_stamp(&unsigned);
        self.certificate(&unsigned, roles);
        let trusted = holds && self.checks.iter().all(|c| !matches!(c.outcome, Outcome::Failed { .. }));
        let archived = self.archive_stamps(&unsigned);
        match (holds, stamped, trusted && unsigned.complete, archived) {
            (false, ..) => None,
            (true, false, ..) => Some(Level::Bes),
            (true, true, false, _) => Some(Level::T),
            (true, true, true, false) => Some(Level::Xl),
            (true, true, true, true) => Some(Level::A),
        }
    }

    fn add(&mut self, check: CheckName, subject: Option<&str>, outcome: Outcome) {
        self.checks.push(Check { check, subject: subject.map(str::to_owned), outcome });
    }

    fn signature_value(&mut self) {
        let message = canonicalise(self.xml, self.parts.signed_info, &self.parts.method);
        let key = self.parts.certificates[0].public_key();
        let outcome = match key.verify(SignatureScheme::RsaPkcs1Sha256, &message, &self.parts.value) {
            Ok(()) => Outcome::Passed,
            Err(error) => Outcome::failed(Refusal::SignatureInvalid, error.to_string()),
        };
        self.add(CheckName::SignatureValue, None, outcome);
    }

    fn references(&mut self) {
        for reference in &self.parts.references {
            let outcome = reference_check(self.xml, reference);
            self.add(CheckName::Reference, Some(reference.uri), outcome);
        }
        if !self.parts.references.iter().any(|reference| reference.target == Target::Content) {
            let reason = "the signature does not refer to the element it stands for";
            self.add(CheckName::Reference, None, Outcome::failed(Refusal::SignatureMismatch, reason));
        }
    }

    /// The signed properties bind the certificate, so that another one with the same key cannot take its place.
    fn signing_certificate(&mut self) {
        let outcome = if self.parts.certificate_digest == self.parts.certificates[0].sha256() {
            Outcome::Passed
        } else {
            Outcome::failed(
                Refusal::SignatureInvalid,
                "the signed properties name another certificate than the key information",
            )
        };
        self.add(CheckName::SigningCertificate, None, outcome);
    }

    /// Takes the base time from the time stamp when it verifies; answers whether it does.
    fn signature_stamp(&mut self, unsigned: &Unsigned<'_, '_>) -> bool {
        let outcome = match unsigned.signature_stamps[..] {
            [] => Outcome::not_applicable("the signature has no time stamp"),
            [stamp] => {
                match unsigned.signature_stamp_verify(self.xml, self.parts, stamp, self.trust, self.at) {
                    Ok(time) => {
                        self.base = time;
                        Outcome::Passed
                    }
                    Err(error) => Outcome::failed((&error).into(), error.to_string()),
                }
            }
            _ => Outcome::failed(Refusal::DocumentInvalid, "the signature has several time stamps"),
        };
        let passed = outcome == Outcome::Passed;
        self.add(CheckName::SignatureTimestamp, None, outcome);
        passed
    }

    /// Key usage, role, path and revocation.
    fn certificate(&mut self, unsigned: &Unsigned<'_, '_>, roles: &[HcRole]) {
        let intermediates = [&self.parts.certificates[1..], &unsigned.certificates].concat();
        let signer = SignerToCheck {
            leaf: &self.parts.certificates[0],
            intermediates: &intermediates,
            crls: &unsigned.crls,
            at: self.base,
        };
        self.checks.extend(signer.checks(roles, self.trust));
    }

    /// Answers whether there is an archive time stamp and every one verifies.
    fn archive_stamps(&mut self, unsigned: &Unsigned<'_, '_>) -> bool {
        if unsigned.archive_stamps.len() > ARCHIVE_STAMPS_MAX {
            let outcome = Outcome::failed(Refusal::DocumentInvalid, "there are too many archive time stamps");
            self.add(CheckName::ArchiveTimestamp, None, outcome);
            return false;
        }
        let mut all = !unsigned.archive_stamps.is_empty();
        for stamp in &unsigned.archive_stamps {
            let verified = unsigned.archive_stamp_verify(self.xml, self.parts, *stamp, self.trust, self.at);
            let outcome = match verified {
                Ok(_) => Outcome::Passed,
                Err(error) => Outcome::failed((&error).into(), error.to_string()),
            };
            all &= outcome == Outcome::Passed;
            self.add(CheckName::ArchiveTimestamp, stamp.attribute("Id"), outcome);
        }
        if unsigned.archive_stamps.is_empty() {
            let reason = if unsigned.archive_stamps_old > 0 {
                "archive time stamps of XAdES 1.3.2 are not examined"
            } else {
                "the signature has no archive time stamp"
            };
            self.add(CheckName::ArchiveTimestamp, None, Outcome::not_applicable(reason));
        }
        all
    }
}

fn reference_check(xml: &Xml<'_>, reference: &Reference<'_, '_>) -> Outcome {
    let mismatch = |reason: &str| Outcome::failed(Refusal::SignatureMismatch, reason);
    match (reference.target, reference.element) {
        (Target::Missing, _) | (_, None) => mismatch("there is no such element"),
        (Target::Other, _) => mismatch("refers to something that is not to be signed"),
        (Target::Content | Target::KeyInfo | Target::SignedProperties, Some(element)) => {
            let actual = digest(&SHA256, &canonicalise(xml, element, &reference.method));
            if actual.as_ref() == reference.digest {
                Outcome::Passed
            } else {
                mismatch("the digest is that of something else")
            }
        }
    }
}
