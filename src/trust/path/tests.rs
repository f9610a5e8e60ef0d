//! A good path of each kind, and one broken in each way.

use chrono::TimeDelta;
use const_oid::db::rfc5280 as oid;
use proptest::prelude::*;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::crl::dp::{DistributionPoint, IssuingDistributionPoint};
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};
use x509_cert::ext::pkix::{BasicConstraints, CrlDistributionPoints, CrlReason, KeyUsages};

use super::*;
use crate::trust::issuance::{Authority, CertificateRequest, RevocationRequest, extension};
use crate::trust::name::COMMON_NAME;
use crate::trust::test_pki::{PKI, crl_request, person_request, request, test_name};
use crate::trust::{HcRole, SigningKey, TrustPolicy, profile};

mod revocation;

use AnchorKind::{Facility, Hpki, Jpki, Tsa};
use Purpose::{Authenticate, SignDocument, Timestamp};

fn physician_validate(leaf: &Certificate) -> Result<ValidPath, PathError> {
    PKI.store.validate(Hpki, SignDocument, leaf, &PKI.hpki_chain(), &[], PKI.now)
}

/// A physician's request with its extensions changed, issued by the HPKI authority.
fn physician_with(change: impl FnOnce(&mut CertificateRequest)) -> Certificate {
    let roles = [HcRole::MedicalDoctor];
    let mut request = person_request("A", "甲", "Test1", &roles, &PKI.physician.key, PKI.now);
    change(&mut request);
    PKI.hpki.issue(&request, &PKI.random).unwrap()
}

fn without(id: ObjectIdentifier) -> impl FnOnce(&mut CertificateRequest) {
    move |request| request.extensions.retain(|e| e.extn_id != id)
}

fn with(replacement: Extension) -> impl FnOnce(&mut CertificateRequest) {
    move |request| {
        request.extensions.retain(|e| e.extn_id != replacement.extn_id);
        request.extensions.push(replacement);
    }
}

/// An authority under the HPKI root with an own key, and its empty list.
fn authority_under(parent: &Authority, called: &str, extensions: Vec<Extension>) -> (Authority, Crl) {
    let key = SigningKey::p256_generate(&PKI.random).unwrap();
    let request = request(test_name(&[(COMMON_NAME, called)]), &key, PKI.now, 365, extensions);
    let authority = Authority { certificate: parent.issue(&request, &PKI.random).unwrap(), key };
    let list = authority.crl_issue(&crl_request(PKI.now, Vec::new()), &PKI.random).unwrap();
    (authority, list)
}

fn physician_under(authority: &Authority) -> Certificate {
    let roles = [HcRole::MedicalDoctor];
    let request = person_request("A", "甲", "Test1", &roles, &PKI.physician.key, PKI.now);
    authority.issue(&request, &PKI.random).unwrap()
}

#[test]
fn each_kind_validates_for_its_purpose() {
    let chain = PKI.hpki_chain();
    for person in [&PKI.physician, &PKI.dentist, &PKI.pharmacist] {
        for purpose in [SignDocument, Authenticate] {
            let path = PKI.store.validate(Hpki, purpose, &person.certificate, &chain, &[], PKI.now).unwrap();
            let expected = [&person.certificate, &PKI.hpki.certificate, &PKI.hpki_root.certificate];
            assert_eq!(path.certificates().iter().collect::<Vec<_>>(), expected);
            assert_eq!(path.kind(), Hpki);
        }
    }
    let others = [
        (Facility, Authenticate, &PKI.clinic),
        (Jpki, Authenticate, &PKI.patient),
        (Tsa, Timestamp, &PKI.tsa),
    ];
    for (kind, purpose, identity) in others {
        PKI.store.validate(kind, purpose, &identity.certificate, &[], &[], PKI.now).unwrap();
    }
}

#[test]
fn the_kind_is_that_of_the_anchor() {
    let kind = |leaf: &Certificate| PKI.store.kind_of(leaf, &PKI.hpki_chain());
    assert_eq!(kind(&PKI.physician.certificate), Some(Hpki));
    assert_eq!(kind(&PKI.expired.certificate), Some(Hpki));
    assert_eq!(kind(&PKI.clinic.certificate), Some(Facility));
    assert_eq!(kind(&PKI.patient.certificate), Some(Jpki));
    assert_eq!(kind(&PKI.tsa.certificate), Some(Tsa));
    assert_eq!(PKI.store.kind_of(&PKI.physician.certificate, &[]), None);
    let mut ambiguous = PKI.store.clone();
    ambiguous.anchor_add(Jpki, PKI.facility_root.certificate.clone());
    assert_eq!(ambiguous.kind_of(&PKI.clinic.certificate, &[]), None);
    let crossed = PKI.store.validate(Facility, Authenticate, &PKI.patient.certificate, &[], &[], PKI.now);
    assert_eq!(crossed, Err(PathError::Untrusted(UntrustedReason::UnknownIssuer)));
}

#[test]
fn an_intermediate_can_be_the_anchor() {
    let mut store = TrustStore::new(TrustPolicy::default());
    store.anchor_add(Hpki, PKI.hpki.certificate.clone());
    let leaf = &PKI.physician.certificate;
    let path = store.validate(Hpki, SignDocument, leaf, &[], &PKI.crls, PKI.now).unwrap();
    assert_eq!(path.certificates().len(), 2);
}

#[test]
fn validity_is_judged_at_the_instant_for_every_certificate() {
    let refused = |leaf: &Certificate, at| {
        PKI.store.validate(Hpki, SignDocument, leaf, &PKI.hpki_chain(), &PKI.crls, at).unwrap_err()
    };
    let expired = &PKI.expired.certificate;
    assert_eq!(refused(expired, PKI.now), PathError::Expired { until: expired.not_after() });
    let (leaf, second) = (&PKI.physician.certificate, TimeDelta::seconds(1));
    let early = leaf.not_before() - second;
    assert_eq!(refused(leaf, early), PathError::NotYetValid { from: leaf.not_before() });
    let late = leaf.not_after() + second;
    assert_eq!(refused(leaf, late), PathError::Expired { until: leaf.not_after() });

    let short = |request: &mut CertificateRequest| request.not_after = PKI.now - second;
    let key = SigningKey::p256_generate(&PKI.random).unwrap();
    let mut ended =
        request(test_name(&[(COMMON_NAME, "Ended CA")]), &key, PKI.now, 1, profile::authority(None).unwrap());
    short(&mut ended);
    let ended = Authority { certificate: PKI.hpki_root.issue(&ended, &PKI.random).unwrap(), key };
    let leaf = physician_under(&ended);
    let chain = [ended.certificate.clone()];
    assert_eq!(
        PKI.store.validate(Hpki, SignDocument, &leaf, &chain, &[], PKI.now),
        Err(PathError::Expired { until: ended.certificate.not_after() })
    );
}

#[test]
fn an_issuer_of_the_right_name_and_the_wrong_key_is_untrusted() {
    let key = SigningKey::p256_generate(&PKI.random).unwrap();
    let impostor = Authority { certificate: PKI.hpki.certificate.clone(), key: key.clone() };
    let leaf = physician_under(&impostor);
    let signature = Err(PathError::Untrusted(UntrustedReason::Signature));
    assert_eq!(physician_validate(&leaf), signature);

    let subject = der::Decode::from_der(PKI.hpki.certificate.subject().der()).unwrap();
    let own = request(subject, &key, PKI.now, 365, profile::hpki_authority().unwrap());
    let false_root = Authority { certificate: PKI.hpki_root.certificate.clone(), key: key.clone() };
    let own = false_root.issue(&own, &PKI.random).unwrap();
    let both = [PKI.hpki.certificate.clone(), own];
    assert_eq!(PKI.store.validate(Hpki, SignDocument, &leaf, &both, &[], PKI.now), signature);
}

#[test]
fn a_root_that_only_the_sender_names_is_not_trusted() {
    let key = SigningKey::p256_generate(&PKI.random).unwrap();
    let own =
        request(test_name(&[(COMMON_NAME, "My CA")]), &key, PKI.now, 365, profile::authority(None).unwrap());
    let own = Authority::root(&own, key, &PKI.random).unwrap();
    let leaf = physician_under(&own);
    let result = PKI.store.validate(Hpki, SignDocument, &leaf, &[own.certificate], &[], PKI.now);
    assert_eq!(result, Err(PathError::Untrusted(UntrustedReason::UnknownIssuer)));
}

#[test]
fn a_self_signed_root_among_the_intermediates_does_no_harm() {
    let chain = [PKI.hpki_root.certificate.clone(), PKI.hpki.certificate.clone()];
    PKI.store.validate(Hpki, SignDocument, &PKI.physician.certificate, &chain, &[], PKI.now).unwrap();
}

#[test]
fn issuers_must_be_authorities_within_their_length() {
    let leaf_of = |extensions: Vec<Extension>| {
        let (authority, list) = authority_under(&PKI.hpki_root, "Some CA", extensions);
        let leaf = physician_under(&authority);
        PKI.store.validate(Hpki, SignDocument, &leaf, &[authority.certificate], &[list], PKI.now)
    };
    let not_authority = Err(PathError::Constraints(ConstraintViolation::NotAuthority));
    let usage = || profile::key_usage(KeyUsages::KeyCertSign | KeyUsages::CRLSign).unwrap();
    let constraints = |ca| {
        let value = BasicConstraints { ca, path_len_constraint: None };
        extension(oid::ID_CE_BASIC_CONSTRAINTS, true, &value).unwrap()
    };
    leaf_of(vec![constraints(true), usage()]).unwrap();
    assert_eq!(leaf_of(vec![usage()]), not_authority);
    assert_eq!(leaf_of(vec![constraints(false), usage()]), not_authority);
    assert_eq!(leaf_of(vec![constraints(true)]), not_authority);
    let signs_lists_only = profile::key_usage(KeyUsages::CRLSign).unwrap();
    assert_eq!(leaf_of(vec![constraints(true), signs_lists_only]), not_authority);
    // A person's certificate issues nothing.
    let person = Authority { certificate: PKI.physician.certificate.clone(), key: PKI.physician.key.clone() };
    let chain = [person.certificate.clone(), PKI.hpki.certificate.clone()];
    let result = PKI.store.validate(Hpki, SignDocument, &physician_under(&person), &chain, &[], PKI.now);
    assert_eq!(result, not_authority);

    // The HPKI authority allows no further authority below.
    let (below, list) = authority_under(&PKI.hpki, "Below", profile::authority(None).unwrap());
    let chain = [below.certificate.clone(), PKI.hpki.certificate.clone()];
    let result = PKI.store.validate(Hpki, SignDocument, &physician_under(&below), &chain, &[list], PKI.now);
    assert_eq!(result, Err(PathError::Constraints(ConstraintViolation::PathLength)));

    // An authority is not an end entity.
    let mut all = profile::hpki_person(&[], &test_name(&[])).unwrap();
    all.push(constraints(true));
    let authority = physician_with(|request| request.extensions = all);
    assert_eq!(
        physician_validate(&authority),
        Err(PathError::Constraints(ConstraintViolation::EndEntityIsAuthority))
    );
}

#[test]
fn an_anchor_that_says_it_issues_nothing_is_obeyed() {
    let of_anchor = |extensions: Vec<Extension>| {
        let (authority, list) = authority_under(&PKI.hpki_root, "Anchor", extensions);
        let mut store = TrustStore::new(TrustPolicy::default());
        store.anchor_add(Hpki, authority.certificate.clone());
        let leaf = physician_under(&authority);
        store.validate(Hpki, SignDocument, &leaf, &[], &[list], PKI.now).map(|_| ())
    };
    let refused = Err(PathError::Constraints(ConstraintViolation::NotAuthority));
    let constraints = BasicConstraints { ca: false, path_len_constraint: None };
    let person = extension(oid::ID_CE_BASIC_CONSTRAINTS, true, &constraints).unwrap();
    assert_eq!(of_anchor(vec![person]), refused);
    assert_eq!(of_anchor(vec![profile::key_usage(KeyUsages::CRLSign).unwrap()]), refused);
    // One that says nothing, as old roots do, is what the operator says it is.
    assert_eq!(of_anchor(Vec::new()), Ok(()));
}

#[test]
fn depth_is_bounded() {
    let mut chain = Vec::new();
    let mut lists = Vec::new();
    let mut parent = PKI.hpki_root.clone();
    for level in 1..=4 {
        let (authority, list) =
            authority_under(&parent, &format!("Level {level}"), profile::authority(None).unwrap());
        chain.push(authority.certificate.clone());
        lists.push(list);
        let result =
            PKI.store.validate(Hpki, SignDocument, &physician_under(&authority), &chain, &lists, PKI.now);
        if level <= 3 {
            assert_eq!(result.unwrap().certificates().len(), level + 2);
        } else {
            assert_eq!(result, Err(PathError::Untrusted(UntrustedReason::Limit)));
        }
        parent = authority;
    }
}

#[test]
fn many_intermediates_of_one_name_are_bounded_work() {
    let key = SigningKey::p256_generate(&PKI.random).unwrap();
    let subject =
        || -> x509_cert::name::Name { der::Decode::from_der(PKI.hpki.certificate.subject().der()).unwrap() };
    let of_itself = Authority { certificate: PKI.hpki.certificate.clone(), key: key.clone() };
    let many: Vec<_> = (0..100)
        .map(|_| {
            let request = request(subject(), &key, PKI.now, 365, profile::hpki_authority().unwrap());
            Authority { certificate: PKI.hpki_root.certificate.clone(), ..of_itself.clone() }
                .issue(&request, &PKI.random)
                .unwrap()
        })
        .collect();
    let result = PKI.store.validate(Hpki, SignDocument, &PKI.physician.certificate, &many, &[], PKI.now);
    assert!(matches!(result, Err(PathError::Untrusted(UntrustedReason::Signature | UntrustedReason::Limit))));
}

#[test]
fn key_usages_must_fit_the_purpose() {
    let refused = Err(PathError::KeyUsage);
    assert_eq!(physician_validate(&physician_with(without(oid::ID_CE_KEY_USAGE))), refused);
    let usage = profile::key_usage(KeyUsages::DigitalSignature).unwrap();
    assert_eq!(physician_validate(&physician_with(with(usage))), refused);
    let mut usage = profile::key_usage(KeyUsages::NonRepudiation).unwrap();
    usage.critical = false;
    assert_eq!(physician_validate(&physician_with(with(usage))), refused);
    let client = profile::extended_key_usage(false, vec![oid::ID_KP_CLIENT_AUTH]).unwrap();
    assert_eq!(physician_validate(&physician_with(with(client))), refused);
    let mail = profile::extended_key_usage(false, vec![oid::ID_KP_EMAIL_PROTECTION]).unwrap();
    assert!(physician_validate(&physician_with(with(mail))).is_ok());

    let stamper = |usages: Vec<Extension>| {
        let request = request(test_name(&[(COMMON_NAME, "T")]), &PKI.tsa.key, PKI.now, 365, usages);
        let leaf = PKI.tsa_root.issue(&request, &PKI.random).unwrap();
        PKI.store.validate(Tsa, Timestamp, &leaf, &[], &[], PKI.now).map(|_| ())
    };
    let stamping = oid::ID_KP_TIME_STAMPING;
    assert_eq!(stamper(vec![profile::extended_key_usage(true, vec![stamping]).unwrap()]), Ok(()));
    assert_eq!(
        stamper(vec![profile::extended_key_usage(false, vec![stamping]).unwrap()]),
        Err(PathError::KeyUsage)
    );
    let two = vec![stamping, oid::ID_KP_CLIENT_AUTH];
    assert_eq!(stamper(vec![profile::extended_key_usage(true, two).unwrap()]), Err(PathError::KeyUsage));
    assert_eq!(stamper(Vec::new()), Err(PathError::KeyUsage));
    let clinic = PKI.store.validate(Facility, SignDocument, &PKI.clinic.certificate, &[], &[], PKI.now);
    assert_eq!(clinic, refused);
}

#[test]
fn the_policy_must_be_an_accepted_one() {
    let refused = Err(PathError::Policy);
    assert_eq!(physician_validate(&physician_with(without(oid::ID_CE_CERTIFICATE_POLICIES))), refused);
    let authentication = ObjectIdentifier::new_unwrap("1.2.392.100495.1.5.1.2.3.1");
    let other = profile::policy(authentication).unwrap();
    assert_eq!(physician_validate(&physician_with(with(other))), refused);
    let of_authorities = profile::policy(profile::HPKI_SIGNING_AUTHORITY).unwrap();
    assert!(physician_validate(&physician_with(with(of_authorities))).is_ok());
}

#[test]
fn unknown_critical_extensions_are_refused_anywhere_below_the_anchor() {
    let unknown = ObjectIdentifier::new_unwrap("1.2.3.4.5");
    let marked = |critical| extension(unknown, critical, &der::asn1::Null).unwrap();
    let refused = Err(PathError::CriticalExtension(unknown));
    assert_eq!(physician_validate(&physician_with(with(marked(true)))), refused);
    assert!(physician_validate(&physician_with(with(marked(false)))).is_ok());

    let mut extensions = profile::hpki_authority().unwrap();
    extensions.push(marked(true));
    let (authority, list) = authority_under(&PKI.hpki_root, "Odd CA", extensions);
    let (leaf, chain) = (physician_under(&authority), [authority.certificate.clone()]);
    assert_eq!(PKI.store.validate(Hpki, SignDocument, &leaf, &chain, &[list], PKI.now), refused);
}

#[test]
fn name_constraints_are_refused_because_they_are_not_processed() {
    let mut extensions = profile::hpki_authority().unwrap();
    extensions.push(extension(oid::ID_CE_NAME_CONSTRAINTS, false, &der::asn1::Null).unwrap());
    let (authority, list) = authority_under(&PKI.hpki_root, "Constrained CA", extensions);
    let (leaf, chain) = (physician_under(&authority), [authority.certificate.clone()]);
    assert_eq!(
        PKI.store.validate(Hpki, SignDocument, &leaf, &chain, &[list], PKI.now),
        Err(PathError::Constraints(ConstraintViolation::NameConstraints))
    );
}

#[test]
fn weak_keys_are_refused() {
    let weak = SigningKey::rsa_generate(1024, &PKI.random).unwrap();
    let leaf = physician_with(|request| request.public_key = weak.spki().clone());
    let refused = Err(PathError::Untrusted(UntrustedReason::WeakKey));
    assert_eq!(physician_validate(&leaf), refused);

    let ca = request(
        test_name(&[(COMMON_NAME, "Weak CA")]),
        &weak,
        PKI.now,
        365,
        profile::authority(None).unwrap(),
    );
    let authority = Authority { certificate: PKI.hpki_root.issue(&ca, &PKI.random).unwrap(), key: weak };
    let (leaf, chain) = (physician_under(&authority), [authority.certificate.clone()]);
    assert_eq!(PKI.store.validate(Hpki, SignDocument, &leaf, &chain, &[], PKI.now), refused);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_changed_byte_never_leaves_a_valid_path(index in any::<prop::sample::Index>(), flip in 1_u8..=255) {
        let mut bytes = PKI.physician.certificate.der().to_vec();
        let index = index.index(bytes.len());
        bytes[index] ^= flip;
        if let Ok(changed) = Certificate::from_der(&bytes) {
            prop_assert!(physician_validate(&changed).is_err());
        }
    }
}

/// A published document with a test signer, the authorities' certificates and their lists. Not part of the
/// project; the test says so and passes when it is not at hand.
#[test]
fn a_published_hpki_test_certificate_is_read_and_validates() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/samples/Prescription-004_01.xml");
    let Ok(text) = std::fs::read_to_string(path) else {
        eprintln!("skipped: the sample document is not at hand");
        return;
    };
    let values = |element: &str| -> Vec<Vec<u8>> {
        use base64::Engine as _;
        let document = roxmltree::Document::parse(&text).unwrap();
        let elements =
            document.descendants().filter(|n| n.has_tag_name(element) || n.tag_name().name() == element);
        let texts = elements.filter_map(|n| n.text()).map(|t| t.split_whitespace().collect::<String>());
        texts.map(|t| base64::engine::general_purpose::STANDARD.decode(t).unwrap()).collect()
    };
    let certificates = |element: &str| -> Vec<Certificate> {
        values(element).iter().map(|der| Certificate::from_der(der).unwrap()).collect()
    };
    let lists: Vec<_> =
        values("EncapsulatedCRLValue").iter().map(|der| Crl::from_der(der).unwrap()).collect();
    let signer = &certificates("X509Certificate")[0];
    let others = certificates("EncapsulatedX509Certificate");
    assert_eq!(signer.hc_roles(), [HcRole::MedicalDoctor]);
    assert!(signer.subject().serial_number().unwrap().starts_with("Test"));
    assert!(!signer.kanji_name().unwrap().is_ascii());
    assert_eq!(signer.policies(), [profile::HPKI_SIGNING]);

    let mut store = TrustStore::new(TrustPolicy::default());
    for root in others.iter().filter(|c| c.is_self_issued()) {
        let kind = if root.subject().common_name().is_some() { Tsa } else { Hpki };
        store.anchor_add(kind, root.clone());
    }
    let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
    let then = at("2022-09-07T00:00:00Z");
    let path = store.validate(Hpki, SignDocument, signer, &others, &lists, then).unwrap();
    assert_eq!(path.certificates().len(), 3);
    let stamper = others.iter().find(|c| c.extended_key_usage().is_some()).unwrap();
    store.validate(Tsa, Timestamp, stamper, &others, &lists, then).unwrap();
    let later = store.validate(Hpki, SignDocument, signer, &others, &lists, at("2024-01-01T00:00:00Z"));
    assert_eq!(later, Err(PathError::RevocationUnavailable));
}
