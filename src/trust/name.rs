//! Distinguished names of certificates: the exact bytes for comparing, and the few attributes we read.

use der::asn1::ObjectIdentifier;
use der::{Any, Encode, Tag, Tagged};
use x509_cert::name::Name;

pub(crate) const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
pub(crate) const SERIAL_NUMBER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.5");
pub(crate) const COUNTRY: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.6");
pub(crate) const ORGANIZATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.10");

/// A distinguished name. Two are equal when their DER is: the case-folding comparison of RFC 5280 7.1 is not
/// done, so an authority that writes its own name in two ways does not chain.
///
/// There is no `Display`: names are personal data.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct DistinguishedName {
    der: Vec<u8>,
    common_name: Option<String>,
    serial_number: Option<String>,
    organization: Option<String>,
}

impl DistinguishedName {
    pub(crate) fn from_name(name: &Name) -> Result<Self, der::Error> {
        Ok(Self {
            der: name.to_der()?,
            common_name: attribute(name, COMMON_NAME),
            serial_number: attribute(name, SERIAL_NUMBER),
            organization: attribute(name, ORGANIZATION),
        })
    }

    /// The DER of the `Name`.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// `commonName`, the last one when there are several (the most specific).
    pub fn common_name(&self) -> Option<&str> {
        self.common_name.as_deref()
    }

    /// The attribute `serialNumber` (2.5.4.5): a registration number in HPKI, an institution code in facility
    /// certificates. Not the certificate's own serial number.
    pub fn serial_number(&self) -> Option<&str> {
        self.serial_number.as_deref()
    }

    /// `organizationName`.
    pub fn organization(&self) -> Option<&str> {
        self.organization.as_deref()
    }
}

impl std::fmt::Debug for DistinguishedName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DistinguishedName(…)")
    }
}

fn attribute(name: &Name, oid: ObjectIdentifier) -> Option<String> {
    name.0
        .iter()
        .flat_map(|rdn| rdn.0.iter())
        .rfind(|a| a.oid == oid)
        .and_then(|a| directory_string(&a.value))
}

/// The text of a `DirectoryString`, whichever of its forms it takes. The T.61 form is refused, its meaning being
/// nobody's guess.
pub(crate) fn directory_string(value: &Any) -> Option<String> {
    match value.tag() {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String => {
            std::str::from_utf8(value.value()).ok().map(str::to_owned)
        }
        Tag::BmpString => {
            let (units, []) = value.value().as_chunks::<2>() else { return None };
            String::from_utf16(&units.iter().map(|u| u16::from_be_bytes(*u)).collect::<Vec<_>>()).ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_directory_string_we_know_is_read() {
        let utf8 = Any::new(Tag::Utf8String, "薬局".as_bytes()).unwrap();
        let bmp = Any::new(Tag::BmpString, [0x85, 0xac, 0x5c, 0x40]).unwrap();
        assert_eq!(directory_string(&utf8).as_deref(), Some("薬局"));
        assert_eq!(directory_string(&bmp).as_deref(), Some("薬局"));
        let odd = Any::new(Tag::BmpString, [0x85, 0xac, 0x5c]).unwrap();
        let teletex = Any::new(Tag::TeletexString, *b"x").unwrap();
        assert_eq!(directory_string(&odd), None);
        assert_eq!(directory_string(&teletex), None);
    }
}
