//! An assertion by each algorithm, and one failing each check.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::trust::SignatureScheme;
use crate::trust::test_pki::{Identity, PKI};

const US: &[&str] = &["https://example.test/oauth2/token", "https://example.test"];

fn made(identity: &Identity, algorithm: Option<Algorithm>, changes: &Value) -> String {
    let chain = [identity.certificate.clone(), PKI.hpki.certificate.clone()];
    let assertion = Assertion {
        chain: &chain,
        issuer: "1311234567",
        audience: US[0],
        jti: "j-1",
        issued_at: PKI.now,
        claims: changes.as_object().unwrap().clone(),
    };
    match algorithm {
        None => assertion.sign(&identity.key, &PKI.random),
        Some(algorithm) => assertion.sign_with(algorithm, &identity.key, &PKI.random),
    }
    .unwrap()
}

fn refused(changes: &Value) -> AssertionError {
    Assertion::verify(&made(&PKI.clinic, None, changes), US, PKI.now).unwrap_err()
}

/// The same assertion under another header, with the signature made anew over it.
fn with_header(identity: &Identity, header: &Value) -> String {
    let jwt = made(identity, None, &json!({}));
    let payload = jwt.split('.').nth(1).unwrap();
    let signed = format!("{}.{payload}", URL_SAFE_NO_PAD.encode(header.to_string()));
    let scheme = match identity.key.x509_scheme() {
        SignatureScheme::EcdsaSha256Asn1 => SignatureScheme::EcdsaP256Sha256Fixed,
        rsa => rsa,
    };
    let signature = identity.key.sign(scheme, signed.as_bytes(), &PKI.random).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn x5c(identity: &Identity) -> Value {
    json!([STANDARD.encode(identity.certificate.der())])
}

#[test]
fn each_algorithm_verifies_with_its_key() {
    let cases = [(&PKI.clinic, None), (&PKI.physician, None), (&PKI.physician, Some(Algorithm::Ps256))];
    for (identity, algorithm) in cases {
        let jwt = made(identity, algorithm, &json!({ "nonce": "n" }));
        let verified = Assertion::verify(&jwt, US, PKI.now).unwrap();
        assert_eq!(verified.leaf, identity.certificate);
        assert_eq!(verified.chain, std::slice::from_ref(&PKI.hpki.certificate));
        assert_eq!((verified.jti.as_str(), verified.issuer.as_str()), ("j-1", "1311234567"));
        assert_eq!(verified.expires_at, PKI.now + LIFETIME_MAX);
        assert_eq!(verified.claims["nonce"], "n");
    }
}

#[test]
fn only_the_three_algorithms_and_only_with_their_keys() {
    for name in ["none", "None", "HS256", "RS512", "ES384", "EdDSA", "rs256", ""] {
        let jwt = with_header(&PKI.physician, &json!({ "alg": name, "x5c": x5c(&PKI.physician) }));
        assert_eq!(Assertion::verify(&jwt, US, PKI.now), Err(AssertionError::Algorithm), "{name}");
    }
    for (identity, name) in [(&PKI.clinic, "RS256"), (&PKI.clinic, "PS256"), (&PKI.physician, "ES256")] {
        let jwt = with_header(identity, &json!({ "alg": name, "x5c": x5c(identity) }));
        assert_eq!(Assertion::verify(&jwt, US, PKI.now), Err(AssertionError::Algorithm), "{name}");
    }
    let jwt = with_header(&PKI.physician, &json!({ "alg": "PS256", "x5c": x5c(&PKI.physician) }));
    assert_eq!(Assertion::verify(&jwt, US, PKI.now), Err(AssertionError::Signature));
}

#[test]
fn the_header_must_carry_the_chain_and_nothing_critical() {
    let of = |header: &Value| Assertion::verify(&with_header(&PKI.clinic, header), US, PKI.now).unwrap_err();
    assert_eq!(of(&json!({ "alg": "ES256" })), AssertionError::Chain);
    assert_eq!(of(&json!({ "alg": "ES256", "x5c": [] })), AssertionError::Chain);
    assert_eq!(of(&json!({ "alg": "ES256", "x5c": [1] })), AssertionError::Chain);
    assert_eq!(of(&json!({ "alg": "ES256", "x5c": "AAAA" })), AssertionError::Chain);
    let six = vec![STANDARD.encode(PKI.clinic.certificate.der()); 6];
    assert_eq!(of(&json!({ "alg": "ES256", "x5c": six })), AssertionError::Chain);
    assert!(matches!(of(&json!({ "alg": "ES256", "x5c": ["AAAA"] })), AssertionError::Certificate(_)));
    let critical = json!({ "alg": "ES256", "x5c": x5c(&PKI.clinic), "crit": ["b64"], "b64": true });
    assert_eq!(of(&critical), AssertionError::Critical);
    let other = json!({ "alg": "ES256", "x5c": x5c(&PKI.pharmacy) });
    assert_eq!(of(&other), AssertionError::Signature);
}

#[test]
fn claims_are_checked_one_by_one() {
    let now = PKI.now.timestamp();
    assert_eq!(refused(&json!({ "sub": "other" })), AssertionError::Subject);
    assert_eq!(refused(&json!({ "iss": null })), AssertionError::Claim("iss"));
    assert_eq!(refused(&json!({ "aud": "https://example.test/" })), AssertionError::Audience);
    assert_eq!(refused(&json!({ "aud": ["https://other.test"] })), AssertionError::Audience);
    assert_eq!(refused(&json!({ "aud": [] })), AssertionError::Audience);
    assert_eq!(refused(&json!({ "aud": null })), AssertionError::Claim("aud"));
    assert_eq!(refused(&json!({ "exp": null })), AssertionError::Claim("exp"));
    assert_eq!(refused(&json!({ "exp": "soon" })), AssertionError::Claim("exp"));
    assert_eq!(refused(&json!({ "iat": null })), AssertionError::Claim("iat"));
    assert_eq!(refused(&json!({ "iat": 1e300 })), AssertionError::Claim("iat"));
    assert_eq!(refused(&json!({ "iat": now - 300, "exp": now - 30 })), AssertionError::Expired);
    assert_eq!(refused(&json!({ "iat": now + 31 })), AssertionError::Future);
    assert_eq!(refused(&json!({ "nbf": now + 31 })), AssertionError::Future);
    assert_eq!(refused(&json!({ "exp": now + 301 })), AssertionError::Lifetime);
    assert_eq!(refused(&json!({ "iat": now, "exp": now })), AssertionError::Lifetime);
    assert_eq!(refused(&json!({ "iat": i64::MIN, "exp": i64::MAX })), AssertionError::Claim("iat"));
    assert_eq!(refused(&json!({ "jti": "" })), AssertionError::Claim("jti"));
    assert_eq!(refused(&json!({ "jti": "x".repeat(129) })), AssertionError::Claim("jti"));
}

#[test]
fn claims_at_their_limits_pass() {
    let now = PKI.now.timestamp();
    let limits = [
        json!({ "iat": now - 300, "exp": now - 29 }),
        json!({ "iat": now + 30, "exp": now + 330 }),
        json!({ "aud": ["https://other.test", US[1]] }),
        json!({ "jti": "あ".repeat(128) }),
    ];
    for changes in limits {
        Assertion::verify(&made(&PKI.clinic, None, &changes), US, PKI.now).unwrap();
    }
}

#[test]
fn a_changed_payload_does_not_verify() {
    let jwt = made(&PKI.clinic, None, &json!({}));
    let mut parts: Vec<_> = jwt.split('.').map(str::to_owned).collect();
    let claims = String::from_utf8(URL_SAFE_NO_PAD.decode(&parts[1]).unwrap()).unwrap();
    parts[1] = URL_SAFE_NO_PAD.encode(claims.replace("1311234567", "1311234568"));
    assert_eq!(Assertion::verify(&parts.join("."), US, PKI.now), Err(AssertionError::Signature));
}

#[test]
fn the_form_is_strict() {
    let jwt = made(&PKI.clinic, None, &json!({}));
    let malformed = Err(AssertionError::Malformed);
    for text in ["", ".", "..", "a.b.c", &format!("{jwt}="), &format!("{jwt}."), &format!(" {jwt}")] {
        assert_eq!(Assertion::verify(text, US, PKI.now), malformed, "{text:.8}");
    }
    let large = "a".repeat(LENGTH_MAX + 1);
    assert_eq!(Assertion::verify(&large, US, PKI.now), Err(AssertionError::TooLarge));
    let deep = URL_SAFE_NO_PAD.encode("[".repeat(10_000));
    assert_eq!(Assertion::verify(&format!("{deep}.{deep}.AA"), US, PKI.now), malformed);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_text_makes_it_panic(text in "[A-Za-z0-9_.=-]{0,200}|.{0,64}") {
        prop_assert!(Assertion::verify(&text, US, PKI.now).is_err());
    }

    #[test]
    fn a_changed_character_never_verifies(index in any::<prop::sample::Index>(), with in "[A-Za-z0-9_.-]") {
        let jwt = made(&PKI.clinic, None, &json!({}));
        let index = index.index(jwt.len());
        let changed = format!("{}{with}{}", &jwt[..index], &jwt[index + 1..]);
        prop_assume!(changed != jwt);
        prop_assert!(Assertion::verify(&changed, US, PKI.now).is_err());
    }
}
