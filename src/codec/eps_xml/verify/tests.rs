//! A signature holds or names the check that failed: the field sample, every byte of it that is signed, and the
//! known ways of wrapping something else under a good signature.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;

use super::super::test_document::{SJ1, delivered, dispensing, original, original_by, sample, trust};
use super::*;
use crate::codec::eps_xml::ReferencePrescription;
use crate::trust::c14n::{Method, canonicalise};
use crate::trust::test_pki::PKI;
use crate::trust::test_stamp::Stamp;
use crate::trust::verdict::Level;
use crate::trust::xml::text_of;
use crate::trust::{AnchorKind, Certificate, SignatureScheme, TrustPolicy};

/// The one code that refuses a prescription, or `valid`.
fn answer(text: &str) -> &'static str {
    match EpsPrescription::read(text.as_bytes()) {
        Err(faults) => {
            assert!(!faults.is_empty());
            "document-invalid"
        }
        Ok(read) => read.verify(&trust(), PKI.now).outcome().map_or_else(|f| f.code.as_str(), |_| "valid"),
    }
}

/// Trusts the self-issued certificates that a document carries.
fn trust_of(xml: &Xml<'_>) -> TrustStore {
    let mut trust = TrustStore::new(TrustPolicy::default());
    for node in xml.nodes().filter(|node| node.tag_name().name() == "EncapsulatedX509Certificate") {
        let der = BASE64_STANDARD.decode(text_of(node).replace('\n', "")).unwrap();
        let certificate = Certificate::from_der(&der).unwrap();
        if certificate.is_self_issued() {
            let stamps = certificate.subject().common_name().is_some_and(|name| name.contains("TimeStamp"));
            trust.anchor_add(if stamps { AnchorKind::Tsa } else { AnchorKind::Hpki }, certificate);
        }
    }
    trust
}

fn at() -> DateTime<Utc> {
    "2026-04-01T00:00:00Z".parse().unwrap()
}

#[test]
fn the_field_sample_verifies_to_level_xl_at_its_time_stamp() {
    let Some(text) = sample() else { return };
    let read = EpsPrescription::read(text.as_bytes()).unwrap();
    assert_eq!(read.prescription_id().unwrap().to_string(), "1439e0c5-7c1d-4512-861d-263de48417bf");
    assert!(read.payload().starts_with(b"SJ1\n1,1,8000010,99,"));
    assert_eq!(read.conversions().len(), 2);
    let verdict = read.verify(&trust_of(&read.xml), at());
    let verified = verdict.outcome().unwrap();
    assert_eq!(verified.level, Level::Xl);
    assert_eq!(verified.base_time.to_rfc3339(), "2022-09-07T08:18:25.197+00:00");
    assert_eq!(verified.certificate.hc_roles(), [HcRole::MedicalDoctor]);
    let told = verdict.to_string();
    assert!(told.contains("passed          signature time stamp") && told.ends_with("valid"), "{told}");
    let json = serde_json::to_value(&verdict).unwrap();
    assert_eq!((&json["level"], &json["checks"][0]["check"]), (&"XL".into(), &"structure".into()));
    assert_eq!((&json["valid"], &json["signer"]["roles"][0]), (&true.into(), &"Medical Doctor".into()));
    assert_eq!(json["checks"][11]["outcome"], "not-applicable");
    // Trusting nobody, the time stamp cannot lend its time and no path is found.
    let nobody = TrustStore::new(TrustPolicy::default());
    assert_eq!(read.verify(&nobody, at()).outcome().unwrap_err().code, Refusal::CertificateUntrusted);
    // Before the time stamp was made it is from the future.
    let early = read.verify(&trust_of(&read.xml), "2022-09-01T00:00:00Z".parse().unwrap());
    assert_eq!(early.outcome().unwrap_err().code, Refusal::SignatureInvalid);
}

#[test]
fn no_signed_byte_of_the_field_sample_can_be_flipped() {
    let Some(text) = sample() else { return };
    let trust = trust_of(&Xml::parse(text.as_bytes()).unwrap());
    let span = |from: &str, to: &str| {
        let start = text.find(from).unwrap();
        start..start + text[start..].find(to).unwrap() + to.len()
    };
    // Of a token, what is stamped, and the signer's attributes and signature; its certificates are a mere offer.
    let token = span("<xa:EncapsulatedTimeStamp", "</xa:EncapsulatedTimeStamp>");
    let signed = [
        (span("<PrescriptionDocument", "</PrescriptionDocument>"), 13),
        (span("<xs:SignedInfo", "</xs:SignatureValue>"), 7),
        (span("<xs:KeyInfo", "</xs:KeyInfo>"), 13),
        (span("<xa:SignedProperties", "</xa:SignedProperties>"), 5),
        (token.start + 130..token.start + 225, 3),
        (token.end - 750..token.end - 390, 3),
        (token.end - 345..token.end, 5),
    ];
    let mut flipped = 0;
    for (range, step) in signed {
        for position in range.step_by(step) {
            let mut bytes = text.clone().into_bytes();
            // Within Base64 another letter of it, so that the flip gets as far as it can.
            bytes[position] = match bytes[position] {
                b'A' => b'B',
                byte if byte.is_ascii_alphanumeric() => b'A',
                byte => byte ^ 1,
            };
            if let Ok(read) = EpsPrescription::read(&bytes) {
                let verdict = read.verify(&trust, at());
                assert!(!verdict.is_valid(), "byte {position}\n{verdict}");
            }
            flipped += 1;
        }
    }
    assert!(flipped > 800, "{flipped}");
}

#[test]
fn what_we_sign_verifies_in_every_form() {
    let original = original();
    assert_eq!(answer(&original), "valid");
    let delivered = delivered(&original);
    assert_eq!(answer(&delivered), "valid");
    let document = dispensing(&delivered);
    let read = EpsDispensing::read(document.as_bytes()).unwrap();
    assert_eq!(read.prescription(), ReferencePrescription::Sj1(SJ1.as_bytes()));
    for verdict in [read.verify(&trust(), PKI.now), read.prescription_verify(&trust(), PKI.now)] {
        assert_eq!(verdict.outcome().unwrap().level, Level::Bes, "{verdict}");
    }
    assert!(read.embeds(&EpsPrescription::read(delivered.as_bytes()).unwrap()));
    let other = super::super::test_document::delivered(&original_by(&PKI.physician));
    assert!(!read.embeds(&EpsPrescription::read(other.as_bytes()).unwrap()));
    assert!(!read.embeds(&EpsPrescription::read(original.as_bytes()).unwrap()));
}

#[test]
fn what_stands_before_the_document_changes_nothing() {
    let text = original();
    assert_eq!(answer(&format!("\u{feff}{text}")), "valid");
    assert_eq!(answer(text.split_once("?>").unwrap().1), "valid", "the declaration is optional");
    assert_eq!(answer(&format!("<!-- x -->{text}")), "document-invalid");
    // Windows line ends are line ends to XML, also within what is signed.
    let lines = text.replace("<PrescriptionSign>", "\r\n<PrescriptionSign>\r\n");
    assert_eq!(answer(&lines), "valid");
}

#[test]
fn the_worst_document_within_the_limits_is_refused() {
    let namespaces =
        |letter| (0..28).fold(String::new(), |text, n| format!("{text} xmlns:{letter}{n}='urn:{n}'"));
    let text = original();
    let crowd = "<x/>".repeat(18_000);
    let stuffed = text
        .replace("<Document ", &format!("<Document{} ", namespaces('a')))
        .replace("<Prescription>", &format!("<Prescription{}>", namespaces('b')))
        .replace("<xa:SigningTime>", &format!("{crowd}<xa:SigningTime>"));
    assert_eq!(answer(&stuffed), "signature-mismatch");
}

#[test]
fn the_signer_must_be_the_right_one_at_the_time() {
    let by = |identity| {
        let text = original_by(identity);
        let read = EpsPrescription::read(text.as_bytes()).unwrap();
        read.verify(&trust(), PKI.now).outcome().map_or_else(|failure| failure.code.as_str(), |_| "valid")
    };
    assert_eq!(by(&PKI.dentist), "valid");
    assert_eq!(by(&PKI.pharmacist), "signer-role");
    assert_eq!(by(&PKI.expired), "certificate-expired");
    assert_eq!(by(&PKI.revoked), "certificate-revoked");
    let text = original();
    let read = EpsPrescription::read(text.as_bytes()).unwrap();
    let late = read.verify(&trust(), PKI.now + TimeDelta::days(30)).outcome().unwrap_err();
    assert_eq!(late.code, Refusal::RevocationUnavailable);
    // The signing authority is not among the anchors and did not come along.
    assert_eq!(read.verify(&PKI.store, PKI.now).outcome().unwrap_err().code, Refusal::CertificateUntrusted);
}

/// The text between two marks, both excluded.
fn between<'t>(text: &'t str, from: &str, to: &str) -> &'t str {
    let start = text.find(from).unwrap() + from.len();
    &text[start..start + text[start..].find(to).unwrap()]
}

fn document_element(text: &str) -> String {
    let content = between(text, "<PrescriptionDocument ", "</PrescriptionDocument>");
    format!("<PrescriptionDocument {content}</PrescriptionDocument>")
}

#[test]
fn another_payload_under_a_good_signature_is_a_mismatch() {
    let text = original();
    let payload = between(&text, "id=\"PrescriptionDocument\">", "<");
    let forged = BASE64_STANDARD.encode(SJ1.replace("μ", "ｍ"));
    assert_eq!(answer(&text.replace(payload, &forged)), "signature-mismatch");
    // The signature of another prescription by the same physician.
    let elsewhere = text.replace(&document_element(&text), &document_element(&original()));
    assert_eq!(answer(&elsewhere), "valid", "the same payload is the same signed element");
    let broken = format!("{}\n{}", &payload[..8], &payload[8..]);
    assert_eq!(answer(&text.replace(payload, &broken)), "signature-mismatch", "white space is signed too");
}

#[test]
fn a_signed_element_cannot_be_wrapped() {
    let text = original();
    let signed = document_element(&text);
    let forged = signed.replace(between(&signed, ">", "<"), &BASE64_STANDARD.encode("SJ1\nforged"));
    let renamed = forged.replace("id=\"PrescriptionDocument\"", "id=\"other\"");
    let wrapped = [
        // A second element with the same identifier, before and after, and as the other kind of attribute.
        text.replace(&signed, &format!("{forged}{signed}")),
        text.replace(&signed, &format!("{signed}{forged}")),
        text.replace(&signed, &format!("{}{signed}", forged.replace(" id=", " Id="))),
        // The signed element moved away, another in its place.
        text.replace(&signed, &renamed)
            .replace("</PrescriptionSign>", &format!("</PrescriptionSign>{signed}")),
        text.replace(&signed, &renamed)
            .replace("</ds:Object>", &format!("</ds:Object><ds:Object>{signed}</ds:Object>")),
        text.replace(&signed, &renamed)
            .replace("<ds:Object ", &format!("<ds:Object>{signed}</ds:Object><ds:Object ")),
        text.replace(&signed, &renamed)
            .replace("</xa:QualifyingProperties>", &format!("</xa:QualifyingProperties>{signed}")),
        text.replace(&signed, &format!("<Wrapper>{signed}</Wrapper>")),
        text.replace("<Prescription>", "<Prescription><Prescription>")
            .replace("</Prescription>", "</Prescription></Prescription>"),
        // The signature elsewhere.
        text.replace("<PrescriptionSign>", "<Elsewhere>").replace("</PrescriptionSign>", "</Elsewhere>"),
        text.replace("Id=\"PrescriptionSign\"", "Id=\"DispensingSign\""),
        // An attribute twice; comments and CDATA within Base64.
        text.replace(
            "id=\"PrescriptionDocument\"",
            "id=\"PrescriptionDocument\" id=\"PrescriptionDocument\"",
        ),
        text.replace("U0ox", "U0<!-- x -->ox"),
        text.replace("U0ox", "<![CDATA[U0ox]]>"),
        text.replace("<ds:SignedInfo", "<!-- x --><ds:SignedInfo"),
        text.replace("?><Document", "?><!DOCTYPE Document><Document"),
        text.replace("<Prescription>", "<?x y?><Prescription>"),
    ];
    for (index, text) in wrapped.iter().enumerate() {
        assert_eq!(answer(text), "document-invalid", "variant {index}");
    }
    let moved = text.replace(&signed, &renamed);
    assert_eq!(answer(&moved), "document-invalid", "the identifier is fixed");
}

#[test]
fn a_signature_made_for_something_else_is_a_mismatch() {
    use crate::trust::xades::xades_sign;
    let text = original();
    let place = text.find("<ds:Signature ").unwrap();
    let end = text.find("</PrescriptionSign>").unwrap();
    let (before, after) = (&text[..place], &text[end..]);
    let signatory = super::super::test_document::signatory(&PKI.physician);
    let request = signatory.request("PrescriptionManagement", "PrescriptionSign");
    let text = String::from_utf8(xades_sign(before, after, &request).unwrap()).unwrap();
    assert_eq!(answer(&text), "signature-mismatch");
}

#[test]
fn only_the_pinned_profile_is_taken() {
    let text = original();
    let content = "<ds:Reference URI=\"#PrescriptionDocument\">";
    let reference = format!("{content}{}</ds:Reference>", between(&text, content, "</ds:Reference>"));
    let sha256 = "http://www.w3.org/2001/04/xmlenc#sha256";
    let transform = |algorithm: &str| {
        let transforms = format!("<ds:Transforms><ds:Transform Algorithm=\"{algorithm}\"/></ds:Transforms>");
        text.replace(content, &format!("{content}{transforms}"))
    };
    let certificate = between(&text, "<ds:X509Certificate>", "<");
    let outside = [
        text.replace(content, "<ds:Reference URI=\"\">"),
        text.replace(content, "<ds:Reference>"),
        text.replace(content, "<ds:Reference URI=\"https://example.jp/x\">"),
        text.replace(content, "<ds:Reference URI=\"#xpointer(/)\">").replacen("#xpointer", "xpointer", 1),
        text.replace(&reference, &format!("{reference}{reference}")),
        text.replace(
            &reference,
            &format!("{reference}{}", reference.replace("#PrescriptionDocument", "#PrescriptionManagement")),
        ),
        transform("http://www.w3.org/TR/1999/REC-xpath-19991116"),
        transform("http://www.w3.org/TR/1999/REC-xslt-19991116"),
        transform("http://www.w3.org/2000/09/xmldsig#enveloped-signature"),
        transform("http://www.w3.org/TR/2001/REC-xml-c14n-20010315#WithComments"),
        text.replace(
            "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
            "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256",
        ),
        text.replace(
            "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
            "http://www.w3.org/2000/09/xmldsig#rsa-sha1",
        ),
        text.replace("http://www.w3.org/2001/04/xmldsig-more#rsa-sha256", ""),
        text.replacen(sha256, "http://www.w3.org/2000/09/xmldsig#sha1", 1),
        text.replace(" Type=\"http://uri.etsi.org/01903#SignedProperties\"", ""),
        text.replace(&format!("<ds:X509Certificate>{certificate}</ds:X509Certificate>"), ""),
        text.replace(certificate, &certificate[..certificate.len() - 8]),
        text.replace("Target=\"#PrescriptionSign\"", "Target=\"#other\""),
        text.replace("<ds:SignedInfo ", "<ds:SignedInfo xmlns:x=\"y\" ")
            .replace("ds:SignatureMethod", "x:SignatureMethod"),
    ];
    for (index, variant) in outside.iter().enumerate() {
        assert_ne!(*variant, text, "variant {index} changes nothing");
        assert_eq!(answer(variant), "document-invalid", "variant {index}");
    }
    // Allowed by the profile, but not what was signed.
    assert_eq!(answer(&transform("http://www.w3.org/2001/10/xml-exc-c14n#")), "signature-invalid");
    assert_eq!(answer(&text.replace(content, "<ds:Reference URI=\"#nowhere\">")), "signature-invalid");
    assert_eq!(answer(&text.replace(&reference, "")), "signature-invalid");
}

/// Signs again, as the physician, after the signature's references were changed: `content` is the method by which the
/// document's digest is made anew.
fn signed_again(text: &str, content: &Method) -> String {
    let xml = Xml::parse(text.as_bytes()).unwrap();
    let element = xml.element_by_id("PrescriptionDocument").unwrap();
    let digest = ring::digest::digest(&ring::digest::SHA256, &canonicalise(&xml, element, content));
    let old = between(between(text, "#PrescriptionDocument\"", "</ds:Reference>"), "<ds:DigestValue>", "<");
    let text = text.replace(old, &BASE64_STANDARD.encode(digest));
    let xml = Xml::parse(text.as_bytes()).unwrap();
    let info = xml.nodes().find(|node| node.tag_name().name() == "SignedInfo").unwrap();
    let message = canonicalise(&xml, info, &Method::Exclusive(Vec::new()));
    let value = PKI.physician.key.sign(SignatureScheme::RsaPkcs1Sha256, &message, &PKI.random).unwrap();
    let old = text.split("SignatureValue>").next().unwrap().len();
    let start = old - text[..old].chars().rev().take_while(|c| *c != '>').map(char::len_utf8).sum::<usize>();
    let end = start + text[start..].find('<').unwrap();
    format!("{}{}{}", &text[..start], BASE64_STANDARD.encode(value), &text[end..])
}

#[test]
fn the_signer_cannot_widen_the_profile_either() {
    let text = original();
    let content = "<ds:Reference URI=\"#PrescriptionDocument\">";
    let again = |text: &str| answer(&signed_again(text, &Method::Inclusive));
    assert_eq!(again(&text), "valid");
    // Other tools sign the document by exclusive canonicalisation, or leave the key information out.
    let algorithm = Method::EXCLUSIVE;
    let transforms = format!("<ds:Transforms><ds:Transform Algorithm=\"{algorithm}\"/></ds:Transforms>");
    let exclusive = text.replace(content, &format!("{content}{transforms}"));
    assert_eq!(answer(&signed_again(&exclusive, &Method::Exclusive(Vec::new()))), "valid");
    assert_eq!(again(&exclusive), "signature-mismatch");
    let start = text.find("</ds:Reference>").unwrap() + "</ds:Reference>".len();
    let end = start + text[start..].find("</ds:Reference>").unwrap() + "</ds:Reference>".len();
    assert_eq!(again(&format!("{}{}", &text[..start], &text[end..])), "valid");
    // Nothing else may take a reference's place, and none may be left out.
    let key_info = between(&text[start..], "URI=\"#", "\"");
    let elsewhere = |id: &str| again(&text.replacen(&format!("\"#{key_info}\""), &format!("\"#{id}\""), 1));
    assert_eq!(elsewhere("PrescriptionManagement"), "signature-mismatch");
    assert_eq!(elsewhere("nowhere"), "signature-mismatch");
    let properties = text.find("<ds:Reference Type").unwrap();
    let info_end = text.find("</ds:SignedInfo>").unwrap();
    assert_eq!(again(&format!("{}{}", &text[..properties], &text[info_end..])), "document-invalid");
}

#[test]
fn the_certificate_cannot_be_swapped() {
    let text = original();
    let certificate = between(&text, "<ds:X509Certificate>", "<");
    let other = |identity: &crate::trust::test_pki::Identity| {
        answer(&text.replace(certificate, &BASE64_STANDARD.encode(identity.certificate.der())))
    };
    assert_eq!(other(&PKI.dentist), "signature-invalid");
    // The same key, another certificate: the signature value holds, what it covers does not.
    assert_eq!(other(&PKI.expired), "signature-mismatch");
}

#[test]
fn signed_properties_of_another_signature_do_not_count() {
    let prescription = delivered(&original());
    let text = dispensing(&prescription);
    let inner = between(&text, "<xa:SignedProperties Id=\"", "\"").to_owned();
    let outer_sign = text.rfind("<ds:Signature ").unwrap();
    let outer = between(&text[outer_sign..], "<xa:SignedProperties Id=\"", "\"").to_owned();
    assert_ne!(inner, outer);
    let (head, tail) = text.split_at(outer_sign);
    let swapped =
        format!("{head}{}", tail.replace(&format!("URI=\"#{outer}\""), &format!("URI=\"#{inner}\"")));
    let read = EpsDispensing::read(swapped.as_bytes()).unwrap();
    let failure = read.verify(&trust(), PKI.now).outcome().unwrap_err();
    assert_eq!(failure.code, Refusal::DocumentInvalid);
    assert!(read.prescription_verify(&trust(), PKI.now).is_valid());
    // A change to the doctor's signature breaks the pharmacist's too.
    let changed = text.replacen("</ds:SignatureValue>", " </ds:SignatureValue>", 1);
    let read = EpsDispensing::read(changed.as_bytes()).unwrap();
    assert_eq!(read.verify(&trust(), PKI.now).outcome().unwrap_err().code, Refusal::SignatureMismatch);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn no_mutation_panics_or_verifies(at in 0.0..1.0f64, byte in any::<u8>(), cut in 0usize..40, again in any::<bool>()) {
        static TEXT: std::sync::LazyLock<String> = std::sync::LazyLock::new(original);
        let mut bytes = TEXT.clone().into_bytes();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a place in the document")]
        let position = (at * bytes.len() as f64) as usize;
        let end = (position + cut).min(bytes.len());
        if again {
            let piece = bytes[position..end].to_vec();
            bytes.splice(position..position, piece);
        } else {
            bytes.splice(position..end, [byte]);
        }
        let same = |bytes: &[u8]| std::str::from_utf8(bytes).is_ok_and(|text| {
            document_element_maybe(text) == Some(document_element(&TEXT))
        });
        if let Ok(read) = EpsPrescription::read(&bytes) {
            let verdict = read.verify(&trust(), PKI.now);
            // What is outside the signed parts may change, as long as what is read is what was signed.
            prop_assert!(!verdict.is_valid() || same(&bytes));
        }
        drop(EpsDispensing::read(&bytes));
    }
}

fn document_element_maybe(text: &str) -> Option<String> {
    let start = text.find("<PrescriptionDocument ")?;
    let end = text[start..].find("</PrescriptionDocument>")?;
    Some(format!("{}</PrescriptionDocument>", &text[start..start + end]))
}

/// Adds an unsigned property to a signature that we made.
fn property_add(text: &str, property: &str) -> String {
    let end = "</xa:UnsignedSignatureProperties></xa:UnsignedProperties></xa:QualifyingProperties>";
    if text.contains(end) {
        return text.replace(end, &format!("{property}{end}"));
    }
    let start = "<xa:UnsignedProperties><xa:UnsignedSignatureProperties>";
    text.replace("</xa:QualifyingProperties>", &format!("{start}{property}{end}"))
}

/// A time stamp element over `message`.
fn stamp_element(name: &str, namespace: &str, message: &[u8], time: DateTime<Utc>) -> String {
    let token = BASE64_STANDARD.encode(Stamp::of(message, time).token());
    let body = format!("<xa:EncapsulatedTimeStamp>{token}</xa:EncapsulatedTimeStamp>");
    format!("<{name}{namespace} Id=\"id-{name}\">{body}</{name}>")
        .replace("id-xa141:", "id-")
        .replace("id-xa:", "id-")
}

fn canonical(text: &str, name: &str) -> Vec<u8> {
    let xml = Xml::parse(text.as_bytes()).unwrap();
    let element = xml.nodes().find(|node| node.tag_name().name() == name).unwrap();
    canonicalise(&xml, element, &Method::Inclusive)
}

/// An original with a signature time stamp.
fn stamped(time: DateTime<Utc>) -> String {
    let text = original();
    property_add(
        &text,
        &stamp_element("xa:SignatureTimeStamp", "", &canonical(&text, "SignatureValue"), time),
    )
}

fn verdict(text: &str, at: DateTime<Utc>) -> Verdict {
    EpsPrescription::read(text.as_bytes()).unwrap().verify(&trust(), at)
}

#[test]
fn a_time_stamp_lends_its_time() {
    let text = stamped(PKI.now);
    let verified = verdict(&text, PKI.now).outcome().unwrap();
    assert_eq!((verified.level, verified.base_time), (Level::T, PKI.now));
    // Long after the revocation lists have run out the stamped signature still holds, the bare one does not.
    let later = PKI.now + TimeDelta::days(300);
    assert!(verdict(&text, later).is_valid());
    assert!(!verdict(&original(), later).is_valid());
    // A time stamp from another signature is over something else.
    let (mine, other) = (original(), original());
    let foreign = stamp_element("xa:SignatureTimeStamp", "", &canonical(&other, "SignatureValue"), PKI.now);
    let failure = verdict(&property_add(&mine, &foreign), PKI.now).outcome().unwrap_err();
    assert_eq!(failure.code, Refusal::SignatureMismatch);
    let twice = property_add(&text, &foreign.replace("id-Signature", "id-Other"));
    assert_eq!(verdict(&twice, PKI.now).outcome().unwrap_err().code, Refusal::DocumentInvalid);
}

#[test]
fn carried_proof_and_an_archive_time_stamp_raise_the_level() {
    let certificate = BASE64_STANDARD.encode(PKI.hpki.certificate.der());
    let values = format!(
        "<xa:CertificateValues><xa:EncapsulatedX509Certificate>{certificate}</xa:EncapsulatedX509Certificate>\
         </xa:CertificateValues>"
    );
    let text = property_add(&property_add(&stamped(PKI.now), &values), "<xa:RevocationValues/>");
    // With the authority's certificate carried along the root alone suffices.
    let read = EpsPrescription::read(text.as_bytes()).unwrap();
    assert_eq!(read.verify(&PKI.store, PKI.now).outcome().unwrap().level, Level::Xl);
    // TS 101 903 8.2.1: the references, the signature, and the unsigned properties so far.
    let mut message = canonical(&text, "PrescriptionDocument");
    let xml = Xml::parse(text.as_bytes()).unwrap();
    for name in ["KeyInfo", "SignedProperties"] {
        let element = xml.nodes().find(|node| node.tag_name().name() == name).unwrap();
        message.extend(canonicalise(&xml, element, &Method::Exclusive(Vec::new())));
    }
    let rest = [
        "SignedInfo",
        "SignatureValue",
        "KeyInfo",
        "SignatureTimeStamp",
        "CertificateValues",
        "RevocationValues",
    ];
    for name in rest {
        message.extend(canonical(&text, name));
    }
    let namespace = " xmlns:xa141=\"http://uri.etsi.org/01903/v1.4.1#\"";
    let archive = |message: &[u8]| {
        property_add(&text, &stamp_element("xa141:ArchiveTimeStamp", namespace, message, PKI.now))
    };
    assert_eq!(verdict(&archive(&message), PKI.now).outcome().unwrap().level, Level::A);
    let failure = verdict(&archive(&message[1..]), PKI.now);
    assert_eq!(failure.outcome().unwrap_err().code, Refusal::SignatureMismatch);
    assert_eq!(failure.level, Some(Level::Xl));
}
