//! Taking in documents: envelope, signature, payload, in this order, so that nothing is read that was not signed.
//! One arm for each form a document comes in.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::error::ExchangeError;
use super::form::{DocumentForm, Payload};
use crate::check::{Proposal, SplitPart, proposal};
use crate::codec::eps_xml::{Conversion, EpsDispensing, EpsPrescription, ReferencePrescription};
use crate::codec::fault::{Fault, drug_lines};
use crate::codec::jose::{JoseDispensing, JosePrescription};
use crate::codec::{cj1, fhir, sj1};
use crate::formulary::Formulary;
use crate::formulary::shelf::Editions;
use crate::prescription::dispensing::Dispensing;
use crate::prescription::document::Prescription;
use crate::prescription::identifier::InstitutionCode;
use crate::prescription::registered::Registered;
use crate::prescription::state::{DUE_WINDOW, Terms};
use crate::store::document::Document;
use crate::trust::TrustStore;
use crate::trust::verdict::{Verdict, Verified};

/// A prescription that was signed by somebody who may, or one of a kind that nobody signs.
#[derive(Debug)]
pub(super) struct PrescriptionTaken {
    pub(super) prescription: Prescription,
    /// Who signed it; of paper and in-house prescriptions nobody.
    pub(super) signer: Option<Verified>,
    /// The receipt and YJ form of each drug line, for the delivered form.
    pub(super) conversions: Vec<Conversion>,
    /// Where each drug line stands in the payload, for findings: `SJ1[line 12]`.
    pub(super) places: Vec<String>,
}

/// A dispensing result that was signed by somebody who may, over the prescription it embeds; or an unsigned one that
/// answers a paper prescription.
#[derive(Debug)]
pub(super) struct DispensingTaken {
    pub(super) dispensing: Dispensing,
    /// Which part of a split prescription it answers.
    pub(super) split: Option<SplitPart>,
    pub(super) signer: Option<Verified>,
    pub(super) places: Vec<String>,
}

/// A registered prescription as it was sent, with what its delivered form needs.
#[derive(Debug)]
pub(super) struct Original {
    form: DocumentForm,
    bytes: Vec<u8>,
    id: Uuid,
    conversions: Vec<Conversion>,
    taken_at: DateTime<Utc>,
}

impl Original {
    /// The document of a prescription as `task` names it.
    pub(super) fn of(
        task: &Registered,
        conversions: Vec<Conversion>,
        document: Document,
    ) -> Result<Self, ExchangeError> {
        let form = kept_form(&document)?;
        Ok(Self { form, bytes: document.bytes, id: task.id, conversions, taken_at: task.document.at })
    }

    /// Its envelope, opened once for all that is asked of it.
    pub(super) fn open(&self) -> Result<Opened<'_>, ExchangeError> {
        let envelope = match self.form {
            DocumentForm::EpsXml => {
                Envelope::EpsXml(EpsPrescription::read_original(&self.bytes).map_err(|_| READS_BACK)?)
            }
            DocumentForm::Jose => {
                Envelope::Jose(JosePrescription::read(&self.bytes).map_err(|_| READS_BACK)?)
            }
            DocumentForm::Csv | DocumentForm::Fhir => Envelope::None,
        };
        Ok(Opened { original: self, envelope })
    }
}

/// An original with its envelope open.
pub(super) struct Opened<'o> {
    original: &'o Original,
    envelope: Envelope<'o>,
}

enum Envelope<'o> {
    EpsXml(EpsPrescription<'o>),
    Jose(JosePrescription<'o>),
    /// Nobody signed it.
    None,
}

impl Opened<'_> {
    /// The form a pharmacy gets: the clinic's bytes, in the envelope with the service's additions.
    pub(super) fn delivered(&self) -> Result<Vec<u8>, ExchangeError> {
        let Original { id, conversions, bytes, .. } = self.original;
        match &self.envelope {
            Envelope::EpsXml(envelope) => envelope
                .delivered(*id, conversions)
                .map_err(|_| ExchangeError::Internal("a registered document is delivered")),
            Envelope::Jose(_) | Envelope::None => Ok(bytes.clone()),
        }
    }

    /// The clinic's signature, judged as when it was taken in: a certificate that has ended since does not undo the
    /// prescription. `None` when there is none.
    pub(super) fn verify(&self, trust: &TrustStore) -> Option<Verdict> {
        let at = self.original.taken_at;
        match &self.envelope {
            Envelope::EpsXml(envelope) => Some(envelope.verify(trust, at)),
            Envelope::Jose(envelope) => Some(envelope.verify(trust, at)),
            Envelope::None => None,
        }
    }

    /// Which part of a split prescription (分割) it is.
    pub(super) fn split(&self) -> Result<Option<SplitPart>, ExchangeError> {
        let prescription = match &self.envelope {
            Envelope::EpsXml(envelope) => payload_read(Payload::Csv, envelope.payload()),
            Envelope::Jose(envelope) => payload_read(Payload::Fhir, envelope.payload()),
            Envelope::None => payload_read(self.original.form.payload(), &self.original.bytes),
        };
        let (prescription, _) = prescription.map_err(|_| READS_BACK)?;
        Ok(proposal::split_part(&prescription))
    }
}

const READS_BACK: ExchangeError = ExchangeError::Internal("a registered document reads back");

fn refused(place: &str, verdict: &Verdict) -> Result<Verified, ExchangeError> {
    verdict.outcome().map_err(|failure| ExchangeError::Signature { place: place.to_owned(), failure })
}

/// Reads and verifies a clinic's original.
pub(super) fn prescription_read(
    form: DocumentForm,
    original: &[u8],
    trust: &Arc<TrustStore>,
    editions: &Editions,
    now: DateTime<Utc>,
) -> Result<PrescriptionTaken, ExchangeError> {
    match form {
        DocumentForm::EpsXml => {
            let envelope = EpsPrescription::read_original(original).map_err(ExchangeError::Document)?;
            let verdict = envelope.verify(trust, now);
            let signer = Some(refused("/Document/Prescription/PrescriptionSign", &verdict)?);
            let (prescription, places) = prescription_parse(Payload::Csv, envelope.payload(), editions)?;
            let conversions = conversions(envelope.payload(), &prescription, editions)?;
            Ok(PrescriptionTaken { prescription, signer, conversions, places })
        }
        DocumentForm::Jose => {
            let envelope = JosePrescription::read(original).map_err(ExchangeError::Document)?;
            let signer = Some(refused("JWS", &envelope.verify(trust, now))?);
            let (prescription, places) = prescription_parse(Payload::Fhir, envelope.payload(), editions)?;
            Ok(PrescriptionTaken { prescription, signer, conversions: Vec::new(), places })
        }
        DocumentForm::Csv | DocumentForm::Fhir => {
            let (prescription, places) = prescription_parse(form.payload(), original, editions)?;
            Ok(PrescriptionTaken { prescription, signer: None, conversions: Vec::new(), places })
        }
    }
}

/// The receipt and YJ form of each drug line of an SJ1 payload.
fn conversions(
    payload: &[u8],
    prescription: &Prescription,
    editions: &Editions,
) -> Result<Vec<Conversion>, ExchangeError> {
    let formulary = editions.on(prescription.issued_on);
    let lines = prescription.groups.iter().flat_map(|group| &group.lines);
    let conversions = drug_lines("SJ1", text(payload)?).zip(lines).map(|((_, text), line)| {
        let product = line.code.as_ref().and_then(|code| formulary.product(code));
        let conversion = Conversion::of_line(
            text,
            product.and_then(|p| Some((p.receipt_code.as_deref()?, p.name.as_str()))),
            product.and_then(|p| Some((p.yj_code.as_deref()?, p.name.as_str()))),
            product.and_then(|p| Some((p.price_code.as_deref()?, p.name.as_str()))),
        );
        conversion.unwrap_or_default()
    });
    Ok(conversions.collect())
}

/// Reads a prescription that nobody has signed yet, or whose signature holds, and the places of its drug lines.
pub(super) fn prescription_parse(
    of: Payload,
    payload: &[u8],
    editions: &Editions,
) -> Result<(Prescription, Vec<String>), ExchangeError> {
    let (prescription, places) = payload_read(of, payload)?;
    let faults = usage_faults(of, &prescription, &places, &editions.on(prescription.issued_on));
    if faults.is_empty() { Ok((prescription, places)) } else { Err(ExchangeError::Document(faults)) }
}

fn payload_read(of: Payload, payload: &[u8]) -> Result<(Prescription, Vec<String>), ExchangeError> {
    match of {
        Payload::Csv => {
            let prescription = sj1::read(payload).map_err(ExchangeError::Document)?.value;
            let places = drug_lines("SJ1", text(payload)?).map(|(place, _)| place).collect();
            Ok((prescription, places))
        }
        Payload::Fhir => {
            let read = fhir::prescription::read(payload).map_err(ExchangeError::Document)?;
            Ok((read.value, read.lines))
        }
    }
}

/// The same of a dispensing result.
pub(super) fn dispensing_parse(
    of: Payload,
    payload: &[u8],
) -> Result<(Dispensing, Vec<String>), ExchangeError> {
    match of {
        Payload::Csv => {
            let dispensing = cj1::read(payload).map_err(ExchangeError::Document)?.value;
            let places = drug_lines("CJ1", text(payload)?).map(|(place, _)| place).collect();
            Ok((dispensing, places))
        }
        Payload::Fhir => {
            let read = fhir::dispensing::read(payload).map_err(ExchangeError::Document)?;
            Ok((read.dispensing, read.places))
        }
    }
}

fn text(payload: &[u8]) -> Result<&str, ExchangeError> {
    std::str::from_utf8(payload).map_err(|_| ExchangeError::Internal("a payload read is UTF-8"))
}

/// Usage codes of the master that need a supplement (用法補足レコード) must have one.
fn usage_faults(
    of: Payload,
    prescription: &Prescription,
    places: &[String],
    formulary: &Formulary,
) -> Vec<Fault> {
    let mut first_line = 0;
    let mut faults = Vec::new();
    for group in &prescription.groups {
        let line = places.get(first_line);
        first_line += group.lines.len();
        let entry =
            group.usage.code.code().and_then(|code| formulary.usage(code.as_str(), prescription.issued_on));
        if !group.supplements.is_empty()
            || !entry.is_some_and(crate::formulary::UsageEntry::supplement_needed)
        {
            continue;
        }
        let (place, where_to) = match (of, line) {
            (Payload::Fhir, Some(line)) => (format!("{line}.dosageInstruction[0]"), "additionalInstruction"),
            _ => (format!("SJ1[RP {}].181", group.number), "record 181"),
        };
        faults
            .push(Fault { place, message: format!("this usage code needs a usage supplement ({where_to})") });
    }
    faults
}

/// Reads and verifies a pharmacy's dispensing result over the prescription that was delivered. The prescription inside
/// is judged as when it was taken in.
pub(super) fn dispensing_read(
    form: DocumentForm,
    document: &[u8],
    original: &Original,
    trust: &Arc<TrustStore>,
    now: DateTime<Utc>,
) -> Result<DispensingTaken, ExchangeError> {
    let mismatch = |place: &str, message: &str| {
        let fault = Fault { place: place.to_owned(), message: message.to_owned() };
        Err(ExchangeError::DocumentMismatch(vec![fault]))
    };
    let opened = original.open()?;
    let (split, given) = (opened.split()?, opened.delivered()?);
    let other = "embed the prescription exactly as it was delivered to you";
    match (form.is_signed(), original.form.is_signed()) {
        (true, false) => {
            return mismatch(
                "Content-Type",
                "this prescription is on paper and bears no signature to embed; send the result unsigned",
            );
        }
        (false, true) => {
            return mismatch(
                "Content-Type",
                "a signed prescription is answered by a signed dispensing document",
            );
        }
        (true, true) | (false, false) => {}
    }
    match form {
        DocumentForm::EpsXml => {
            let envelope = EpsDispensing::read(document).map_err(ExchangeError::Document)?;
            let signer = Some(refused("/Document/DispensingSign", &envelope.verify(trust, now))?);
            let embeds = match envelope.prescription() {
                ReferencePrescription::Jws(jws) => {
                    original.form == DocumentForm::Jose && jws.as_bytes() == given
                }
                ReferencePrescription::Sj1(_) => {
                    original.form == DocumentForm::EpsXml
                        && envelope.embeds(&EpsPrescription::read(&given).map_err(|_| READS_BACK)?)
                }
            };
            if !embeds {
                return mismatch("/Document/Dispensing/ReferencePrescription", other);
            }
            refused(
                "/Document/Dispensing/ReferencePrescription",
                &envelope.prescription_verify(trust, original.taken_at),
            )?;
            let (dispensing, places) = dispensing_parse(Payload::Csv, envelope.payload())?;
            Ok(DispensingTaken { dispensing, split, signer, places })
        }
        DocumentForm::Jose => {
            let envelope = JoseDispensing::read(document).map_err(ExchangeError::Document)?;
            let signer = Some(refused("JWS", &envelope.verify(trust, now))?);
            let document = envelope.document().map_err(ExchangeError::Document)?;
            let embedded = document.prescription;
            let place = embedded.as_ref().map_or("Bundle", |embedded| embedded.place.as_str());
            if !embedded.as_ref().is_some_and(|embedded| {
                embedded.media_type == original.form.media_type() && embedded.bytes == given
            }) {
                return mismatch(place, other);
            }
            if let Some(verdict) = opened.verify(trust) {
                refused(place, &verdict)?;
            }
            Ok(DispensingTaken { dispensing: document.dispensing, split, signer, places: document.places })
        }
        DocumentForm::Csv | DocumentForm::Fhir => {
            let (dispensing, places) = dispensing_parse(form.payload(), document)?;
            Ok(DispensingTaken { dispensing, split, signer: None, places })
        }
    }
}

/// The prescription of a document that was taken in before; a signature was verified then.
pub(super) fn prescription_kept(document: &Document) -> Result<Prescription, ExchangeError> {
    let bytes = &document.bytes;
    let (prescription, _) = match kept_form(document)? {
        DocumentForm::EpsXml => {
            let envelope = EpsPrescription::read(bytes).map_err(ExchangeError::Document)?;
            payload_read(Payload::Csv, envelope.payload())
        }
        DocumentForm::Jose => {
            let envelope = JosePrescription::read(bytes).map_err(ExchangeError::Document)?;
            payload_read(Payload::Fhir, envelope.payload())
        }
        form @ (DocumentForm::Csv | DocumentForm::Fhir) => payload_read(form.payload(), bytes),
    }?;
    Ok(prescription)
}

/// The dispensing result of a document that was taken in before.
pub(super) fn dispensing_kept(document: &Document) -> Result<Dispensing, ExchangeError> {
    let bytes = &document.bytes;
    match kept_form(document)? {
        DocumentForm::EpsXml => {
            let envelope = EpsDispensing::read(bytes).map_err(ExchangeError::Document)?;
            Ok(dispensing_parse(Payload::Csv, envelope.payload())?.0)
        }
        DocumentForm::Jose => {
            let envelope = JoseDispensing::read(bytes).map_err(ExchangeError::Document)?;
            Ok(envelope.document().map_err(ExchangeError::Document)?.dispensing)
        }
        form @ (DocumentForm::Csv | DocumentForm::Fhir) => Ok(dispensing_parse(form.payload(), bytes)?.0),
    }
}

fn kept_form(document: &Document) -> Result<DocumentForm, ExchangeError> {
    DocumentForm::of_media_type(&document.media_type)
        .ok_or(ExchangeError::Internal("a registered document has a form"))
}

/// Documents up to here are worked on where they are: a fraction of a millisecond, which is less than it costs to hand
/// them over and wait for them.
const SHORT: usize = 64 * 1024;

/// Does the CPU work on a document of `size` bytes, off the async threads when it may take long.
pub(super) async fn worked<T: Send + 'static>(
    size: usize,
    work: impl FnOnce() -> Result<T, ExchangeError> + Send + 'static,
) -> Result<T, ExchangeError> {
    if size <= SHORT { work() } else { blocking(work).await }
}

/// Does CPU work off the async threads.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ExchangeError> + Send + 'static,
) -> Result<T, ExchangeError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| ExchangeError::Internal("a worker broke off"))?
}

impl PrescriptionTaken {
    pub(super) fn proposal(&self) -> Proposal {
        proposal::of_prescription(&self.prescription, &self.places)
    }
}

/// What a prescription allows. A later part of a split one (分割) falls due when the parts before it have run out, and
/// without a use period of its own may be accepted for as long after as before that day; a stated use period that ends
/// before means that it is to be used now.
pub(super) fn terms(prescription: &Prescription) -> Terms {
    let proposal = proposal::of_prescription(prescription, &[]);
    let stated = prescription.usable_until;
    let first_due = proposal
        .lines
        .iter()
        .map(|line| line.start)
        .min()
        .filter(|day| prescription.split.is_some() && *day > prescription.issued_on)
        .filter(|day| stated.is_none_or(|end| end >= *day - DUE_WINDOW));
    let valid_until = match (stated, first_due) {
        (None, Some(due)) => due + DUE_WINDOW,
        _ => prescription.valid_until(),
    };
    Terms { valid_until, first_due, uses_allowed: prescription.uses_allowed() }
}

impl DispensingTaken {
    pub(super) fn proposal(&self, prescribed_by: &InstitutionCode) -> Proposal {
        let proposal = proposal::of_dispensing(&self.dispensing, prescribed_by, &self.places);
        Proposal { split: self.split, ..proposal }
    }
}
