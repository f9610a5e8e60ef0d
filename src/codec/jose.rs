//! 電子処方箋 and 調剤結果 as compact JWS of FHIR documents: which signature each must bear, and what a dispensing result
//! must hold of the prescription. Leaves the cryptography to [`crate::trust::jws`] and the documents to
//! [`super::fhir`].
//!
//! The delivered form of a JWS is the JWS itself: there is no place in it where a service could add anything.

use chrono::{DateTime, Utc};

use super::fault::Fault;
use super::fhir::dispensing::{self, DispensingDocument};
use super::signer::{DISPENSERS, PRESCRIBERS};
use crate::trust::TrustStore;
use crate::trust::jws::{Jws, JwsFault, JwsSignError, JwsSignatory, jws_sign};
use crate::trust::verdict::Verdict;

/// The media type of a compact JWS (RFC 7515 9.2.1).
pub const JOSE: &str = "application/jose";

/// A prescription in its signature: 処方箋, the clinic's original, which is the delivered form too.
#[derive(Debug)]
pub struct JosePrescription<'a> {
    text: &'a str,
    jws: Jws<'a>,
}

/// A dispensing result in its signature: 調剤結果, with the prescription it answers inside.
#[derive(Debug)]
pub struct JoseDispensing<'a>(Jws<'a>);

fn jws_read(bytes: &[u8]) -> Result<Jws<'_>, Vec<Fault>> {
    let fault = |fault: JwsFault| Fault { place: fault.place(), message: fault.to_string() };
    Jws::read(bytes).map_err(|faults| faults.into_iter().map(fault).collect())
}

impl<'a> JosePrescription<'a> {
    /// Takes the signature apart.
    ///
    /// # Errors
    /// Every fault of its form, each with its place such as `JWS.header.alg`.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Vec<Fault>> {
        let jws = jws_read(bytes)?;
        // What was read is ASCII.
        Ok(Self { text: std::str::from_utf8(bytes).unwrap_or_default(), jws })
    }

    /// Verifies the prescriber's signature: by a physician or a dentist.
    pub fn verify(&self, trust: &TrustStore, at: DateTime<Utc>) -> Verdict {
        self.jws.verify(&PRESCRIBERS, trust, at)
    }

    /// The FHIR document that was signed.
    pub fn payload(&self) -> &[u8] {
        self.jws.payload()
    }

    /// The JWS itself, as a dispensing result embeds it.
    pub fn text(&self) -> &'a str {
        self.text
    }
}

impl<'a> JoseDispensing<'a> {
    /// Takes the signature apart.
    ///
    /// # Errors
    /// As [`JosePrescription::read`].
    pub fn read(bytes: &'a [u8]) -> Result<Self, Vec<Fault>> {
        jws_read(bytes).map(Self)
    }

    /// Verifies the pharmacist's signature, which covers the prescription inside.
    pub fn verify(&self, trust: &TrustStore, at: DateTime<Utc>) -> Verdict {
        self.0.verify(&DISPENSERS, trust, at)
    }

    /// The FHIR document that was signed.
    pub fn payload(&self) -> &[u8] {
        self.0.payload()
    }

    /// Reads the FHIR document that was signed.
    ///
    /// # Errors
    /// Every fault of it; also when no prescription is inside.
    pub fn document(&self) -> Result<DispensingDocument, Vec<Fault>> {
        let document = dispensing::read(self.payload())?;
        if document.prescription.is_none() {
            let message = "expected the section prescription with a Binary that holds what was delivered";
            let place = "Bundle.entry[0].resource.section".to_owned();
            return Err(vec![Fault { place, message: message.to_owned() }]);
        }
        Ok(document)
    }
}

/// A document, signed as it is.
///
/// # Errors
/// [`JwsSignError`].
pub fn sign(document: &[u8], signatory: &JwsSignatory<'_>) -> Result<Vec<u8>, JwsSignError> {
    jws_sign(document, signatory).map(String::into_bytes)
}

#[cfg(test)]
mod tests {
    use super::super::cj1;
    use super::super::eps_xml::{
        EpsDispensing, EpsPrescription, ReferencePrescription, Signatory, dispensing_over_jws_sign,
    };
    use super::*;
    use crate::trust::Algorithm;
    use crate::trust::test_pki::{Identity, PKI};

    const CJ1: &[u8] = include_bytes!("../../fixtures/documents/general-internal-as-prescribed.cj1.csv");
    const PRESCRIPTION: &[u8] = br#"{"resourceType":"Bundle"}"#;

    fn signed(document: &[u8], by: &Identity) -> Vec<u8> {
        let chain = [by.certificate.clone(), PKI.hpki.certificate.clone()];
        let signatory = JwsSignatory {
            chain: &chain,
            key: &by.key,
            algorithm: Algorithm::Ps256,
            time: PKI.now,
            random: &PKI.random,
        };
        sign(document, &signatory).unwrap()
    }

    fn dispensing(prescription: Option<(&str, &[u8])>) -> Vec<u8> {
        let value = cj1::read(CJ1).unwrap().value;
        signed(&dispensing::write(&value, prescription, PKI.now), &PKI.pharmacist)
    }

    #[test]
    fn a_result_holds_the_prescription_as_it_was_delivered() {
        let prescription = signed(PRESCRIPTION, &PKI.physician);
        let read = JosePrescription::read(&prescription).unwrap();
        assert_eq!((read.payload(), read.text().as_bytes()), (PRESCRIPTION, prescription.as_slice()));
        assert!(read.verify(&PKI.store, PKI.now).is_valid());
        let result = dispensing(Some((JOSE, &prescription)));
        let read = JoseDispensing::read(&result).unwrap();
        assert!(read.verify(&PKI.store, PKI.now).is_valid());
        let document = read.document().unwrap();
        assert_eq!(document.dispensing, cj1::read(CJ1).unwrap().value);
        assert_eq!(document.prescription.unwrap().bytes, prescription);
    }

    #[test]
    fn each_document_is_signed_by_who_may() {
        let code = |verdict: Verdict| verdict.outcome().unwrap_err().code.as_str();
        let by_pharmacist = signed(PRESCRIPTION, &PKI.pharmacist);
        let read = JosePrescription::read(&by_pharmacist).unwrap();
        assert_eq!(code(read.verify(&PKI.store, PKI.now)), "signer-role");
        let by_physician = signed(PRESCRIPTION, &PKI.physician);
        let read = JoseDispensing::read(&by_physician).unwrap();
        assert_eq!(code(read.verify(&PKI.store, PKI.now)), "signer-role");
    }

    #[test]
    fn a_signed_result_without_a_prescription_is_refused() {
        let result = dispensing(None);
        let faults = JoseDispensing::read(&result).unwrap().document().unwrap_err();
        assert_eq!(faults[0].place, "Bundle.entry[0].resource.section");
        assert_eq!(JoseDispensing::read(b"{}").unwrap_err()[0].place, "JWS");
    }

    #[test]
    fn an_xml_result_holds_a_jws_verbatim() {
        let prescription = signed(PRESCRIPTION, &PKI.physician);
        let read = JosePrescription::read(&prescription).unwrap();
        let by = &PKI.pharmacist;
        let signatory =
            Signatory { certificate: &by.certificate, key: &by.key, time: PKI.now, random: &PKI.random };
        let document = dispensing_over_jws_sign(&read, CJ1, &signatory).unwrap();
        let mut trust = PKI.store.clone();
        trust.anchor_add(crate::trust::AnchorKind::Hpki, PKI.hpki.certificate.clone());
        let envelope = EpsDispensing::read(&document).unwrap();
        assert_eq!(envelope.prescription(), ReferencePrescription::Jws(read.text()));
        assert_eq!((envelope.payload(), envelope.prescription_id()), (CJ1, None));
        assert!(envelope.verify(&trust, PKI.now).is_valid());
        assert!(envelope.prescription_verify(&trust, PKI.now).is_valid());
        let other = super::super::eps_xml::prescription_sign(b"SJ1", &signatory).unwrap();
        assert!(!envelope.embeds(&EpsPrescription::read(&other).unwrap()));

        let text = String::from_utf8(document).unwrap();
        let place = "/Document/Dispensing/ReferencePrescription/PrescriptionJws";
        let places = |text: &str| -> Vec<String> {
            let faults = EpsDispensing::read(text.as_bytes()).unwrap_err();
            faults.into_iter().map(|fault| fault.place).collect()
        };
        // White space, an entity of it, another element beside it, and what is no JWS.
        assert_eq!(places(&text.replace("\">eyJ", "\"> eyJ")), [place]);
        assert_eq!(places(&text.replace("\">eyJ", "\">&#10;eyJ")), [place]);
        assert_eq!(places(&text.replace("\">eyJ", "\"><!-- -->eyJ")), [place]);
        assert_eq!(places(&text.replace("\">eyJ", "\">.eyJ")), [place]);
        assert_eq!(
            places(&text.replace("</PrescriptionJws>", "</PrescriptionJws><PrescriptionSign/>")),
            ["/Document/Dispensing/ReferencePrescription"]
        );
        // Another JWS in its place breaks the pharmacist's signature.
        let other = String::from_utf8(signed(PRESCRIPTION, &PKI.dentist)).unwrap();
        let swapped = text.replace(read.text(), &other);
        let envelope = EpsDispensing::read(swapped.as_bytes()).unwrap();
        let failure = envelope.verify(&trust, PKI.now).outcome().unwrap_err();
        assert_eq!(failure.code.as_str(), "signature-mismatch");
        assert!(envelope.prescription_verify(&trust, PKI.now).is_valid());
    }
}
