//! What the certificates of each kind say: the extensions of the HPKI, facility, JPKI and time stamping profiles.
//! Used to issue the sandbox's certificates and the tests', so that they look to any parser like the real ones.

use const_oid::db::rfc5280 as oid;
use der::asn1::{Ia5StringRef, ObjectIdentifier, SetOfVec};
use der::flagset::FlagSet;
use x509_cert::attr::Attribute;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::certpolicy::{PolicyInformation, PolicyQualifierInfo};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{
    BasicConstraints, CertificatePolicies, ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectAltName,
};
use x509_cert::name::Name;

use super::issuance::extension;
use super::role::{HEALTHCARE_ACTOR, HcRole, role_encode};

/// The policy of HPKI end entities' signing certificates, as seen in published test certificates.
pub const HPKI_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.392.100495.1.5.1.1.0.1");
/// The policy of the HPKI signing authorities.
pub const HPKI_SIGNING_AUTHORITY: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.392.100495.1.5.1.1.3.1");

/// An authority, with at most `below` authorities under it.
///
/// # Errors
/// Encoding.
pub fn authority(below: Option<u8>) -> Result<Vec<Extension>, der::Error> {
    let constraints = BasicConstraints { ca: true, path_len_constraint: below };
    Ok(vec![
        extension(oid::ID_CE_BASIC_CONSTRAINTS, true, &constraints)?,
        key_usage(KeyUsages::KeyCertSign | KeyUsages::CRLSign)?,
    ])
}

/// An HPKI signing authority: as [`authority`], under its own critical policy.
///
/// # Errors
/// Encoding.
pub fn hpki_authority() -> Result<Vec<Extension>, der::Error> {
    let mut extensions = authority(Some(0))?;
    extensions.push(policy(HPKI_SIGNING_AUTHORITY)?);
    Ok(extensions)
}

/// HPKI 署名用証明書 of a person: `keyUsage` critical and `nonRepudiation` alone, the policy critical, the roles,
/// and the subject again in Japanese script.
///
/// # Errors
/// Encoding.
pub fn hpki_person(roles: &[HcRole], japanese: &Name) -> Result<Vec<Extension>, der::Error> {
    let mut extensions =
        vec![key_usage(KeyUsages::NonRepudiation)?, policy(HPKI_SIGNING)?, alternative_name(japanese)?];
    if !roles.is_empty() {
        extensions.push(hc_roles(roles)?);
    }
    Ok(extensions)
}

/// A facility's certificate: `digitalSignature`, for assertions and for TLS.
///
/// # Errors
/// Encoding.
pub fn facility() -> Result<Vec<Extension>, der::Error> {
    authentication()
}

/// JPKI 利用者証明用電子証明書: `digitalSignature`; it names nobody.
///
/// # Errors
/// Encoding.
pub fn patient() -> Result<Vec<Extension>, der::Error> {
    authentication()
}

/// A time stamping certificate: `extKeyUsage` critical, `timeStamping` alone (RFC 3161 2.3).
///
/// # Errors
/// Encoding.
pub fn time_stamping() -> Result<Vec<Extension>, der::Error> {
    Ok(vec![
        key_usage(KeyUsages::DigitalSignature)?,
        extended_key_usage(true, vec![oid::ID_KP_TIME_STAMPING])?,
    ])
}

fn authentication() -> Result<Vec<Extension>, der::Error> {
    Ok(vec![
        key_usage(KeyUsages::DigitalSignature)?,
        extended_key_usage(false, vec![oid::ID_KP_CLIENT_AUTH])?,
    ])
}

pub(crate) fn key_usage(usages: impl Into<FlagSet<KeyUsages>>) -> Result<Extension, der::Error> {
    extension(oid::ID_CE_KEY_USAGE, true, &KeyUsage(usages.into()))
}

pub(crate) fn extended_key_usage(
    critical: bool,
    purposes: Vec<ObjectIdentifier>,
) -> Result<Extension, der::Error> {
    extension(oid::ID_CE_EXT_KEY_USAGE, critical, &ExtendedKeyUsage(purposes))
}

pub(crate) fn policy(policy_identifier: ObjectIdentifier) -> Result<Extension, der::Error> {
    let uri = der::Any::encode_from(&Ia5StringRef::new("https://hikikae.dev/sandbox/cps")?)?;
    let qualifier = PolicyQualifierInfo {
        policy_qualifier_id: ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.2.1"),
        qualifier: Some(uri),
    };
    let information = PolicyInformation { policy_identifier, policy_qualifiers: Some(vec![qualifier]) };
    extension(oid::ID_CE_CERTIFICATE_POLICIES, true, &CertificatePolicies(vec![information]))
}

pub(crate) fn alternative_name(name: &Name) -> Result<Extension, der::Error> {
    let names = SubjectAltName(vec![GeneralName::DirectoryName(name.clone())]);
    extension(oid::ID_CE_SUBJECT_ALT_NAME, false, &names)
}

pub(crate) fn hc_roles(roles: &[HcRole]) -> Result<Extension, der::Error> {
    let values = roles.iter().map(role_encode).collect::<Result<Vec<_>, _>>()?;
    let attribute = Attribute { oid: HEALTHCARE_ACTOR, values: SetOfVec::try_from(values)? };
    extension(oid::ID_CE_SUBJECT_DIRECTORY_ATTRIBUTES, false, &vec![attribute])
}
