//! XAdES signatures as the field makes them: detached within the same document, RSA with SHA-256, pinned
//! canonicalisation. Verifies and makes them; knows no prescription, the caller says what must be signed.

mod parts;
mod sign;
mod validation;
mod verify;

pub use sign::{SignatureRequest, XadesSignError, xades_sign};
pub use verify::xades_verify;

/// Namespace of XML signatures.
pub const XMLDSIG: &str = "http://www.w3.org/2000/09/xmldsig#";
const XADES: &str = "http://uri.etsi.org/01903/v1.3.2#";
const XADES141: &str = "http://uri.etsi.org/01903/v1.4.1#";
const SIGNED_PROPERTIES_TYPE: &str = "http://uri.etsi.org/01903#SignedProperties";
const RSA_SHA256: &str = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256";
const SHA256: &str = "http://www.w3.org/2001/04/xmlenc#sha256";
