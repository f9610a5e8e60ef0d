//! Making a signature of level BES, in exactly the field's shape: the business element by inclusive canonicalisation
//! without transforms, key information and signed properties by exclusive canonicalisation.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use chrono::{DateTime, SecondsFormat, Utc};
use ring::digest::{SHA256 as DIGEST, digest};
use ring::rand::SecureRandom;

use super::{RSA_SHA256, SHA256, SIGNED_PROPERTIES_TYPE, XADES, XMLDSIG};
use crate::trust::c14n::{Method, canonicalise};
use crate::trust::xml::{Xml, XmlError};
use crate::trust::{Certificate, SignatureScheme, SigningKey, SigningKeyError};

/// Why no signature was made.
#[derive(Debug, thiserror::Error)]
pub enum XadesSignError {
    /// The key is not that of the certificate.
    #[error("the key does not belong to the certificate")]
    KeyMismatch,
    /// The document to be signed cannot be read.
    #[error("the document to be signed: {0}")]
    Document(#[from] XmlError),
    /// The element to be signed, or the place for the signature, is not there.
    #[error("there is no element {0} to be signed")]
    Element(String),
    /// The key does not sign.
    #[error(transparent)]
    Key(#[from] SigningKeyError),
}

/// Who signs what.
pub struct SignatureRequest<'r> {
    /// `id` of the element to be signed.
    pub content_id: &'r str,
    /// `Id` the signature bears.
    pub signature_id: &'r str,
    /// The signer's certificate.
    pub certificate: &'r Certificate,
    /// The key of that certificate, RSA.
    pub key: &'r SigningKey,
    /// When the signer signs.
    pub signing_time: DateTime<Utc>,
    /// Randomness, for the identifiers of the parts.
    pub random: &'r dyn SecureRandom,
}

/// Signs one element of a document. `before` and `after` are the document up to the place of the signature and from
/// it on; the whole, signature included, is answered.
///
/// # Errors
/// [`XadesSignError`].
pub fn xades_sign(
    before: &str,
    after: &str,
    request: &SignatureRequest<'_>,
) -> Result<Vec<u8>, XadesSignError> {
    if !request.key.is_key_of(request.certificate) {
        return Err(XadesSignError::KeyMismatch);
    }
    let names = Names::random(request.random)?;
    // Inclusive canonical form depends on the ancestors only, which are complete without the signature.
    let content = digest_of(&format!("{before}{after}"), request.content_id, &Method::Inclusive)?;
    let draft = signature(request, &names, &Digests { content, ..Digests::default() }, "");
    let draft = format!("{before}{draft}{after}");
    let exclusive = Method::Exclusive(Vec::new());
    let digests = Digests {
        content,
        key_info: digest_of(&draft, &names.key_info, &exclusive)?,
        properties: digest_of(&draft, &names.properties, &exclusive)?,
    };
    let draft = format!("{before}{}{after}", signature(request, &names, &digests, ""));
    let message = canonical(&draft, &names.signed_info, &exclusive)?;
    let value = request.key.sign(SignatureScheme::RsaPkcs1Sha256, &message, request.random)?;
    let signed = signature(request, &names, &digests, &BASE64_STANDARD.encode(value));
    Ok(format!("{before}{signed}{after}").into_bytes())
}

/// Identifiers of the parts, unique within any document that comes to hold the signature.
struct Names {
    signed_info: String,
    value: String,
    key_info: String,
    properties: String,
}

impl Names {
    fn random(random: &dyn SecureRandom) -> Result<Self, XadesSignError> {
        let mut bytes = [0; 16];
        random.fill(&mut bytes).map_err(|_| SigningKeyError::Operation)?;
        let stem = bytes.iter().fold(String::from("id"), |stem, byte| format!("{stem}{byte:02x}"));
        Ok(Self {
            signed_info: format!("{stem}-SignedInfo"),
            value: format!("{stem}-SignatureValue"),
            key_info: format!("{stem}-KeyInfo"),
            properties: format!("{stem}-SignedProperties"),
        })
    }
}

#[derive(Default)]
struct Digests {
    content: [u8; 32],
    key_info: [u8; 32],
    properties: [u8; 32],
}

fn canonical(document: &str, id: &str, method: &Method) -> Result<Vec<u8>, XadesSignError> {
    let xml = Xml::parse(document.as_bytes())?;
    let element = xml.element_by_id(id).ok_or_else(|| XadesSignError::Element(id.to_owned()))?;
    Ok(canonicalise(&xml, element, method))
}

fn digest_of(document: &str, id: &str, method: &Method) -> Result<[u8; 32], XadesSignError> {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&DIGEST, &canonical(document, id, method)?).as_ref());
    Ok(out)
}

fn signature(request: &SignatureRequest<'_>, names: &Names, digests: &Digests, value: &str) -> String {
    let exclusive = Method::EXCLUSIVE;
    let transforms = format!(r#"<ds:Transforms><ds:Transform Algorithm="{exclusive}"/></ds:Transforms>"#);
    let reference = |kind: &str, id: &str, transforms: &str, digest: &[u8; 32]| {
        format!(
            r##"<ds:Reference{kind} URI="#{id}">{transforms}<ds:DigestMethod Algorithm="{SHA256}"/><ds:DigestValue>{}</ds:DigestValue></ds:Reference>"##,
            BASE64_STANDARD.encode(digest)
        )
    };
    let references = [
        reference("", request.content_id, "", &digests.content),
        reference("", &names.key_info, &transforms, &digests.key_info),
        reference(
            &format!(r#" Type="{SIGNED_PROPERTIES_TYPE}""#),
            &names.properties,
            &transforms,
            &digests.properties,
        ),
    ]
    .concat();
    let Names { signed_info, value: value_id, key_info, properties } = names;
    let id = request.signature_id;
    let certificate = BASE64_STANDARD.encode(request.certificate.der());
    let certificate_digest = BASE64_STANDARD.encode(request.certificate.sha256());
    let time = request.signing_time.to_rfc3339_opts(SecondsFormat::Secs, false);
    [
        format!(r#"<ds:Signature xmlns:ds="{XMLDSIG}" Id="{id}"><ds:SignedInfo Id="{signed_info}">"#),
        format!(r#"<ds:CanonicalizationMethod Algorithm="{exclusive}"/>"#),
        format!(r#"<ds:SignatureMethod Algorithm="{RSA_SHA256}"/>{references}</ds:SignedInfo>"#),
        format!(r#"<ds:SignatureValue Id="{value_id}">{value}</ds:SignatureValue>"#),
        format!(r#"<ds:KeyInfo Id="{key_info}"><ds:X509Data><ds:X509Certificate>{certificate}"#),
        format!(r#"</ds:X509Certificate></ds:X509Data></ds:KeyInfo><ds:Object xmlns:xa="{XADES}">"#),
        format!(r##"<xa:QualifyingProperties Target="#{id}"><xa:SignedProperties Id="{properties}">"##),
        format!(r"<xa:SignedSignatureProperties><xa:SigningTime>{time}</xa:SigningTime>"),
        format!(
            r#"<xa:SigningCertificateV2><xa:Cert><xa:CertDigest><ds:DigestMethod Algorithm="{SHA256}"/>"#
        ),
        format!(r"<ds:DigestValue>{certificate_digest}</ds:DigestValue></xa:CertDigest></xa:Cert>"),
        "</xa:SigningCertificateV2></xa:SignedSignatureProperties></xa:SignedProperties>".to_owned(),
        "</xa:QualifyingProperties></ds:Object></ds:Signature>".to_owned(),
    ]
    .concat()
}
