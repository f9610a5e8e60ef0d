//! Documents given on the command line: read whole, within bounds, told apart by how they begin, out of whatever
//! signature they are in, their faults told on standard error.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use hikikae::codec::eps_xml::{EpsDispensing, EpsPrescription, ReferencePrescription};
use hikikae::codec::fault::{Fault, Form, Read, drug_lines};
use hikikae::codec::fhir::dispensing::{DispensingDocument, Embedded};
use hikikae::codec::jose::{JOSE, JosePrescription};
use hikikae::codec::{cj1, fhir, sj1};
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
    /// Some JSON: a FHIR document without signature, if any.
    Bundle,
    /// A compact JWS: a FHIR document with its signature, if any.
    Jws,
}

impl Kind {
    /// The kind of a document, `None` when it is nothing known.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
        [
            (&b"SJ1"[..], Self::Sj1),
            (b"CJ1", Self::Cj1),
            (b"<", Self::Xml),
            (b"{", Self::Bundle),
            (b"ey", Self::Jws),
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

/// Reads a prescription's Bundle, telling warnings and faults.
///
/// # Errors
/// When there are faults.
pub fn bundle_read(bytes: &[u8]) -> anyhow::Result<fhir::prescription::Read> {
    if fhir::dispensing::is_one(bytes) {
        bail!("a dispensing result, where a prescription is expected");
    }
    let read = told(fhir::prescription::read(bytes))?;
    for warning in &read.warnings {
        eprintln!("warning: {warning}");
    }
    Ok(read)
}

/// A prescription or a dispensing result out of its signature.
pub enum Content {
    /// 処方箋.
    Prescription(Payload),
    /// 調剤結果, with the prescription it answers when that is inside.
    Dispensing(Payload, Option<Payload>),
}

/// The bytes of a document that says something, without signature.
pub enum Payload {
    /// SJ1 or CJ1.
    Csv(Vec<u8>),
    /// A FHIR Bundle.
    Fhir(Vec<u8>),
}

/// What a payload says.
pub struct Said<T> {
    pub value: T,
    /// How it was written, where CSV can be written so again.
    pub form: Form,
    /// Where each drug line stands, in order.
    pub places: Vec<String>,
}

impl Content {
    /// Takes a document of any form out of its signature, which is not verified.
    ///
    /// # Errors
    /// When it is none of them, or not built as its form has it.
    pub fn of(bytes: &[u8]) -> anyhow::Result<Self> {
        match Kind::of(bytes) {
            Some(Kind::Sj1) => Ok(Self::Prescription(Payload::Csv(bytes.to_vec()))),
            Some(Kind::Cj1) => Ok(Self::Dispensing(Payload::Csv(bytes.to_vec()), None)),
            Some(Kind::Xml) => match Envelope::of(bytes)? {
                Envelope::Prescription => Self::embedded("application/xml", bytes).map(Self::Prescription),
                Envelope::Dispensing => {
                    let envelope = told(EpsDispensing::read(bytes))?;
                    let inside = match envelope.prescription() {
                        ReferencePrescription::Sj1(payload) => Payload::Csv(payload.to_vec()),
                        ReferencePrescription::Jws(jws) => Self::embedded(JOSE, jws.as_bytes())?,
                    };
                    Ok(Self::Dispensing(Payload::Csv(envelope.payload().to_vec()), Some(inside)))
                }
            },
            // The signature of either document is built alike; what it is stands in the payload.
            Some(Kind::Jws) => Self::of_bundle(told(JosePrescription::read(bytes))?.payload()),
            Some(Kind::Bundle) => Self::of_bundle(bytes),
            None => bail!("neither SJ1, CJ1, a FHIR Bundle nor a signed document"),
        }
    }

    fn of_bundle(bytes: &[u8]) -> anyhow::Result<Self> {
        let payload = Payload::Fhir(bytes.to_vec());
        if !fhir::dispensing::is_one(bytes) {
            return Ok(Self::Prescription(payload));
        }
        let inside = told(fhir::dispensing::read(bytes))?.prescription;
        let inside = inside.map(|Embedded { media_type, bytes, .. }| Self::embedded(&media_type, &bytes));
        Ok(Self::Dispensing(payload, inside.transpose()?))
    }

    /// The payload of a signed prescription.
    fn embedded(media_type: &str, bytes: &[u8]) -> anyhow::Result<Payload> {
        Ok(if media_type == JOSE {
            Payload::Fhir(told(JosePrescription::read(bytes))?.payload().to_vec())
        } else {
            Payload::Csv(told(EpsPrescription::read(bytes))?.payload().to_vec())
        })
    }

    /// The prescription, also that inside a dispensing result.
    ///
    /// # Errors
    /// When there is none, or it has faults.
    pub fn prescription(&self) -> anyhow::Result<Said<Prescription>> {
        match self {
            Self::Prescription(payload) | Self::Dispensing(_, Some(payload)) => match payload {
                Payload::Csv(bytes) => said("SJ1", bytes, sj1_read(bytes)?),
                Payload::Fhir(bytes) => {
                    let read = bundle_read(bytes)?;
                    Ok(Said { value: read.value, form: Form::default(), places: read.lines })
                }
            },
            Self::Dispensing(_, None) => {
                bail!("a result alone does not hold the prescription; give the signed document")
            }
        }
    }

    /// The dispensing result.
    ///
    /// # Errors
    /// When it is a prescription, or has faults.
    pub fn dispensing(&self) -> anyhow::Result<Said<Dispensing>> {
        match self {
            Self::Dispensing(Payload::Csv(bytes), _) => said("CJ1", bytes, cj1_read(bytes)?),
            Self::Dispensing(Payload::Fhir(bytes), _) => {
                let DispensingDocument { dispensing, places, .. } = told(fhir::dispensing::read(bytes))?;
                Ok(Said { value: dispensing, form: Form::default(), places })
            }
            Self::Prescription(_) => bail!("a prescription holds no dispensing result"),
        }
    }
}

fn said<T>(form: &str, bytes: &[u8], read: Read<T>) -> anyhow::Result<Said<T>> {
    let places = drug_lines(form, std::str::from_utf8(bytes)?).map(|(place, _)| place).collect();
    Ok(Said { value: read.value, form: read.form, places })
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
            (" {\"resourceType\":\"Bundle\"}", Some(Kind::Bundle)),
            ("eyJhbGciOiJ9.e30.AA", Some(Kind::Jws)),
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
