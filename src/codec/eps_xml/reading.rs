//! Reading the two envelopes strictly: names, order and attributes are fixed, anything else is a fault, and all
//! faults are told at once.

use std::ops::Range;

use roxmltree::Node;
use uuid::Uuid;

use super::delivered::Conversion;
use super::element::{Examiner, Occurs};
use super::envelope::{DispensingParts, PrescriptionParts, ReferenceParts};
use crate::codec::fault::Fault;
use crate::codec::jose::JosePrescription;
use crate::trust::xades::XMLDSIG;
use crate::trust::xml::{Xml, elements, text_of};

/// The element that holds a prescription delivered as a JWS.
pub(super) const PRESCRIPTION_JWS: &str = "PrescriptionJws";
const XSI: &str = "http://www.w3.org/2001/XMLSchema-instance";

pub(super) fn parse(bytes: &[u8]) -> Result<Xml<'_>, Vec<Fault>> {
    Xml::parse(bytes).map_err(|error| vec![Fault { place: "/".to_owned(), message: error.to_string() }])
}

pub(super) fn finish<T>(examiner: Examiner, parts: Option<T>) -> Result<T, Vec<Fault>> {
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

pub(super) fn prescription_document(examiner: &mut Examiner, xml: &Xml<'_>) -> Option<PrescriptionParts> {
    let root = document(examiner, xml, "EP.xsd")?;
    let found = examiner.children(root, &[(None, "Prescription", Occurs::Once)]);
    let prescription = *found[0].first()?;
    examiner.attribute_names(prescription, &[]);
    prescription_parts(examiner, xml, prescription)
}

pub(super) fn dispensing_document(examiner: &mut Examiner, xml: &Xml<'_>) -> Option<DispensingParts> {
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
        reference_parts(examiner, xml, *node)
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

/// The prescription that is answered: the parts of an EPS XML one, or `PrescriptionJws` alone, whose text is the JWS.
fn reference_parts(examiner: &mut Examiner, xml: &Xml<'_>, parent: Node<'_, '_>) -> Option<ReferenceParts> {
    if elements(parent).all(|child| child.tag_name().name() != PRESCRIPTION_JWS) {
        return prescription_parts(examiner, xml, parent).map(ReferenceParts::Eps);
    }
    let found = examiner.children(parent, &[(None, PRESCRIPTION_JWS, Occurs::Once)]);
    let node = *found[0].first()?;
    examiner.attributes(node, &[("id", PRESCRIPTION_JWS)]);
    if node.children().any(|child| !child.is_text()) {
        examiner.fault(node, "expected text only");
    }
    let jws = text_of(node);
    for fault in JosePrescription::read(jws.as_bytes()).err().into_iter().flatten() {
        examiner.fault(node, format!("{fault}"));
    }
    Some(ReferenceParts::Jws(jws))
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
