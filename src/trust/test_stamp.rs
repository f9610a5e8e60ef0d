//! Time stamp tokens made by the test authority, good ones and ones with a chosen flaw.

use chrono::{DateTime, Utc};
use cms::cert::{CertificateChoices, IssuerAndSerialNumber};
use cms::content_info::{CmsVersion, ContentInfo};
use cms::signed_data::{
    CertificateSet, EncapsulatedContentInfo, SignedData, SignerIdentifier, SignerInfo, SignerInfos,
};
use const_oid::db::{rfc5911, rfc5912};
use der::asn1::{ObjectIdentifier, OctetString, SetOfVec};
use der::{Any, Decode, Encode, Tag};
use ring::digest::{SHA256, digest};
use x509_cert::attr::Attribute;
use x509_cert::spki::AlgorithmIdentifierOwned;

use super::test_pki::{Identity, PKI};

/// A token to be made.
pub(crate) struct Stamp<'s> {
    pub message: &'s [u8],
    pub time: DateTime<Utc>,
    /// Who signs, and whose certificate comes along.
    pub authority: &'s Identity,
    /// The certificate the attributes name.
    pub named: &'s Identity,
    /// Content type of the attributes and of the content.
    pub content_types: [ObjectIdentifier; 2],
}

pub(crate) const TST_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");

impl<'s> Stamp<'s> {
    /// A good token of the test authority.
    pub fn of(message: &'s [u8], time: DateTime<Utc>) -> Self {
        Self { message, time, authority: &PKI.tsa, named: &PKI.tsa, content_types: [TST_INFO; 2] }
    }

    pub fn token(&self) -> Vec<u8> {
        let sha256 = AlgorithmIdentifierOwned { oid: rfc5912::ID_SHA_256, parameters: None };
        let info = self.info();
        let attribute = |oid, value: &[u8]| Attribute {
            oid,
            values: SetOfVec::try_from(vec![Any::from_der(value).unwrap()]).unwrap(),
        };
        let message_digest = OctetString::new(digest(&SHA256, &info).as_ref()).unwrap().to_der().unwrap();
        let named = OctetString::new(self.named.certificate.sha256()).unwrap().to_der().unwrap();
        let ids = sequence(&sequence(&sequence(&named)));
        let attributes = SetOfVec::try_from(vec![
            attribute(rfc5911::ID_CONTENT_TYPE, &self.content_types[0].to_der().unwrap()),
            attribute(rfc5911::ID_MESSAGE_DIGEST, &message_digest),
            attribute(rfc5911::ID_AA_SIGNING_CERTIFICATE_V_2, &ids),
        ])
        .unwrap();
        let key = &self.authority.key;
        let signature = key.sign(key.x509_scheme(), &attributes.to_der().unwrap(), &PKI.random).unwrap();
        let certificate = x509_cert::Certificate::from_der(self.authority.certificate.der()).unwrap();
        let tbs = &certificate.tbs_certificate;
        let signer = SignerInfo {
            version: CmsVersion::V1,
            sid: SignerIdentifier::IssuerAndSerialNumber(IssuerAndSerialNumber {
                issuer: tbs.issuer.clone(),
                serial_number: tbs.serial_number.clone(),
            }),
            digest_alg: sha256.clone(),
            signed_attrs: Some(attributes),
            signature_algorithm: AlgorithmIdentifierOwned {
                oid: if key.x509_scheme() == super::SignatureScheme::EcdsaSha256Asn1 {
                    rfc5912::ECDSA_WITH_SHA_256
                } else {
                    rfc5912::SHA_256_WITH_RSA_ENCRYPTION
                },
                parameters: None,
            },
            signature: OctetString::new(signature).unwrap(),
            unsigned_attrs: None,
        };
        let content = Any::encode_from(&OctetString::new(info).unwrap()).unwrap();
        let data = SignedData {
            version: CmsVersion::V3,
            digest_algorithms: SetOfVec::try_from(vec![sha256]).unwrap(),
            encap_content_info: EncapsulatedContentInfo {
                econtent_type: self.content_types[1],
                econtent: Some(content),
            },
            certificates: Some(
                CertificateSet::try_from(vec![CertificateChoices::Certificate(certificate)]).unwrap(),
            ),
            crls: None,
            signer_infos: SignerInfos::try_from(vec![signer]).unwrap(),
        };
        let content = Any::encode_from(&data).unwrap();
        ContentInfo { content_type: rfc5911::ID_SIGNED_DATA, content }.to_der().unwrap()
    }

    fn info(&self) -> Vec<u8> {
        let algorithm = AlgorithmIdentifierOwned { oid: rfc5912::ID_SHA_256, parameters: None };
        let imprint = OctetString::new(digest(&SHA256, self.message).as_ref()).unwrap();
        let imprint = [algorithm.to_der().unwrap(), imprint.to_der().unwrap()].concat();
        let time = self.time.format("%Y%m%d%H%M%S%.3fZ").to_string();
        let parts = [
            1_u8.to_der().unwrap(),
            ObjectIdentifier::new_unwrap("1.2.3.4").to_der().unwrap(),
            sequence(&imprint),
            7_u8.to_der().unwrap(),
            Any::new(Tag::GeneralizedTime, time.as_bytes()).unwrap().to_der().unwrap(),
        ];
        sequence(&parts.concat())
    }
}

fn sequence(content: &[u8]) -> Vec<u8> {
    Any::new(Tag::Sequence, content).unwrap().to_der().unwrap()
}
