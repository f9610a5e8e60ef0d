//! Taking a signature apart. Everything outside the field's profile is a fault here, before anything is computed:
//! other algorithms, other transforms, references that do not stay in the document, further objects.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use chrono::{DateTime, Utc};
use roxmltree::Node;

use super::{RSA_SHA256, SHA256, SIGNED_PROPERTIES_TYPE, XADES, XMLDSIG};
use crate::trust::c14n::Method;
use crate::trust::xml::{Xml, elements, path_of, text_of};
use crate::trust::{Certificate, TrustStore};

/// Certificates in the key information beyond which nobody looks.
const CERTIFICATES_MAX: usize = 5;
/// Faults beyond which no more are told.
const FAULTS_MAX: usize = 20;

/// A signature with everything that verifying needs.
pub(super) struct Parts<'n, 'a> {
    pub signed_info: Node<'n, 'a>,
    pub method: Method,
    pub references: Vec<Reference<'n, 'a>>,
    pub value_element: Node<'n, 'a>,
    pub value: Vec<u8>,
    pub key_info: Node<'n, 'a>,
    /// The signer's, then any that came with it.
    pub certificates: Vec<Certificate>,
    pub signing_time: DateTime<Utc>,
    /// SHA-256 of the signing certificate, as the signer says.
    pub certificate_digest: Vec<u8>,
    /// The unsigned signature properties, when there are any.
    pub unsigned: Option<Node<'n, 'a>>,
}

/// What a reference points at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// The business element the caller wants signed.
    Content,
    KeyInfo,
    SignedProperties,
    /// An element, but none of these.
    Other,
    /// Nothing in this document.
    Missing,
}

pub(super) struct Reference<'n, 'a> {
    pub uri: &'n str,
    pub target: Target,
    pub element: Option<Node<'n, 'a>>,
    pub method: Method,
    pub digest: Vec<u8>,
}

/// Collects what is wrong with a signature's structure.
#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    fn add(&mut self, element: Node<'_, '_>, message: &str) {
        if self.0.len() < FAULTS_MAX {
            self.0.push(format!("{}: {message}", path_of(element)));
        }
    }

    /// The children of `parent` named exactly `names` in that order, `?` marking one that may be missing.
    fn exactly<'n, 'a>(
        &mut self,
        parent: Node<'n, 'a>,
        namespace: &str,
        names: &[&str],
    ) -> Option<Vec<Option<Node<'n, 'a>>>> {
        let mut children = elements(parent).peekable();
        let mut found = Vec::with_capacity(names.len());
        for name in names {
            let wanted = name.trim_end_matches('?');
            let child = children.next_if(|child| child.has_tag_name((namespace, wanted)));
            if child.is_none() && !name.ends_with('?') {
                self.add(parent, &format!("expected {wanted}"));
                return None;
            }
            found.push(child);
        }
        if children.next().is_some() {
            self.add(parent, "holds more than it should");
            return None;
        }
        Some(found)
    }

    fn base64(&mut self, element: Node<'_, '_>) -> Option<Vec<u8>> {
        let decoded = base64_of(element);
        if decoded.is_none() {
            self.add(element, "expected Base64");
        }
        decoded
    }

    fn algorithm(&mut self, element: Node<'_, '_>, expected: &str) {
        if element.attribute("Algorithm") != Some(expected) || elements(element).next().is_some() {
            self.add(element, "the algorithm is not accepted");
        }
    }
}

/// Canonical Base64 in an element, white space aside.
pub(super) fn base64_of(element: Node<'_, '_>) -> Option<Vec<u8>> {
    if elements(element).next().is_some() {
        return None;
    }
    let mut text = text_of(element);
    text.retain(|c| !c.is_ascii_whitespace());
    BASE64_STANDARD.decode(text).ok().filter(|bytes| !bytes.is_empty())
}

/// Takes `signature` apart; `content` is the element it has to sign.
pub(super) fn parts_of<'n, 'a>(
    xml: &'n Xml<'a>,
    signature: Node<'n, 'a>,
    content: Node<'n, 'a>,
    trust: &TrustStore,
) -> Result<Parts<'n, 'a>, Vec<String>> {
    let mut faults = Faults::default();
    plain_check(&mut faults, signature);
    let parts = parts_read(&mut faults, xml, signature, content, trust);
    match parts {
        Some(parts) if faults.0.is_empty() => Ok(parts),
        _ => Err(faults.0),
    }
}

/// Nothing rides along in the unsigned places of a signature: no text beside elements, no attribute that the schemas
/// do not give the element.
fn plain_check(faults: &mut Faults, signature: Node<'_, '_>) {
    for element in signature.descendants().filter(Node::is_element) {
        let beside = |child: Node<'_, '_>| {
            child.is_text() && child.text().is_some_and(|text| !text.trim_ascii().is_empty())
        };
        if elements(element).next().is_some() && element.children().any(beside) {
            faults.add(element, "holds text beside its elements");
        }
        let name = element.tag_name().name();
        let known = |attribute: &str| match attribute {
            "Id" => true,
            "Algorithm" => name.ends_with("Method") || name == "Transform",
            "URI" => matches!(name, "Reference" | "TimeStampValidationData" | "Include" | "CRLIdentifier"),
            "Type" => name == "Reference",
            "Target" => name == "QualifyingProperties",
            "PrefixList" => name == "InclusiveNamespaces",
            "Encoding" => name.starts_with("Encapsulated") || name == "Object",
            "MimeType" => name == "Object",
            _ => false,
        };
        if element.attributes().any(|a| a.namespace().is_some() || !known(a.name())) {
            faults.add(element, "has an attribute that it cannot have");
        }
    }
}

fn parts_read<'n, 'a>(
    faults: &mut Faults,
    xml: &'n Xml<'a>,
    signature: Node<'n, 'a>,
    content: Node<'n, 'a>,
    trust: &TrustStore,
) -> Option<Parts<'n, 'a>> {
    let found = faults.exactly(signature, XMLDSIG, &["SignedInfo", "SignatureValue", "KeyInfo", "Object"])?;
    let [Some(signed_info), Some(value_element), Some(key_info), Some(object)] = found[..] else {
        return None;
    };
    let qualifying = faults.exactly(object, XADES, &["QualifyingProperties"])?[0]?;
    let target = qualifying.attribute("Target").and_then(|target| target.strip_prefix('#'));
    if target.is_none() || target != signature.attribute("Id") {
        faults.add(qualifying, "is not about this signature");
    }
    let properties = faults.exactly(qualifying, XADES, &["SignedProperties", "UnsignedProperties?"])?;
    let signed_properties = properties[0]?;
    let unsigned = match properties[1] {
        Some(element) => faults.exactly(element, XADES, &["UnsignedSignatureProperties?"])?[0],
        None => None,
    };
    let (signing_time, certificate_digest) = signed_read(faults, signed_properties)?;
    let (method, references) =
        signed_info_read(faults, xml, signed_info, &[content, key_info, signed_properties])?;
    Some(Parts {
        signed_info,
        method,
        references,
        value_element,
        value: faults.base64(value_element)?,
        key_info,
        certificates: certificates_read(faults, key_info, trust)?,
        signing_time,
        certificate_digest,
        unsigned,
    })
}

fn signed_info_read<'n, 'a>(
    faults: &mut Faults,
    xml: &'n Xml<'a>,
    signed_info: Node<'n, 'a>,
    known: &[Node<'n, 'a>; 3],
) -> Option<(Method, Vec<Reference<'n, 'a>>)> {
    let mut children = elements(signed_info);
    let method = children.next().filter(|c| c.has_tag_name((XMLDSIG, "CanonicalizationMethod")));
    let algorithm = children.next().filter(|c| c.has_tag_name((XMLDSIG, "SignatureMethod")));
    let (Some(method), Some(algorithm)) = (method, algorithm) else {
        faults.add(signed_info, "expected CanonicalizationMethod and SignatureMethod");
        return None;
    };
    faults.algorithm(algorithm, RSA_SHA256);
    let canonical = Method::of(method);
    if canonical.is_none() {
        faults.add(method, "the canonicalisation is not accepted");
    }
    let references: Vec<_> = children.map(|child| reference_read(faults, xml, child, known)).collect();
    let references: Vec<_> = references.into_iter().flatten().collect();
    for target in [Target::Content, Target::KeyInfo, Target::SignedProperties] {
        if references.iter().filter(|reference| reference.target == target).count() > 1 {
            faults.add(signed_info, "refers twice to the same element");
        }
    }
    if !references.iter().any(|reference| reference.target == Target::SignedProperties) {
        faults.add(signed_info, "does not refer to the signed properties");
    }
    if references.len() > 3 {
        faults.add(signed_info, "refers to more than the document, the key and the properties");
    }
    Some((canonical?, references))
}

fn reference_read<'n, 'a>(
    faults: &mut Faults,
    xml: &'n Xml<'a>,
    element: Node<'n, 'a>,
    known: &[Node<'n, 'a>; 3],
) -> Option<Reference<'n, 'a>> {
    if !element.has_tag_name((XMLDSIG, "Reference")) {
        faults.add(element, "expected Reference");
        return None;
    }
    let found = faults.exactly(element, XMLDSIG, &["Transforms?", "DigestMethod", "DigestValue"])?;
    let method = match found[0] {
        None => Method::Inclusive,
        Some(transforms) => {
            let transform = faults.exactly(transforms, XMLDSIG, &["Transform"])?[0]?;
            let method = Method::of(transform);
            if method.is_none() {
                faults.add(transform, "the transform is not accepted");
            }
            method?
        }
    };
    faults.algorithm(found[1]?, SHA256);
    let Some((uri, id)) = element.attribute("URI").and_then(|uri| Some((uri, uri.strip_prefix('#')?))) else {
        faults.add(element, "does not stay within the document");
        return None;
    };
    let target_element = xml.element_by_id(id);
    let target = match target_element {
        None => Target::Missing,
        Some(node) if node == known[0] => Target::Content,
        Some(node) if node == known[1] => Target::KeyInfo,
        Some(node) if node == known[2] => Target::SignedProperties,
        Some(_) => Target::Other,
    };
    let typed = element.attribute("Type") == Some(SIGNED_PROPERTIES_TYPE);
    if typed != (target == Target::SignedProperties) {
        faults.add(element, "its type and what it refers to do not fit");
    }
    Some(Reference { uri, target, element: target_element, method, digest: faults.base64(found[2]?)? })
}

/// Signing time and the digest of the signing certificate.
fn signed_read(faults: &mut Faults, properties: Node<'_, '_>) -> Option<(DateTime<Utc>, Vec<u8>)> {
    let children: Vec<_> = elements(properties).collect();
    let Some(signature) = children.iter().find(|c| c.has_tag_name((XADES, "SignedSignatureProperties")))
    else {
        faults.add(properties, "expected SignedSignatureProperties");
        return None;
    };
    let named = |name: &'static str| elements(*signature).find(move |c| c.has_tag_name((XADES, name)));
    let time = named("SigningTime").and_then(|node| DateTime::parse_from_rfc3339(text_of(node).trim()).ok());
    if time.is_none() {
        faults.add(*signature, "expected SigningTime with a time zone");
    }
    let Some(list) = named("SigningCertificateV2").or_else(|| named("SigningCertificate")) else {
        faults.add(*signature, "expected SigningCertificateV2");
        return None;
    };
    let digest = elements(list)
        .next()
        .filter(|cert| cert.has_tag_name((XADES, "Cert")))
        .and_then(|cert| elements(cert).next())
        .filter(|digest| digest.has_tag_name((XADES, "CertDigest")));
    let Some(digest) = digest else {
        faults.add(list, "expected Cert with CertDigest");
        return None;
    };
    let found = faults.exactly(digest, XMLDSIG, &["DigestMethod", "DigestValue"])?;
    faults.algorithm(found[0]?, SHA256);
    Some((time?.with_timezone(&Utc), faults.base64(found[1]?)?))
}

fn certificates_read(
    faults: &mut Faults,
    key_info: Node<'_, '_>,
    trust: &TrustStore,
) -> Option<Vec<Certificate>> {
    let data = faults.exactly(key_info, XMLDSIG, &["X509Data"])?[0]?;
    let elements: Vec<_> = elements(data).collect();
    if elements.is_empty() || elements.len() > CERTIFICATES_MAX {
        faults.add(data, "expected the signer's certificate");
        return None;
    }
    let mut certificates = Vec::with_capacity(elements.len());
    for element in elements {
        if !element.has_tag_name((XMLDSIG, "X509Certificate")) {
            faults.add(data, "expected certificates only");
            return None;
        }
        match trust.memo().certificate(&faults.base64(element)?) {
            Ok(certificate) => certificates.push(certificate),
            Err(error) => faults.add(element, &error.to_string()),
        }
    }
    (!certificates.is_empty()).then_some(certificates)
}
