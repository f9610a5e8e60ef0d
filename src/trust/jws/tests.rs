//! A signature by each algorithm, and one failing each check.

use proptest::prelude::*;

use super::*;
use crate::trust::test_pki::{Identity, PKI};
use crate::trust::{AnchorKind, TrustPolicy};

const ROLES: &[HcRole] = &[HcRole::MedicalDoctor, HcRole::Dentist];
const PAYLOAD: &[u8] = br#"{"resourceType":"Bundle"}"#;

fn by(identity: &Identity, algorithm: Algorithm, chain: &[Certificate]) -> String {
    let signatory = JwsSignatory { chain, key: &identity.key, algorithm, time: PKI.now, random: &PKI.random };
    jws_sign(PAYLOAD, &signatory).unwrap()
}

fn signed(identity: &Identity) -> String {
    by(identity, Algorithm::Rs256, &[identity.certificate.clone(), PKI.hpki.certificate.clone()])
}

/// The header of a good JWS with members replaced (`null`: taken out), the signature made anew over it.
fn with(changes: &Value) -> String {
    with_payload(changes, PAYLOAD)
}

fn with_payload(changes: &Value, payload: &[u8]) -> String {
    let text = signed(&PKI.physician);
    let mut header = Compact::read(&text).unwrap().header;
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            header.remove(name);
        } else {
            header.insert(name.clone(), value.clone());
        }
    }
    compact_sign(&header.into(), payload, Algorithm::Rs256, &PKI.physician.key, &PKI.random).unwrap()
}

fn faults(text: &str) -> Vec<JwsFault> {
    Jws::read(text.as_bytes()).unwrap_err()
}

fn answer(text: &str) -> &'static str {
    match Jws::read(text.as_bytes()) {
        Err(faults) => {
            assert!(!faults.is_empty());
            "document-invalid"
        }
        Ok(read) => {
            read.verify(ROLES, &PKI.store, PKI.now).outcome().map_or_else(|f| f.code.as_str(), |_| "valid")
        }
    }
}

#[test]
fn each_algorithm_verifies_with_its_key() {
    // A physician with a P-256 key, as an authority may issue one.
    let key = SigningKey::p256_generate(&PKI.random).unwrap();
    let request = crate::trust::test_pki::person_request(
        "Eiko Ishi",
        "楕円　医師",
        "Test100009",
        &[HcRole::MedicalDoctor],
        &key,
        PKI.now,
    );
    let ec = Identity { certificate: PKI.hpki.issue(&request, &PKI.random).unwrap(), key };
    for (identity, algorithm) in
        [(&PKI.physician, Algorithm::Rs256), (&PKI.dentist, Algorithm::Ps256), (&ec, Algorithm::Es256)]
    {
        let text = by(identity, algorithm, &[identity.certificate.clone(), PKI.hpki.certificate.clone()]);
        let read = Jws::read(text.as_bytes()).unwrap();
        assert_eq!(read.payload(), PAYLOAD);
        let verdict = read.verify(ROLES, &PKI.store, PKI.now);
        let verified = verdict.outcome().unwrap();
        assert_eq!((&verified.certificate, verified.level), (&identity.certificate, Level::Bes));
        assert_eq!((verified.signing_time, verified.base_time), (Some(PKI.now), PKI.now));
        assert_eq!(verdict.checks.len(), 9);
    }
}

#[test]
fn a_key_of_another_certificate_signs_nothing() {
    let signatory = JwsSignatory {
        chain: std::slice::from_ref(&PKI.dentist.certificate),
        key: &PKI.physician.key,
        algorithm: Algorithm::Rs256,
        time: PKI.now,
        random: &PKI.random,
    };
    assert!(matches!(jws_sign(PAYLOAD, &signatory), Err(JwsSignError::KeyMismatch)));
    let nobody = JwsSignatory { chain: &[], ..signatory };
    assert!(matches!(jws_sign(PAYLOAD, &nobody), Err(JwsSignError::KeyMismatch)));
    let own = JwsSignatory { key: &PKI.dentist.key, ..signatory };
    assert!(matches!(
        jws_sign(PAYLOAD, &JwsSignatory { algorithm: Algorithm::Es256, ..own }),
        Err(JwsSignError::Key(SigningKeyError::Scheme))
    ));
    assert!(matches!(jws_sign(&vec![0; MAX_BYTES], &own), Err(JwsSignError::TooLarge)));
}

#[test]
fn only_the_three_algorithms_and_only_with_their_keys() {
    for alg in
        [json!("none"), json!("None"), json!("HS256"), json!("RS512"), json!("ES384"), json!(1), json!(null)]
    {
        assert_eq!(faults(&with(&json!({ "alg": alg }))), [JwsFault::Algorithm], "{alg}");
    }
    // RFC 7515 A.5: unsecured, the signature left out.
    let none = with(&json!({ "alg": "none" }));
    let none = &none[..=none.rfind('.').unwrap()];
    assert_eq!(faults(none), [JwsFault::Algorithm]);
    assert_eq!(answer(&with(&json!({ "alg": "ES256" }))), "signature-invalid");
    assert_eq!(answer(&with(&json!({ "alg": "PS256" }))), "signature-invalid");
}

#[test]
fn nothing_in_the_header_goes_without_being_understood() {
    use JwsFault as F;
    let cases = [
        (json!({ "crit": ["b64"], "b64": false }), vec![F::Critical, F::Unencoded]),
        (json!({ "crit": ["exp"], "exp": 1 }), vec![F::Critical, F::Unknown]),
        (json!({ "crit": [] }), vec![F::Critical]),
        (json!({ "crit": ["sigT", "sigT"] }), vec![F::Critical]),
        (json!({ "crit": ["alg"] }), vec![F::Critical]),
        (json!({ "crit": ["sigD"] }), vec![F::Critical]),
        (json!({ "crit": "sigT" }), vec![F::Critical]),
        (json!({ "b64": true }), vec![F::Unencoded]),
        (json!({ "jku": "https://example.test/keys" }), vec![F::KeyElsewhere("jku")]),
        (json!({ "jwk": { "kty": "RSA" } }), vec![F::KeyElsewhere("jwk")]),
        (json!({ "x5u": "https://example.test/c" }), vec![F::KeyElsewhere("x5u")]),
        (json!({ "x5t": "AAAA" }), vec![F::Unknown]),
        (json!({ "sigD": {} }), vec![F::Unknown]),
        (json!({ "zip": "DEF" }), vec![F::Unknown]),
        (json!({ "ALG": "none" }), vec![F::Unknown]),
        (json!({ "kid": 1 }), vec![F::KeyId]),
        (json!({ "typ": "JWT" }), vec![F::Type]),
        (json!({ "typ": 1 }), vec![F::Type]),
        (json!({ "cty": null }), vec![F::ContentType]),
        (json!({ "cty": "application/fhir+xml" }), vec![F::ContentType]),
        (json!({ "x5t#S256": null }), vec![F::Thumbprint]),
        (json!({ "x5t#S256": "AAAA" }), vec![F::Thumbprint]),
        (json!({ "x5t#S256": format!("{}=", "A".repeat(43)) }), vec![F::Thumbprint]),
        (json!({ "sigT": null, "crit": null }), vec![F::SigningTime]),
        (json!({ "sigT": null }), vec![F::Critical, F::SigningTime]),
        (json!({ "sigT": "2026-04-01T09:00:00+09:00" }), vec![F::SigningTime]),
        (json!({ "sigT": "2026-04-01T00:00:00.5Z" }), vec![F::SigningTime]),
        (json!({ "sigT": "2026-4-1T0:0:0Z" }), vec![F::SigningTime]),
        (json!({ "sigT": "2026-02-30T00:00:00Z" }), vec![F::SigningTime]),
        (json!({ "sigT": 1_775_012_400 }), vec![F::SigningTime]),
        (json!({ "iat": PKI.now.timestamp() + 1 }), vec![F::SigningTime]),
        (json!({ "iat": PKI.now.timestamp().to_string() }), vec![F::SigningTime]),
        (json!({ "sigT": null, "crit": null, "iat": 1.5 }), vec![F::SigningTime]),
        (json!({ "sigT": null, "crit": null, "iat": i64::MAX }), vec![F::SigningTime]),
        (json!({ "crit": ["iat"], "iat": PKI.now.timestamp() }), vec![F::Critical]),
        (json!({ "x5c": null, "kid": "k" }), vec![F::Chain(ChainError::Shape)]),
        (json!({ "x5c": [] }), vec![F::Chain(ChainError::Shape)]),
        (json!({ "x5c": "AAAA" }), vec![F::Chain(ChainError::Shape)]),
    ];
    for (changes, expected) in cases {
        let mut found = faults(&with(&changes));
        found.sort_by_key(|fault| expected.iter().position(|e| e == fault));
        assert_eq!(found, expected, "{changes}");
    }
    let broken = faults(&with(&json!({ "x5c": ["AAAA"] })));
    assert!(matches!(broken[..], [F::Chain(ChainError::Certificate(_))]));
    assert_eq!(
        faults(&with(&json!({ "alg": "none", "cty": "text/plain", "jku": "x" }))).len(),
        3,
        "all at once"
    );
}

#[test]
fn what_harms_nothing_is_let_pass() {
    for changes in [
        json!({ "typ": null }),
        json!({ "typ": "jose" }),
        json!({ "cty": "fhir+json" }),
        json!({ "crit": null }),
        json!({ "kid": "a hint" }),
        json!({ "iat": PKI.now.timestamp() }),
        json!({ "sigT": null, "crit": null, "iat": PKI.now.timestamp() }),
    ] {
        assert_eq!(answer(&with(&changes)), "valid", "{changes}");
    }
}

#[test]
fn the_payload_is_there() {
    assert_eq!(faults(&with_payload(&json!({}), b"")), [JwsFault::Payload]);
    let text = signed(&PKI.physician);
    let parts: Vec<_> = text.split('.').collect();
    assert_eq!(faults(&format!("{}..{}", parts[0], parts[2])), [JwsFault::Payload]);
}

#[test]
fn only_the_compact_serialization_of_ascii_is_read() {
    let text = signed(&PKI.physician);
    let parts: Vec<_> = text.split('.').collect();
    let json = json!({ "protected": parts[0], "payload": parts[1], "signature": parts[2] }).to_string();
    assert_eq!(faults(&json), [JwsFault::Compact(CompactError::JsonSerialization)]);
    assert_eq!(faults(&format!("{text}=")), [JwsFault::Compact(CompactError::Base64url)]);
    assert_eq!(faults(&format!("{text}\n")), [JwsFault::Compact(CompactError::Base64url)]);
    assert_eq!(faults("あ"), [JwsFault::Text]);
    assert_eq!(faults(&"a".repeat(MAX_BYTES + 1)), [JwsFault::Text]);
    assert_eq!(Jws::read(b"\xff").unwrap_err(), [JwsFault::Text]);
}

#[test]
fn the_certificate_is_bound_and_judged() {
    let other = json!({ "x5t#S256": URL_SAFE_NO_PAD.encode(PKI.dentist.certificate.sha256()) });
    assert_eq!(answer(&with(&other)), "signature-invalid");
    // Another certificate with the same key does not take the leaf's place.
    let revoked =
        json!({ "x5c": chain_write(&[PKI.revoked.certificate.clone(), PKI.hpki.certificate.clone()]) });
    assert_eq!(answer(&with(&revoked)), "signature-invalid");
    let bare = json!({ "x5c": chain_write(std::slice::from_ref(&PKI.physician.certificate)) });
    assert_eq!(answer(&with(&bare)), "certificate-untrusted");
    assert_eq!(answer(&signed(&PKI.revoked)), "certificate-revoked");
    assert_eq!(answer(&signed(&PKI.expired)), "certificate-expired");
    assert_eq!(answer(&signed(&PKI.pharmacist)), "signer-role");
    assert_eq!(
        answer(&by(&PKI.clinic, Algorithm::Es256, std::slice::from_ref(&PKI.clinic.certificate))),
        "certificate-untrusted"
    );
    let mut unlisted = TrustStore::new(TrustPolicy::default());
    unlisted.anchor_add(AnchorKind::Hpki, PKI.hpki_root.certificate.clone());
    let text = signed(&PKI.physician);
    let verdict = Jws::read(text.as_bytes()).unwrap().verify(ROLES, &unlisted, PKI.now);
    assert_eq!(verdict.outcome().unwrap_err().code, Refusal::RevocationUnavailable);
    // The signature itself holds, whoever is trusted.
    assert_eq!(verdict.level, Some(Level::Bes));
}

#[test]
fn every_fault_has_its_place() {
    assert_eq!(faults(&with(&json!({ "alg": "none" })))[0].place(), "JWS.header.alg");
    assert_eq!(faults(&with(&json!({ "x5t#S256": 1 })))[0].place(), "JWS.header.x5t#S256");
    assert_eq!(faults("x")[0].place(), "JWS");
    assert_eq!(faults(&with_payload(&json!({}), b""))[0].place(), "JWS.payload");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_changed_character_never_verifies(index in any::<prop::sample::Index>(), with in "[A-Za-z0-9_.=-]") {
        static SIGNED: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| signed(&PKI.physician));
        let index = index.index(SIGNED.len());
        let changed = format!("{}{with}{}", &SIGNED[..index], &SIGNED[index + 1..]);
        prop_assume!(changed != *SIGNED);
        prop_assert_ne!(answer(&changed), "valid");
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop_oneof![any::<Vec<u8>>(), "[A-Za-z0-9_.=-]{0,200}".prop_map(String::into_bytes)]) {
        prop_assert!(Jws::read(&bytes).is_err());
    }
}
