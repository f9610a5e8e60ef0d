//! The two envelopes as values: what is in them, and where their parts stand. How they are read is
//! [`super::reading`]'s.

use std::ops::Range;

use roxmltree::NodeId;
use uuid::Uuid;

use super::delivered::Conversion;
use super::element::Examiner;
use super::reading::{dispensing_document, finish, parse, prescription_document};
use crate::codec::fault::Fault;
use crate::trust::xml::Xml;

/// A prescription in its envelope: 処方箋, the clinic's original or the form the service delivers.
#[derive(Debug)]
pub struct EpsPrescription<'a> {
    pub(super) xml: Xml<'a>,
    pub(super) parts: PrescriptionParts,
}

/// A dispensing result in its envelope: 調剤結果, with the prescription it answers inside.
#[derive(Debug)]
pub struct EpsDispensing<'a> {
    pub(super) xml: Xml<'a>,
    pub(super) parts: DispensingParts,
}

/// The places and values of one prescription, alone or embedded.
#[derive(Debug)]
pub(super) struct PrescriptionParts {
    pub prescription_id: Option<Uuid>,
    pub payload: Vec<u8>,
    pub conversions: Option<Vec<Conversion>>,
    /// Where the parent's content (the children of `Prescription`) stands.
    pub content: Range<usize>,
    pub version: Range<usize>,
    pub document: Range<usize>,
    pub sign: Range<usize>,
    pub document_node: NodeId,
    pub signature_node: NodeId,
}

#[derive(Debug)]
pub(super) struct DispensingParts {
    pub dispensing_id: Option<Uuid>,
    pub payload: Vec<u8>,
    pub prescription: ReferenceParts,
    pub dispensing_node: NodeId,
    pub signature_node: NodeId,
}

/// What stands in `ReferencePrescription`.
#[derive(Debug)]
pub(super) enum ReferenceParts {
    Eps(PrescriptionParts),
    /// The compact JWS, verbatim.
    Jws(String),
}

/// The prescription that a dispensing result answers, in its own form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReferencePrescription<'e> {
    /// The SJ1 bytes of an EPS XML prescription.
    Sj1(&'e [u8]),
    /// A prescription that was delivered as a compact JWS.
    Jws(&'e str),
}

impl<'a> EpsPrescription<'a> {
    /// Reads a prescription in either form.
    ///
    /// # Errors
    /// Every fault of the envelope, each with its place such as `/Document/Prescription/PrescriptionDocument`.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Vec<Fault>> {
        let xml = parse(bytes)?;
        let mut examiner = Examiner::default();
        let parts = prescription_document(&mut examiner, &xml);
        finish(examiner, parts).map(|parts| Self { xml, parts })
    }

    /// Reads a clinic's original: what only the service adds (`PrescriptionId`, `AdditionalPrescriptionInformation`)
    /// is a fault.
    ///
    /// # Errors
    /// As [`EpsPrescription::read`].
    pub fn read_original(bytes: &'a [u8]) -> Result<Self, Vec<Fault>> {
        let read = Self::read(bytes)?;
        let faults = read.additions();
        if faults.is_empty() { Ok(read) } else { Err(faults) }
    }

    /// One fault for each of the service's additions that is already there.
    pub(super) fn additions(&self) -> Vec<Fault> {
        let fault = |place: &str| Fault {
            place: format!("/Document/Prescription/{place}"),
            message: "is added by the service and must not be submitted".to_owned(),
        };
        let id = self.parts.prescription_id.map(|_| fault("PrescriptionManagement/PrescriptionId"));
        let more = self.parts.conversions.as_ref().map(|_| fault("AdditionalPrescriptionInformation"));
        id.into_iter().chain(more).collect()
    }

    /// The SJ1 bytes that were signed.
    pub fn payload(&self) -> &[u8] {
        &self.parts.payload
    }

    /// 処方箋ID, once the service has given one.
    pub fn prescription_id(&self) -> Option<Uuid> {
        self.parts.prescription_id
    }

    /// Everything within `Prescription`, byte for byte, as a dispensing result embeds it.
    pub(super) fn content(&self) -> &str {
        self.xml.text().get(self.parts.content.clone()).unwrap_or_default()
    }

    /// The receipt and YJ forms of the drug lines, as the service added them; unsigned.
    pub fn conversions(&self) -> &[Conversion] {
        self.parts.conversions.as_deref().unwrap_or_default()
    }
}

impl<'a> EpsDispensing<'a> {
    /// Reads a dispensing result.
    ///
    /// # Errors
    /// Every fault of the envelope and of the prescription inside.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Vec<Fault>> {
        let xml = parse(bytes)?;
        let mut examiner = Examiner::default();
        let parts = dispensing_document(&mut examiner, &xml);
        finish(examiner, parts).map(|parts| Self { xml, parts })
    }

    /// The CJ1 bytes that were signed.
    pub fn payload(&self) -> &[u8] {
        &self.parts.payload
    }

    /// 調剤結果ID, when there is one.
    pub fn dispensing_id(&self) -> Option<Uuid> {
        self.parts.dispensing_id
    }

    /// 処方箋ID of the prescription inside; a JWS bears none.
    pub fn prescription_id(&self) -> Option<Uuid> {
        match &self.parts.prescription {
            ReferenceParts::Eps(parts) => parts.prescription_id,
            ReferenceParts::Jws(_) => None,
        }
    }

    /// The prescription inside.
    pub fn prescription(&self) -> ReferencePrescription<'_> {
        match &self.parts.prescription {
            ReferenceParts::Eps(parts) => ReferencePrescription::Sj1(&parts.payload),
            ReferenceParts::Jws(jws) => ReferencePrescription::Jws(jws),
        }
    }

    /// Whether the prescription inside is the one that was delivered: the same id, and the signed element and its
    /// signature byte for byte. What the service added unsigned is not compared.
    pub fn embeds(&self, delivered: &EpsPrescription<'_>) -> bool {
        let (ReferenceParts::Eps(inside), outside) = (&self.parts.prescription, &delivered.parts) else {
            return false;
        };
        let (here, there) = (self.xml.text(), delivered.xml.text());
        inside.prescription_id.is_some()
            && inside.prescription_id == outside.prescription_id
            && here.get(inside.document.clone()) == there.get(outside.document.clone())
            && here.get(inside.sign.clone()) == there.get(outside.sign.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_document::{CJ1, SJ1, delivered, dispensing, original};
    use super::*;

    fn places(text: &str) -> Vec<String> {
        EpsPrescription::read(text.as_bytes()).unwrap_err().into_iter().map(|fault| fault.place).collect()
    }

    #[test]
    fn both_envelopes_are_read_with_space_between_elements() {
        let original = original();
        assert_eq!(EpsPrescription::read_original(original.as_bytes()).unwrap().payload(), SJ1.as_bytes());
        let delivered = delivered(&original);
        let spaced = delivered
            .replace("<PrescriptionManagement", "\n\t<PrescriptionManagement")
            .replace("<PrescriptionSign>", "\r\n<PrescriptionSign>");
        assert!(EpsPrescription::read(spaced.as_bytes()).is_ok());
        let dispensing = dispensing(&delivered).replace(
            "<DispensingSign>",
            "<AdditionalDispensedInformation id=\"AdditionalDispensedInformation\"><ConversionPharmaceuticalCode \
             CsvLineNo=\"12\" DispensingDocumentCode=\"622688101\"><ConversionREcode>201,1</ConversionREcode>\
             </ConversionPharmaceuticalCode></AdditionalDispensedInformation><DispensingSign>",
        );
        let read = EpsDispensing::read(dispensing.as_bytes()).unwrap();
        assert_eq!(read.payload(), CJ1.as_bytes());
        assert_eq!(read.prescription_id(), Some(super::super::test_document::ID));
        assert_eq!(read.dispensing_id(), None);
    }

    #[test]
    fn every_fault_is_told_at_once_with_its_place() {
        let text = original()
            .replace("EPS1.0", "EPS9.9")
            .replace("EP.xsd", "ED.xsd")
            .replace("<Prescription>", "<Prescription more=\"1\">x<Unknown/>")
            .replace("id=\"PrescriptionDocument\">", "id=\"PrescriptionDocument\">=")
            .replace("</Prescription>", "<PrescriptionManagement/></Prescription>");
        let mut places = places(&text);
        places.sort();
        places.dedup();
        let at = "/Document/Prescription";
        assert_eq!(
            places,
            [
                "/Document/@noNamespaceSchemaLocation".to_owned(),
                at.to_owned(),
                format!("{at}/PrescriptionDocument"),
                format!("{at}/PrescriptionManagement"),
                format!("{at}/PrescriptionManagement/Version/@Value"),
            ]
        );
    }

    #[test]
    fn missing_parts_and_other_documents_are_told() {
        assert_eq!(places("<Document id='Document'/>"), ["/Document/Prescription"]);
        assert_eq!(places("<Other/>"), ["/Document"]);
        assert_eq!(places("no XML"), ["/"]);
        let empty = places("<Document id='Document'><Prescription/></Document>");
        assert_eq!(empty.len(), 3);
        assert!(empty.contains(&"/Document/Prescription/PrescriptionSign".to_owned()));
        let original = original();
        let error = EpsDispensing::read(original.as_bytes()).unwrap_err();
        assert!(error.iter().any(|fault| fault.place == "/Document/Dispensing"), "{error:?}");
    }

    #[test]
    fn base64_is_canonical() {
        let original = original();
        let payload = EpsPrescription::read(original.as_bytes()).unwrap().payload().to_vec();
        assert_eq!(payload.len() % 3, 2, "the last quantum has spare bits");
        let loose = original.replacen("o=</P", "p=</P", 1);
        assert_ne!(loose, original);
        assert_eq!(places(&loose), ["/Document/Prescription/PrescriptionDocument"]);
        assert_eq!(places(&original.replacen("o=</P", "o</P", 1)).len(), 1);
    }
}
