//! What lists say of a path, and what silence means.

use super::*;

#[test]
fn revoked_certificates_are_refused_from_their_revocation_on() {
    let leaf = &PKI.revoked.certificate;
    let at = PKI.now - TimeDelta::days(30);
    let revocation = Revocation { at, reason: Some(CrlReason::CessationOfOperation) };
    assert_eq!(physician_validate(leaf), Err(PathError::Revoked(revocation)));
    let before = at - TimeDelta::seconds(1);
    PKI.store.validate(Hpki, SignDocument, leaf, &PKI.hpki_chain(), &[], before).unwrap();
    PKI.store.validate(Hpki, SignDocument, leaf, &PKI.hpki_chain(), &[], at).unwrap_err();
}

#[test]
fn a_revoked_authority_takes_its_certificates_along() {
    let serial = PKI.hpki.certificate.serial().to_vec();
    let revoked =
        RevocationRequest { serial, at: PKI.now - TimeDelta::days(1), reason: CrlReason::CaCompromise };
    let list = PKI.hpki_root.crl_issue(&crl_request(PKI.now, vec![revoked]), &PKI.random).unwrap();
    let leaf = &PKI.physician.certificate;
    let result = PKI.store.validate(Hpki, SignDocument, leaf, &PKI.hpki_chain(), &[list], PKI.now);
    assert!(matches!(result, Err(PathError::Revoked(_))));
}

#[test]
fn a_stale_list_counts_within_its_grace_only() {
    let stale = PKI.now + TimeDelta::days(1);
    let validate =
        |at| PKI.store.validate(Hpki, SignDocument, &PKI.physician.certificate, &PKI.hpki_chain(), &[], at);
    validate(stale).unwrap();
    validate(stale + TimeDelta::hours(24)).unwrap();
    let after = stale + TimeDelta::hours(24) + TimeDelta::seconds(1);
    assert_eq!(validate(after), Err(PathError::RevocationUnavailable));
    // Old news of a revocation is still news.
    let revoked = &PKI.revoked.certificate;
    let result = PKI.store.validate(Hpki, SignDocument, revoked, &PKI.hpki_chain(), &[], after);
    assert!(matches!(result, Err(PathError::Revoked(_))));
}

#[test]
fn without_a_list_nothing_passes_unless_policy_says_so() {
    let (leaf, chain) = (&PKI.physician.certificate, PKI.hpki_chain());
    let mut store = TrustStore::new(TrustPolicy::default());
    store.anchor_add(Hpki, PKI.hpki_root.certificate.clone());
    let validate =
        |store: &TrustStore, lists: &[Crl]| store.validate(Hpki, SignDocument, leaf, &chain, lists, PKI.now);
    assert_eq!(validate(&store, &[]), Err(PathError::RevocationUnavailable));
    // One of the two issuers is not enough.
    for list in &PKI.crls {
        assert_eq!(validate(&store, std::slice::from_ref(list)), Err(PathError::RevocationUnavailable));
    }
    validate(&store, &PKI.crls).unwrap();

    let mut policy = TrustPolicy::default();
    policy.hpki.crl_required = false;
    let mut lenient = TrustStore::new(policy);
    lenient.anchor_add(Hpki, PKI.hpki_root.certificate.clone());
    validate(&lenient, &[]).unwrap();
    let revoked = &PKI.revoked.certificate;
    let result = lenient.validate(Hpki, SignDocument, revoked, &chain, &PKI.crls, PKI.now);
    assert!(matches!(result, Err(PathError::Revoked(_))));
}

#[test]
fn a_list_signed_by_another_is_no_list() {
    let mut store = TrustStore::new(TrustPolicy::default());
    store.anchor_add(Facility, PKI.facility_root.certificate.clone());
    let key = SigningKey::p256_generate(&PKI.random).unwrap();
    let impostor = Authority { certificate: PKI.facility_root.certificate.clone(), key };
    let list = impostor.crl_issue(&crl_request(PKI.now, Vec::new()), &PKI.random).unwrap();
    let leaf = &PKI.clinic.certificate;
    assert_eq!(
        store.validate(Facility, Authenticate, leaf, &[], &[list], PKI.now),
        Err(PathError::RevocationUnavailable)
    );
}

#[test]
fn a_later_list_is_evidence_for_an_earlier_instant() {
    let at = PKI.now - TimeDelta::days(200);
    PKI.store.validate(Hpki, SignDocument, &PKI.physician.certificate, &PKI.hpki_chain(), &[], at).unwrap();
    // Not for a certificate that had ended before the list: it may have been dropped from it.
    let at = PKI.expired.certificate.not_after() - TimeDelta::days(1);
    assert_eq!(
        PKI.store.validate(Hpki, SignDocument, &PKI.expired.certificate, &PKI.hpki_chain(), &[], at),
        Err(PathError::RevocationUnavailable)
    );
}

#[test]
fn a_list_speaks_only_of_what_it_covers() {
    let scoped = |change: &dyn Fn(&mut IssuingDistributionPoint)| {
        let mut point = IssuingDistributionPoint {
            distribution_point: None,
            only_contains_user_certs: false,
            only_contains_ca_certs: false,
            only_some_reasons: None,
            indirect_crl: false,
            only_contains_attribute_certs: false,
        };
        change(&mut point);
        let mut request = crl_request(PKI.now, Vec::new());
        request.extensions = vec![extension(oid::ID_CE_ISSUING_DISTRIBUTION_POINT, true, &point).unwrap()];
        PKI.facility_root.crl_issue(&request, &PKI.random)
    };
    let mut store = TrustStore::new(TrustPolicy::default());
    store.anchor_add(Facility, PKI.facility_root.certificate.clone());
    let clears = |list: Crl, leaf: &Certificate| {
        store.validate(Facility, Authenticate, leaf, &[], &[list], PKI.now).is_ok()
    };
    let clinic = &PKI.clinic.certificate;
    assert!(clears(scoped(&|_| {}).unwrap(), clinic));
    assert!(clears(scoped(&|p| p.only_contains_user_certs = true).unwrap(), clinic));
    assert!(!clears(scoped(&|p| p.only_contains_ca_certs = true).unwrap(), clinic));
    assert!(scoped(&|p| p.indirect_crl = true).is_err());
    assert!(scoped(&|p| p.only_contains_attribute_certs = true).is_err());

    let name = || GeneralName::DirectoryName(test_name(&[(COMMON_NAME, "List 1")]));
    let full = || Some(DistributionPointName::FullName(vec![name()]));
    let partial = || scoped(&|p| p.distribution_point = full()).unwrap();
    assert!(!clears(partial(), clinic));
    let point = DistributionPoint { distribution_point: full(), reasons: None, crl_issuer: None };
    let points =
        extension(oid::ID_CE_CRL_DISTRIBUTION_POINTS, false, &CrlDistributionPoints(vec![point])).unwrap();
    let mut extensions = profile::facility().unwrap();
    extensions.push(points);
    let request = request(test_name(&[(COMMON_NAME, "x")]), &PKI.clinic.key, PKI.now, 365, extensions);
    assert!(clears(partial(), &PKI.facility_root.issue(&request, &PKI.random).unwrap()));
}

#[test]
fn a_list_needs_an_issuer_that_may_sign_lists() {
    let constraints = BasicConstraints { ca: true, path_len_constraint: None };
    let extensions = vec![
        extension(oid::ID_CE_BASIC_CONSTRAINTS, true, &constraints).unwrap(),
        profile::key_usage(KeyUsages::KeyCertSign).unwrap(),
    ];
    let (authority, list) = authority_under(&PKI.hpki_root, "No lists CA", extensions);
    let leaf = physician_under(&authority);
    let result = PKI.store.validate(Hpki, SignDocument, &leaf, &[authority.certificate], &[list], PKI.now);
    assert_eq!(result, Err(PathError::RevocationUnavailable));
}
