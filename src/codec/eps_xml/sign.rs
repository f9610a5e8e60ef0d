//! Making the documents that a clinic and a pharmacy send, as the signing tool and the sandbox do.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use chrono::{DateTime, Utc};
use ring::rand::SecureRandom;

use super::envelope::EpsPrescription;
use super::reading::PRESCRIPTION_JWS;
use crate::codec::jose::JosePrescription;
use crate::trust::xades::{SignatureRequest, XadesSignError, xades_sign};
use crate::trust::{Certificate, SigningKey};

/// The start of either document. The schema instance namespace is in scope of everything that is signed, so the two
/// must declare the same namespaces: an embedded prescription then keeps its canonical form.
const DOCUMENT: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Document xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" id=\"Document\" xsi:noNamespaceSchemaLocation=";

/// Who signs, and when.
pub struct Signatory<'s> {
    /// The signer's HPKI certificate.
    pub certificate: &'s Certificate,
    /// Its key, RSA.
    pub key: &'s SigningKey,
    /// The time of signing.
    pub time: DateTime<Utc>,
    /// Randomness.
    pub random: &'s dyn SecureRandom,
}

impl<'s> Signatory<'s> {
    pub(super) fn request(&self, content_id: &'s str, signature_id: &'s str) -> SignatureRequest<'s> {
        SignatureRequest {
            content_id,
            signature_id,
            certificate: self.certificate,
            key: self.key,
            signing_time: self.time,
            random: self.random,
        }
    }
}

/// A clinic's original: the SJ1 bytes in their envelope, signed.
///
/// # Errors
/// [`XadesSignError`], when the key does not belong to the certificate or does not sign.
pub fn prescription_sign(sj1: &[u8], signatory: &Signatory<'_>) -> Result<Vec<u8>, XadesSignError> {
    let payload = BASE64_STANDARD.encode(sj1);
    let before = [
        DOCUMENT,
        "\"EP.xsd\"><Prescription><PrescriptionManagement id=\"PrescriptionManagement\"><Version Value=\"EPS1.0\"/>",
        "</PrescriptionManagement><PrescriptionDocument id=\"PrescriptionDocument\">",
        &payload,
        "</PrescriptionDocument><PrescriptionSign>",
    ];
    let after = "</PrescriptionSign></Prescription></Document>";
    xades_sign(&before.concat(), after, &signatory.request("PrescriptionDocument", "PrescriptionSign"))
}

/// A pharmacy's dispensing result: the CJ1 bytes and the delivered prescription, byte for byte, signed together.
///
/// # Errors
/// As [`prescription_sign`]; also when the whole becomes too large to be read again.
pub fn dispensing_sign(
    delivered: &EpsPrescription<'_>,
    cj1: &[u8],
    signatory: &Signatory<'_>,
) -> Result<Vec<u8>, XadesSignError> {
    dispensing_over(delivered.content(), cj1, signatory)
}

/// The same over a prescription that was delivered as a compact JWS, which stands there verbatim.
///
/// # Errors
/// As [`dispensing_sign`].
pub fn dispensing_over_jws_sign(
    delivered: &JosePrescription<'_>,
    cj1: &[u8],
    signatory: &Signatory<'_>,
) -> Result<Vec<u8>, XadesSignError> {
    let jws = delivered.text();
    let content = format!("<{PRESCRIPTION_JWS} id=\"{PRESCRIPTION_JWS}\">{jws}</{PRESCRIPTION_JWS}>");
    dispensing_over(&content, cj1, signatory)
}

fn dispensing_over(
    reference: &str,
    cj1: &[u8],
    signatory: &Signatory<'_>,
) -> Result<Vec<u8>, XadesSignError> {
    let payload = BASE64_STANDARD.encode(cj1);
    let before = [
        DOCUMENT,
        "\"ED.xsd\"><DispensingManagement id=\"DispensingManagement\"><Version Value=\"EPD1.0\"/>",
        "</DispensingManagement><Dispensing id=\"Dispensing\"><ReferencePrescription>",
        reference,
        "</ReferencePrescription><DispensingDocument id=\"DispensingDocument\">",
        &payload,
        "</DispensingDocument></Dispensing><DispensingSign>",
    ];
    let after = "</DispensingSign></Document>";
    xades_sign(&before.concat(), after, &signatory.request("Dispensing", "DispensingSign"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::super::test_document::{SJ1, delivered, dispensing, original, sample, signatory};
    use super::*;
    use crate::trust::test_pki::PKI;

    #[test]
    fn a_key_of_another_certificate_signs_nothing() {
        let mixed = Signatory { key: &PKI.dentist.key, ..signatory(&PKI.physician) };
        let error = prescription_sign(SJ1.as_bytes(), &mixed).unwrap_err();
        assert!(matches!(error, XadesSignError::KeyMismatch));
    }

    #[test]
    fn the_prescription_is_embedded_byte_for_byte() {
        let delivered = delivered(&original());
        let inner = &delivered[delivered.find("<PrescriptionManagement").unwrap()..];
        let inner = &inner[..inner.find("</Prescription>").unwrap()];
        let document = dispensing(&delivered);
        assert!(document.contains(&format!("<ReferencePrescription>{inner}</ReferencePrescription>")));
    }

    #[test]
    fn xmlsec_agrees_where_it_is_installed() {
        let (original, directory) = (original(), tempfile::tempdir().unwrap());
        let delivered = delivered(&original);
        let mut documents = vec![dispensing(&delivered), original, delivered];
        documents.extend(sample());
        for (index, document) in documents.iter().enumerate() {
            let path = directory.path().join(format!("{index}.xml"));
            std::fs::write(&path, document).unwrap();
            let places: &[&str] =
                if index == 0 { &["DispensingSign", "PrescriptionSign"] } else { &["PrescriptionSign"] };
            for place in places {
                // Versions from 1.3 on must be told to take the key from the certificate that came along.
                let attempts = [&["--lax-key-search"][..], &[]].map(|options| xmlsec(options, place, &path));
                let Ok(told) = attempts.into_iter().collect::<std::io::Result<Vec<_>>>() else {
                    eprintln!("skipped: xmlsec1 is not installed here");
                    return;
                };
                assert!(told.contains(&None), "document {index}, {place}: {told:?}");
            }
        }
    }

    /// What xmlsec1 has against the signature; an error when there is no xmlsec1.
    fn xmlsec(options: &[&str], place: &str, path: &std::path::Path) -> std::io::Result<Option<String>> {
        let mut command = Command::new("xmlsec1");
        command.args(["--verify", "--insecure"]).args(options);
        command.args(["--node-xpath", &format!("//{place}/*")]);
        command.args(["--id-attr:id", "PrescriptionDocument", "--id-attr:id", "Dispensing"]);
        command.args(["--id-attr:Id", "http://www.w3.org/2000/09/xmldsig#:KeyInfo"]);
        command.args(["--id-attr:Id", "http://uri.etsi.org/01903/v1.3.2#:SignedProperties"]);
        let output = command.arg(path).output()?;
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        Ok((!output.status.success()).then_some(told))
    }
}
