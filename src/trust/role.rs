//! `hcRole` (保健医療福祉分野の資格): the healthcare role in an HPKI certificate. Knows its ASN.1, and nothing of
//! who may do what.
//!
//! ISO 17090-2, carried in `subjectDirectoryAttributes`:
//! attribute 1.0.17090.0.1, each value `SET OF SEQUENCE { [0] SET { [0] OID scheme, [2] role }, [1] regional? }`.

use der::asn1::{AnyRef, ObjectIdentifier};
use der::{Any, Decode, Encode, Reader, SliceReader, Tag, TagNumber, Tagged};

use super::name::directory_string;

/// ISO 17090 `healthcareactor`.
pub(crate) const HEALTHCARE_ACTOR: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.0.17090.0.1");
/// The coding scheme of the HPKI role names. A role coded in another scheme is not an HPKI role.
const HPKI_ROLE_SCHEME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.392.100495.1.6.1.1");

/// One role of the holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HcRole {
    /// 医師
    MedicalDoctor,
    /// 歯科医師
    Dentist,
    /// 薬剤師
    Pharmacist,
    /// Any other role name of the scheme, for example `Director of Clinic` (管理者).
    Other(String),
}

impl HcRole {
    /// The role as the certificate writes it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::MedicalDoctor => "Medical Doctor",
            Self::Dentist => "Dentist",
            Self::Pharmacist => "Pharmacist",
            Self::Other(name) => name,
        }
    }
}

impl From<&str> for HcRole {
    fn from(text: &str) -> Self {
        match text {
            "Medical Doctor" => Self::MedicalDoctor,
            "Dentist" => Self::Dentist,
            "Pharmacist" => Self::Pharmacist,
            other => Self::Other(other.to_owned()),
        }
    }
}

/// The roles in one value of the healthcare actor attribute; roles of another coding scheme are left out.
pub(crate) fn roles_decode(value: &Any) -> Result<Vec<HcRole>, der::Error> {
    let mut roles = Vec::new();
    let value = AnyRef::from(value);
    value.tag().assert_eq(Tag::Set)?;
    for actor in children(value.value())? {
        actor.tag().assert_eq(Tag::Sequence)?;
        let coded = member(&children(actor.value())?, 0).ok_or(der::ErrorKind::Failed)?;
        let set = AnyRef::from_der(coded.value())?;
        set.tag().assert_eq(Tag::Set)?;
        let fields = children(set.value())?;
        let scheme = member(&fields, 0).ok_or(der::ErrorKind::Failed)?;
        if ObjectIdentifier::from_der(scheme.value())? != HPKI_ROLE_SCHEME {
            continue;
        }
        let text = member(&fields, 2).ok_or(der::ErrorKind::Failed)?;
        let text = directory_string(&Any::from_der(text.value())?).ok_or(der::ErrorKind::Failed)?;
        roles.push(HcRole::from(text.as_str()));
    }
    Ok(roles)
}

/// The attribute value that says `role`, as the HPKI authorities write it.
pub(crate) fn role_encode(role: &HcRole) -> Result<Any, der::Error> {
    let scheme = wrap(context(0), &HPKI_ROLE_SCHEME.to_der()?)?;
    let text = wrap(context(2), &wrap(Tag::Utf8String, role.as_str().as_bytes())?)?;
    let coded = wrap(context(0), &wrap(Tag::Set, &[scheme, text].concat())?)?;
    Any::new(Tag::Set, wrap(Tag::Sequence, &coded)?)
}

fn context(number: u8) -> Tag {
    Tag::ContextSpecific { constructed: true, number: TagNumber::new(number) }
}

fn wrap(tag: Tag, content: &[u8]) -> Result<Vec<u8>, der::Error> {
    Any::new(tag, content)?.to_der()
}

fn children(content: &[u8]) -> Result<Vec<AnyRef<'_>>, der::Error> {
    let mut reader = SliceReader::new(content)?;
    let mut found = Vec::new();
    while !reader.is_finished() {
        found.push(AnyRef::decode(&mut reader)?);
    }
    Ok(found)
}

fn member<'a>(fields: &[AnyRef<'a>], number: u8) -> Option<AnyRef<'a>> {
    fields.iter().copied().find(|f| f.tag() == context(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As decoded from a published test certificate: scheme and `Medical Doctor`.
    const PHYSICIAN: [u8; 40] = [
        0x31, 0x26, 0x30, 0x24, 0xa0, 0x22, 0x31, 0x20, 0xa0, 0x0c, 0x06, 0x0a, 0x2a, 0x83, 0x08, 0x86, 0x91,
        0x0f, 0x01, 0x06, 0x01, 0x01, 0xa2, 0x10, 0x0c, 0x0e, 0x4d, 0x65, 0x64, 0x69, 0x63, 0x61, 0x6c, 0x20,
        0x44, 0x6f, 0x63, 0x74, 0x6f, 0x72,
    ];

    #[test]
    fn the_published_layout_is_read_and_written() {
        let value = Any::from_der(&PHYSICIAN).unwrap();
        assert_eq!(roles_decode(&value).unwrap(), [HcRole::MedicalDoctor]);
        assert_eq!(role_encode(&HcRole::MedicalDoctor).unwrap().to_der().unwrap(), PHYSICIAN);
    }

    #[test]
    fn a_role_of_another_scheme_is_not_ours() {
        let mut bytes = PHYSICIAN;
        bytes[21] = 0x02;
        assert_eq!(roles_decode(&Any::from_der(&bytes).unwrap()).unwrap(), []);
    }

    #[test]
    fn other_names_are_kept_and_nothing_is_guessed() {
        for name in ["Director of Clinic", "medical doctor", "Medical Doctor ", "Medical\0Doctor"] {
            let value = role_encode(&HcRole::Other(name.to_owned())).unwrap();
            assert_eq!(roles_decode(&value).unwrap(), [HcRole::Other(name.to_owned())]);
        }
    }

    #[test]
    fn a_damaged_role_is_an_error() {
        for cut in 1..PHYSICIAN.len() {
            let value = Any::new(Tag::Set, &PHYSICIAN[2..cut.max(2)]).unwrap();
            assert!(cut <= 2 || roles_decode(&value).is_err(), "{cut}");
        }
        assert!(roles_decode(&Any::new(Tag::Sequence, Vec::new()).unwrap()).is_err());
    }
}
