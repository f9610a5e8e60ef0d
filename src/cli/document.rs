//! Documents given on the command line: read whole, within bounds, told apart by how they begin, their faults
//! told on standard error.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use hikikae::codec::eps_xml::{EpsDispensing, ReferencePrescription};
use hikikae::codec::fault::{Fault, Read};
use hikikae::codec::{cj1, sj1};
use hikikae::prescription::dispensing::Dispensing;
use hikikae::prescription::document::Prescription;
use hikikae::trust::xml::{MAX_BYTES, Xml, elements};

/// What a document is, going by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// SJ1, a prescription without signature.
    Sj1,
    /// CJ1, a dispensing result without signature.
    Cj1,
    /// Some XML: a signed document, if any.
    Xml,
    /// Some JSON or a compact JWS.
    Fhir,
}

impl Kind {
    /// The kind of a document, `None` when it is nothing known.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
        [
            (&b"SJ1"[..], Self::Sj1),
            (b"CJ1", Self::Cj1),
            (b"<", Self::Xml),
            (b"{", Self::Fhir),
            (b"eyJ", Self::Fhir),
        ]
        .into_iter()
        .find_map(|(start, kind)| text.starts_with(start).then_some(kind))
    }
}

/// The envelope of a signed XML document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Envelope {
    /// `EPS1.0`
    Prescription,
    /// `EPD1.0`
    Dispensing,
}

impl Envelope {
    /// Which envelope it is, going by the elements it begins with.
    ///
    /// # Errors
    /// When it is not XML as it is accepted, or another document altogether.
    pub fn of(bytes: &[u8]) -> anyhow::Result<Self> {
        let xml = Xml::parse(bytes)?;
        let root = xml.root();
        let mut names = elements(root).map(|element| element.tag_name().name());
        if root.tag_name().name() == "Document" {
            match names.next() {
                Some("Prescription") => return Ok(Self::Prescription),
                Some("DispensingManagement" | "Dispensing") => return Ok(Self::Dispensing),
                _ => {}
            }
        }
        bail!("neither an EPS XML prescription nor a dispensing result")
    }
}

/// Reads a file, or standard input for `-`; no more than any document may have.
///
/// # Errors
/// When it cannot be read or is too large.
pub fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let limit = MAX_BYTES as u64;
    let mut bytes = Vec::new();
    if path.as_os_str() == "-" {
        std::io::stdin().lock().take(limit + 1).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes))
    }
    .with_context(|| path.display().to_string())?;
    if bytes.len() > MAX_BYTES {
        bail!("{}: larger than {MAX_BYTES} bytes", path.display());
    }
    Ok(bytes)
}

/// Reads SJ1, telling warnings and faults.
///
/// # Errors
/// When there are faults.
pub fn sj1_read(bytes: &[u8]) -> anyhow::Result<Read<Prescription>> {
    Ok(warned(told(sj1::read(bytes))?))
}

/// Reads CJ1, telling warnings and faults.
///
/// # Errors
/// When there are faults.
pub fn cj1_read(bytes: &[u8]) -> anyhow::Result<Read<Dispensing>> {
    Ok(warned(told(cj1::read(bytes))?))
}

/// The SJ1 bytes of the prescription inside a dispensing result.
///
/// # Errors
/// When it was delivered as a JWS.
pub fn sj1_inside<'e>(envelope: &'e EpsDispensing<'_>) -> anyhow::Result<&'e [u8]> {
    match envelope.prescription() {
        ReferencePrescription::Sj1(payload) => Ok(payload),
        ReferencePrescription::Jws(_) => {
            bail!("the prescription inside is a JWS of a FHIR document, not SJ1")
        }
    }
}

/// Tells the faults of what could not be read, one a line.
///
/// # Errors
/// When there are any.
pub fn told<T>(read: Result<T, Vec<Fault>>) -> anyhow::Result<T> {
    read.or_else(|faults| {
        for fault in &faults {
            eprintln!("{fault}");
        }
        bail!("the document has {}", counted(faults.len()))
    })
}

/// A number of faults, in words.
pub fn counted(faults: usize) -> String {
    format!("{faults} fault{}", if faults == 1 { "" } else { "s" })
}

fn warned<T>(read: Read<T>) -> Read<T> {
    for warning in &read.warnings {
        eprintln!("warning: {warning}");
    }
    read
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_told_apart_by_their_beginning() {
        let kinds = [
            ("SJ1\n1,1", Some(Kind::Sj1)),
            ("CJ1,\n", Some(Kind::Cj1)),
            ("\u{feff}<?xml version=\"1.0\"?>", Some(Kind::Xml)),
            ("\n<Document/>", Some(Kind::Xml)),
            (" {\"resourceType\":\"Bundle\"}", Some(Kind::Fhir)),
            ("eyJhbGciOiJ9.e30.AA", Some(Kind::Fhir)),
            ("JAHISTC08,1", None),
            ("", None),
        ];
        for (text, kind) in kinds {
            assert_eq!(Kind::of(text.as_bytes()), kind, "{text}");
        }
    }

    #[test]
    fn an_envelope_is_known_by_its_first_element() {
        let of = |text: &str| Envelope::of(text.as_bytes()).ok();
        assert_eq!(of("<Document><Prescription/></Document>"), Some(Envelope::Prescription));
        assert_eq!(of("<Document><DispensingManagement/></Document>"), Some(Envelope::Dispensing));
        for other in
            ["<Document/>", "<Other><Prescription/></Other>", "<Document>", "<!DOCTYPE a><Document/>"]
        {
            assert_eq!(of(other), None, "{other}");
        }
    }
}
