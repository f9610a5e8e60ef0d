//! The extensions of a certificate that we read, and which we do not know. What they mean for trust is
//! [`super::path`]'s.

use const_oid::db::rfc5280 as oid;
use der::asn1::ObjectIdentifier;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};
use x509_cert::ext::pkix::{self, KeyUsage};

use super::bounds::decode;
use super::certificate::CertificateError;
use super::name::DistinguishedName;
use super::role::{HEALTHCARE_ACTOR, HcRole, roles_decode};

/// The most extensions of one certificate; profiles have about ten.
const EXTENSIONS_MAX: usize = 64;

/// `basicConstraints` (RFC 5280 4.2.1.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BasicConstraints {
    /// May issue certificates.
    pub authority: bool,
    /// How many authorities may follow below.
    pub path_length: Option<u8>,
}

/// An extension's content together with its critical mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marked<T> {
    /// The critical mark.
    pub critical: bool,
    /// The content.
    pub value: T,
}

/// What we read of a certificate's extensions.
#[derive(Default)]
pub(super) struct Extensions {
    pub basic_constraints: Option<BasicConstraints>,
    pub key_usage: Option<Marked<KeyUsage>>,
    pub extended_key_usage: Option<Marked<Vec<ObjectIdentifier>>>,
    pub policies: Vec<ObjectIdentifier>,
    pub authority_key_id: Option<Vec<u8>>,
    pub subject_key_id: Option<Vec<u8>>,
    pub alternative_name: Option<DistinguishedName>,
    pub distribution_points: Vec<GeneralName>,
    pub roles: Vec<HcRole>,
    pub name_constrained: bool,
    pub unknown_critical: Vec<ObjectIdentifier>,
}

impl Extensions {
    pub fn read(list: &[Extension]) -> Result<Self, CertificateError> {
        if list.len() > EXTENSIONS_MAX {
            return Err(CertificateError::TooLarge);
        }
        let mut read = Self::default();
        for (index, extension) in list.iter().enumerate() {
            if list[..index].iter().any(|e| e.extn_id == extension.extn_id) {
                return Err(CertificateError::DuplicateExtension(extension.extn_id));
            }
            read.take(extension).map_err(|_| CertificateError::Extension(extension.extn_id))?;
        }
        Ok(read)
    }

    fn take(&mut self, extension: &Extension) -> Result<(), der::Error> {
        let (critical, bytes) = (extension.critical, extension.extn_value.as_bytes());
        match extension.extn_id {
            oid::ID_CE_SUBJECT_DIRECTORY_ATTRIBUTES => {
                for attribute in decode::<Vec<x509_cert::attr::Attribute>>(bytes)? {
                    if attribute.oid == HEALTHCARE_ACTOR {
                        for value in attribute.values.iter() {
                            self.roles.extend(roles_decode(value)?);
                        }
                    }
                }
            }
            oid::ID_CE_SUBJECT_KEY_IDENTIFIER => {
                self.subject_key_id =
                    Some(decode::<pkix::SubjectKeyIdentifier>(bytes)?.0.as_bytes().to_vec());
            }
            oid::ID_CE_KEY_USAGE => {
                self.key_usage = Some(Marked { critical, value: decode::<KeyUsage>(bytes)? });
            }
            oid::ID_CE_SUBJECT_ALT_NAME => {
                for name in decode::<pkix::SubjectAltName>(bytes)?.0 {
                    if let GeneralName::DirectoryName(name) = name {
                        self.alternative_name.get_or_insert(DistinguishedName::from_name(&name)?);
                    }
                }
            }
            oid::ID_CE_BASIC_CONSTRAINTS => {
                let constraints = decode::<pkix::BasicConstraints>(bytes)?;
                self.basic_constraints = Some(BasicConstraints {
                    authority: constraints.ca,
                    path_length: constraints.path_len_constraint,
                });
            }
            oid::ID_CE_NAME_CONSTRAINTS => self.name_constrained = true,
            oid::ID_CE_CRL_DISTRIBUTION_POINTS => {
                for point in decode::<pkix::CrlDistributionPoints>(bytes)?.0 {
                    if let Some(DistributionPointName::FullName(names)) = point.distribution_point {
                        self.distribution_points.extend(names);
                    }
                }
            }
            oid::ID_CE_CERTIFICATE_POLICIES => {
                let policies = decode::<pkix::CertificatePolicies>(bytes)?;
                self.policies = policies.0.iter().map(|p| p.policy_identifier).collect();
            }
            oid::ID_CE_AUTHORITY_KEY_IDENTIFIER => {
                let key = decode::<pkix::AuthorityKeyIdentifier>(bytes)?.key_identifier;
                self.authority_key_id = key.map(|k| k.as_bytes().to_vec());
            }
            oid::ID_CE_EXT_KEY_USAGE => {
                let value = decode::<pkix::ExtendedKeyUsage>(bytes)?.0;
                self.extended_key_usage = Some(Marked { critical, value });
            }
            _ if critical => self.unknown_critical.push(extension.extn_id),
            _ => {}
        }
        Ok(())
    }
}
