//! What a signature carries unsigned: certificates, revocation lists and time stamps. Nothing here is believed for
//! being there; it is only material for checks.

use chrono::{DateTime, Utc};
use roxmltree::Node;

use super::parts::{Parts, base64_of};
use super::{XADES, XADES141, XMLDSIG};
use crate::trust::c14n::{Method, canonicalise};
use crate::trust::revocation::Crl;
use crate::trust::timestamp::{TimestampContext, TimestampError, timestamp_verify};
use crate::trust::xml::{Xml, elements};
use crate::trust::{Certificate, TrustStore};

/// Values of one kind beyond which nobody looks.
const CARRIED_MAX: usize = 32;

/// The unsigned properties of one signature.
#[derive(Default)]
pub(super) struct Unsigned<'n, 'a> {
    pub certificates: Vec<Certificate>,
    pub crls: Vec<Crl>,
    pub signature_stamps: Vec<Node<'n, 'a>>,
    pub archive_stamps: Vec<Node<'n, 'a>>,
    /// Archive time stamps of XAdES 1.3.2, whose scope was never clear; they are not examined.
    pub archive_stamps_old: usize,
    /// Whether both `CertificateValues` and `RevocationValues` are there.
    pub complete: bool,
}

impl<'n, 'a> Unsigned<'n, 'a> {
    pub fn of(properties: Option<Node<'n, 'a>>) -> Self {
        let Some(properties) = properties else { return Self::default() };
        let named = |namespace: &'static str, name: &'static str| {
            elements(properties).filter(move |child| child.has_tag_name((namespace, name)))
        };
        let values = |name: &'static str| {
            let holders = properties.descendants().filter(move |node| node.has_tag_name((XADES, name)));
            holders.take(CARRIED_MAX).filter_map(base64_of)
        };
        let certificates = values("EncapsulatedX509Certificate");
        let crls = values("EncapsulatedCRLValue");
        Self {
            certificates: certificates.filter_map(|der| Certificate::from_der(&der).ok()).collect(),
            crls: crls.filter_map(|der| Crl::from_der(&der).ok()).collect(),
            signature_stamps: named(XADES, "SignatureTimeStamp").collect(),
            archive_stamps: named(XADES141, "ArchiveTimeStamp").collect(),
            archive_stamps_old: named(XADES, "ArchiveTimeStamp").count(),
            complete: named(XADES, "CertificateValues").next().is_some()
                && named(XADES, "RevocationValues").next().is_some(),
        }
    }

    fn context<'t>(&'t self, trust: &'t TrustStore, at: DateTime<Utc>) -> TimestampContext<'t> {
        TimestampContext { trust, certificates: &self.certificates, crls: &self.crls, at }
    }

    /// Verifies a `SignatureTimeStamp`: it is over the canonical `SignatureValue` (TS 101 903 7.3).
    pub fn signature_stamp_verify(
        &self,
        xml: &Xml<'_>,
        parts: &Parts<'_, '_>,
        stamp: Node<'_, '_>,
        trust: &TrustStore,
        at: DateTime<Utc>,
    ) -> Result<DateTime<Utc>, TimestampError> {
        let (method, token) = stamp_read(stamp)?;
        let message = canonicalise(xml, parts.value_element, &method);
        timestamp_verify(&token, &message, &self.context(trust, at))
    }

    /// Verifies an `xa141:ArchiveTimeStamp`: it is over everything the signature refers to, the signature, and all
    /// unsigned properties before it (TS 101 903 8.2.1, the variant without `Include`).
    pub fn archive_stamp_verify(
        &self,
        xml: &Xml<'_>,
        parts: &Parts<'_, '_>,
        stamp: Node<'_, '_>,
        trust: &TrustStore,
        at: DateTime<Utc>,
    ) -> Result<DateTime<Utc>, TimestampError> {
        let (method, token) = stamp_read(stamp)?;
        let mut message = Vec::new();
        for reference in &parts.references {
            let element = reference.element.ok_or(TimestampError::Imprint)?;
            message.extend(canonicalise(xml, element, &reference.method));
        }
        for element in [parts.signed_info, parts.value_element, parts.key_info] {
            message.extend(canonicalise(xml, element, &method));
        }
        for property in parts.unsigned.into_iter().flat_map(elements).take_while(|node| *node != stamp) {
            message.extend(canonicalise(xml, property, &method));
        }
        timestamp_verify(&token, &message, &self.context(trust, at))
    }
}

/// The canonicalisation and the token of a time stamp element.
fn stamp_read(stamp: Node<'_, '_>) -> Result<(Method, Vec<u8>), TimestampError> {
    let mut children = elements(stamp).peekable();
    let method = match children.next_if(|child| child.has_tag_name((XMLDSIG, "CanonicalizationMethod"))) {
        None => Method::Inclusive,
        Some(element) => Method::of(element).ok_or(TimestampError::Algorithm)?,
    };
    let token = children.next().filter(|child| child.has_tag_name((XADES, "EncapsulatedTimeStamp")));
    match (token.and_then(base64_of), children.next()) {
        (Some(token), None) => Ok((method, token)),
        _ => Err(TimestampError::Malformed),
    }
}
