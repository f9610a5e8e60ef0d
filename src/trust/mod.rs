//! Certificates, paths, revocation, canonicalisation, signatures, timestamps. Knows no payload and no HTTP.

pub mod c14n;
pub mod xml;
