//! Reading the two envelopes strictly: names, order and attributes are fixed, anything else is a fault, and all
//! faults are told at once.

use std::ops::Range;

use roxmltree::{Node, NodeId};
use uuid::Uuid;

use super::delivered::Conversion;
use super::element::{Examiner, Occurs};
use crate::codec::fault::Fault;
use crate::trust::xades::XMLDSIG;
use crate::trust::xml::Xml;

const XSI: &str = "http://www.w3.org/2001/XMLSchema-instance";

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
    pub prescription: PrescriptionParts,
    pub dispensing_node: NodeId,
    pub signature_node: NodeId,
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

    /// 処方箋ID of the prescription inside.
    pub fn prescription_id(&self) -> Option<Uuid> {
        self.parts.prescription.prescription_id
    }

    /// The SJ1 bytes of the prescription inside.
    pub fn prescription_payload(&self) -> &[u8] {
        &self.parts.prescription.payload
    }

    /// Whether the prescription inside is the one that was delivered: the same id, and the signed element and its
    /// signature byte for byte. What the service added unsigned is not compared.
    pub fn embeds(&self, delivered: &EpsPrescription<'_>) -> bool {
        let (inside, outside) = (&self.parts.prescription, &delivered.parts);
        let (here, there) = (self.xml.text(), delivered.xml.text());
        inside.prescription_id.is_some()
            && inside.prescription_id == outside.prescription_id
            && here.get(inside.document.clone()) == there.get(outside.document.clone())
            && here.get(inside.sign.clone()) == there.get(outside.sign.clone())
    }
}

fn parse(bytes: &[u8]) -> Result<Xml<'_>, Vec<Fault>> {
    Xml::parse(bytes).map_err(|error| vec![Fault { place: "/".to_owned(), message: error.to_string() }])
}

fn finish<T>(examiner: Examiner, parts: Option<T>) -> Result<T, Vec<Fault>> {
    match parts {
        Some(parts) if examiner.faults.is_empty() => Ok(parts),
        _ => Err(examiner.faults),
    }
}

/// `/Document` itself; `None` when it is another element altogether.
fn document<'n, 'a>(examiner: &mut Examiner, xml: &'n Xml<'a>, schema: &str) -> Option<Node<'n, 'a>> {
    let root = xml.root();
    if root.tag_name().namespace().is_some() || root.tag_name().name() != "Document" {
        examiner.fault_at("/Document".to_owned(), "is missing");
        return None;
    }
    if root.parent().is_some_and(|document| document.children().any(|node| !node.is_element())) {
        examiner.fault(root, "comments are not expected beside it");
    }
    for attribute in root.attributes() {
        let expected = match (attribute.namespace(), attribute.name()) {
            (None, "id") => "Document",
            (Some(XSI), "noNamespaceSchemaLocation") => schema,
            _ => {
                examiner.fault(root, "has an attribute that is not expected here");
                continue;
            }
        };
        if attribute.value() != expected {
            examiner.fault_at(format!("/Document/@{}", attribute.name()), format!("expected {expected}"));
        }
    }
    if !root.has_attribute("id") {
        examiner.fault_at("/Document/@id".to_owned(), "is missing");
    }
    Some(root)
}

fn prescription_document(examiner: &mut Examiner, xml: &Xml<'_>) -> Option<PrescriptionParts> {
    let root = document(examiner, xml, "EP.xsd")?;
    let found = examiner.children(root, &[(None, "Prescription", Occurs::Once)]);
    let prescription = *found[0].first()?;
    examiner.attribute_names(prescription, &[]);
    prescription_parts(examiner, xml, prescription)
}

fn dispensing_document(examiner: &mut Examiner, xml: &Xml<'_>) -> Option<DispensingParts> {
    let root = document(examiner, xml, "ED.xsd")?;
    let found = examiner.children(
        root,
        &[
            (None, "DispensingManagement", Occurs::Once),
            (None, "Dispensing", Occurs::Once),
            (None, "AdditionalDispensedInformation", Occurs::AtMostOnce),
            (None, "DispensingSign", Occurs::Once),
        ],
    );
    let management = found[0].first().and_then(|node| management(examiner, *node, "EPD1.0", "DispensingId"));
    if let Some(more) = found[2].first() {
        examiner.attributes(*more, &[("id", "AdditionalDispensedInformation")]);
        conversions(examiner, *more, &["CsvLineNo", "DispensingDocumentCode"]);
    }
    let signature = found[3].first().and_then(|node| signature(examiner, *node, "DispensingSign"));
    let dispensing = *found[1].first()?;
    examiner.attributes(dispensing, &[("id", "Dispensing")]);
    let inner = examiner.children(
        dispensing,
        &[(None, "ReferencePrescription", Occurs::Once), (None, "DispensingDocument", Occurs::Once)],
    );
    let prescription = inner[0].first().and_then(|node| {
        examiner.attribute_names(*node, &[]);
        prescription_parts(examiner, xml, *node)
    });
    let payload = inner[1].first().map(|node| {
        examiner.attributes(*node, &[("id", "DispensingDocument")]);
        examiner.base64(*node)
    });
    Some(DispensingParts {
        dispensing_id: management?.0,
        payload: payload?,
        prescription: prescription?,
        dispensing_node: dispensing.id(),
        signature_node: signature?.id(),
    })
}

/// The four parts of a prescription, within `Prescription` or `ReferencePrescription`.
fn prescription_parts(
    examiner: &mut Examiner,
    xml: &Xml<'_>,
    parent: Node<'_, '_>,
) -> Option<PrescriptionParts> {
    let found = examiner.children(
        parent,
        &[
            (None, "PrescriptionManagement", Occurs::Once),
            (None, "PrescriptionDocument", Occurs::Once),
            (None, "AdditionalPrescriptionInformation", Occurs::AtMostOnce),
            (None, "PrescriptionSign", Occurs::Once),
        ],
    );
    let management =
        found[0].first().and_then(|node| management(examiner, *node, "EPS1.0", "PrescriptionId"));
    let payload = found[1].first().map(|node| {
        examiner.attributes(*node, &[("id", "PrescriptionDocument")]);
        examiner.base64(*node)
    });
    let conversions = found[2].first().map(|node| {
        examiner.attributes(*node, &[("id", "AdditionalPrescriptionInformation")]);
        conversions(examiner, *node, &[])
    });
    let signature = found[3].first().and_then(|node| signature(examiner, *node, "PrescriptionSign"));
    let (prescription_id, version) = management?;
    Some(PrescriptionParts {
        prescription_id,
        payload: payload?,
        conversions,
        content: content(xml, parent),
        version,
        document: found[1].first()?.range(),
        sign: found[3].first()?.range(),
        document_node: found[1].first()?.id(),
        signature_node: signature?.id(),
    })
}

/// `…Management`: the version, which is fixed, and the id, which the service gives.
fn management(
    examiner: &mut Examiner,
    element: Node<'_, '_>,
    version: &str,
    id: &'static str,
) -> Option<(Option<Uuid>, Range<usize>)> {
    examiner.attributes(element, &[("id", element.tag_name().name())]);
    let found =
        examiner.children(element, &[(None, "Version", Occurs::Once), (None, id, Occurs::AtMostOnce)]);
    if let Some(node) = found[0].first() {
        examiner.attributes(*node, &[("Value", version)]);
        examiner.children(*node, &[]);
    }
    let id = found[1].first().map(|node| {
        examiner.attribute_names(*node, &["Value"]);
        examiner.children(*node, &[]);
        let id = node
            .attribute("Value")
            .filter(|text| text.len() == 36)
            .and_then(|text| Uuid::try_parse(text).ok());
        if id.is_none() {
            examiner.fault(*node, "expected a UUID of 36 characters");
        }
        id
    });
    Some((id.flatten(), found[0].first()?.range()))
}

/// The lines of `Additional…Information`, one element a drug line.
fn conversions(examiner: &mut Examiner, element: Node<'_, '_>, attributes: &[&str]) -> Vec<Conversion> {
    let found = examiner.children(element, &[(None, "ConversionPharmaceuticalCode", Occurs::Often)]);
    let line = |node: &Node<'_, '_>| {
        examiner.attribute_names(*node, attributes);
        let lines = examiner.children(
            *node,
            &[(None, "ConversionREcode", Occurs::AtMostOnce), (None, "ConversionYJcode", Occurs::AtMostOnce)],
        );
        let mut text = |index: usize| lines[index].first().map(|node| examiner.text(*node));
        Conversion { receipt: text(0), yj: text(1) }
    };
    found[0].iter().map(line).collect()
}

/// The one `ds:Signature` within `PrescriptionSign` or `DispensingSign`, which bears the name of its place.
fn signature<'n, 'a>(examiner: &mut Examiner, sign: Node<'n, 'a>, id: &str) -> Option<Node<'n, 'a>> {
    examiner.attribute_names(sign, &[]);
    let found = examiner.children(sign, &[(Some(XMLDSIG), "Signature", Occurs::Once)]);
    let signature = *found[0].first()?;
    examiner.attributes(signature, &[("Id", id)]);
    if signature.descendants().any(|node| node.is_comment()) {
        examiner.fault(signature, "comments are not expected here");
    }
    Some(signature)
}

/// What stands between an element's tags.
fn content(xml: &Xml<'_>, element: Node<'_, '_>) -> Range<usize> {
    let whole = element.range();
    let start = element.first_child().map_or(whole.end, |child| child.range().start);
    let end = xml.source(element).rfind("</").map_or(whole.end, |at| whole.start + at);
    start..end.max(start)
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
