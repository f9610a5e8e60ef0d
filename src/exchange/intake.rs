//! Taking in signed documents: envelope, signature, payload, in this order, so that nothing is read that was not
//! signed. Work for the blocking threads.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::error::ExchangeError;
use super::register::EPS_XML;
use crate::check::{Proposal, SplitPart, proposal};
use crate::codec::eps_xml::{Conversion, EpsDispensing, EpsPrescription, ReferencePrescription};
use crate::codec::fault::{Fault, drug_lines};
use crate::codec::{cj1, sj1};
use crate::formulary::Formulary;
use crate::formulary::shelf::Editions;
use crate::prescription::dispensing::Dispensing;
use crate::prescription::document::Prescription;
use crate::prescription::identifier::InstitutionCode;
use crate::store::document::Document;
use crate::trust::TrustStore;
use crate::trust::verdict::{Verdict, Verified};

/// A prescription that was signed by somebody who may.
#[derive(Debug)]
pub(super) struct SignedPrescription {
    pub(super) prescription: Prescription,
    pub(super) signer: Verified,
    /// The receipt and YJ form of each drug line, for the delivered form.
    pub(super) conversions: Vec<Conversion>,
    /// Where each drug line stands in the payload, for findings: `SJ1[line 12]`.
    pub(super) places: Vec<String>,
}

/// A dispensing result that was signed by somebody who may, over the prescription it embeds.
#[derive(Debug)]
pub(super) struct SignedDispensing {
    pub(super) dispensing: Dispensing,
    /// Which part of a split prescription it answers.
    pub(super) split: Option<SplitPart>,
    pub(super) signer: Verified,
    pub(super) places: Vec<String>,
}

fn refused(place: &str, verdict: &Verdict) -> Result<Verified, ExchangeError> {
    verdict.outcome().map_err(|failure| ExchangeError::Signature { place: place.to_owned(), failure })
}

/// Reads and verifies a clinic's original.
pub(super) fn prescription_read(
    original: &[u8],
    trust: &Arc<TrustStore>,
    editions: &Editions,
    now: DateTime<Utc>,
) -> Result<SignedPrescription, ExchangeError> {
    let envelope = EpsPrescription::read_original(original).map_err(ExchangeError::Document)?;
    let signer = refused("/Document/Prescription/PrescriptionSign", &envelope.verify(trust, now))?;
    let payload = envelope.payload();
    let (prescription, places) = prescription_parse(payload, editions)?;
    let formulary = editions.on(prescription.issued_on);
    let text = text(payload)?;
    let lines = prescription.groups.iter().flat_map(|group| &group.lines);
    let conversions = drug_lines("SJ1", text)
        .zip(lines)
        .map(|((_, text), line)| {
            let product = line.code.as_ref().and_then(|code| formulary.product(code));
            let conversion = Conversion::of_line(
                text,
                product.and_then(|p| Some((p.receipt_code.as_deref()?, p.name.as_str()))),
                product.and_then(|p| Some((p.yj_code.as_deref()?, p.name.as_str()))),
                product.and_then(|p| Some((p.price_code.as_deref()?, p.name.as_str()))),
            );
            conversion.unwrap_or_default()
        })
        .collect();
    Ok(SignedPrescription { prescription, signer, conversions, places })
}

/// Reads a prescription that nobody has signed yet, or whose signature holds, and the places of its drug lines.
pub(super) fn prescription_parse(
    payload: &[u8],
    editions: &Editions,
) -> Result<(Prescription, Vec<String>), ExchangeError> {
    let prescription = sj1::read(payload).map_err(ExchangeError::Document)?.value;
    let faults = usage_faults(&prescription, &editions.on(prescription.issued_on));
    if !faults.is_empty() {
        return Err(ExchangeError::Document(faults));
    }
    let places = drug_lines("SJ1", text(payload)?).map(|(place, _)| place).collect();
    Ok((prescription, places))
}

/// The same of a dispensing result.
pub(super) fn dispensing_parse(payload: &[u8]) -> Result<(Dispensing, Vec<String>), ExchangeError> {
    let dispensing = cj1::read(payload).map_err(ExchangeError::Document)?.value;
    let places = drug_lines("CJ1", text(payload)?).map(|(place, _)| place).collect();
    Ok((dispensing, places))
}

/// Which part of a split prescription (分割) a registered one is.
pub(super) fn split_of(registered: &EpsPrescription) -> Result<Option<SplitPart>, ExchangeError> {
    let prescription = sj1::read(registered.payload())
        .map_err(|_| ExchangeError::Internal("a registered document reads back"))?
        .value;
    Ok(proposal::split_part(&prescription))
}

fn text(payload: &[u8]) -> Result<&str, ExchangeError> {
    std::str::from_utf8(payload).map_err(|_| ExchangeError::Internal("a payload read is UTF-8"))
}

/// Usage codes of the master that need a supplement (用法補足レコード) must have one.
fn usage_faults(prescription: &Prescription, formulary: &Formulary) -> Vec<Fault> {
    prescription
        .groups
        .iter()
        .filter(|group| group.supplements.is_empty())
        .filter(|group| {
            group
                .usage
                .code
                .code()
                .and_then(|code| formulary.usage(code.as_str(), prescription.issued_on))
                .is_some_and(crate::formulary::UsageEntry::supplement_needed)
        })
        .map(|group| Fault {
            place: format!("SJ1[RP {}].181", group.number),
            message: "this usage code needs a usage supplement (record 181)".to_owned(),
        })
        .collect()
}

/// Reads and verifies a pharmacy's dispensing result over the prescription that was delivered. The prescription inside
/// is judged as at its registration: a physician's certificate that has ended since does not undo it.
pub(super) fn dispensing_read(
    original: &[u8],
    delivered: &[u8],
    trust: &Arc<TrustStore>,
    registered_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<SignedDispensing, ExchangeError> {
    let envelope = EpsDispensing::read(original).map_err(ExchangeError::Document)?;
    let signer = refused("/Document/DispensingSign", &envelope.verify(trust, now))?;
    let given = EpsPrescription::read(delivered)
        .map_err(|_| ExchangeError::Internal("a delivered prescription reads back"))?;
    if !envelope.embeds(&given) {
        return Err(ExchangeError::DocumentMismatch(vec![Fault {
            place: "/Document/Dispensing/ReferencePrescription".to_owned(),
            message: "embed the prescription exactly as it was delivered to you".to_owned(),
        }]));
    }
    refused(
        "/Document/Dispensing/ReferencePrescription/PrescriptionSign",
        &envelope.prescription_verify(trust, registered_at),
    )?;
    let (dispensing, places) = dispensing_parse(envelope.payload())?;
    Ok(SignedDispensing { dispensing, split: split_of(&given)?, signer, places })
}

/// The prescription of a document that was taken in before; its signature was verified then.
pub(super) fn prescription_kept(document: &Document) -> Result<Prescription, ExchangeError> {
    of_envelope(document)?;
    let envelope = EpsPrescription::read(&document.bytes).map_err(ExchangeError::Document)?;
    sj1::read(envelope.payload()).map(|read| read.value).map_err(ExchangeError::Document)
}

/// The dispensing result of a document that was taken in before, with the prescription it answers.
pub(super) fn dispensing_kept(document: &Document) -> Result<(Dispensing, Prescription), ExchangeError> {
    of_envelope(document)?;
    let envelope = EpsDispensing::read(&document.bytes).map_err(ExchangeError::Document)?;
    let dispensing = cj1::read(envelope.payload()).map_err(ExchangeError::Document)?.value;
    let ReferencePrescription::Sj1(payload) = envelope.prescription() else { return Err(NOT_RENDERED) };
    let prescription = sj1::read(payload).map_err(ExchangeError::Document)?.value;
    Ok((dispensing, prescription))
}

/// Documents of the other form are not rendered yet.
const NOT_RENDERED: ExchangeError =
    ExchangeError::NotAvailable("this rendering is made of EPS XML documents only");

fn of_envelope(document: &Document) -> Result<(), ExchangeError> {
    if document.media_type == EPS_XML { Ok(()) } else { Err(NOT_RENDERED) }
}

/// Does CPU work off the async threads.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ExchangeError> + Send + 'static,
) -> Result<T, ExchangeError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| ExchangeError::Internal("a worker broke off"))?
}

impl SignedPrescription {
    pub(super) fn proposal(&self) -> Proposal {
        proposal::of_prescription(&self.prescription, &self.places)
    }
}

impl SignedDispensing {
    pub(super) fn proposal(&self, prescribed_by: &InstitutionCode) -> Proposal {
        let proposal = proposal::of_dispensing(&self.dispensing, prescribed_by, &self.places);
        Proposal { split: self.split, ..proposal }
    }
}
