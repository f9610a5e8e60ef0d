//! The forms a document comes in, by media type.

use crate::codec::jose::JOSE;
use crate::prescription::state::Kind;

/// The form of a prescription or dispensing document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocumentForm {
    /// The envelope of the national service with its XAdES signature.
    EpsXml,
    /// A compact JWS of a FHIR document.
    Jose,
    /// SJ1 or CJ1 by itself, unsigned: of paper and in-house prescriptions.
    Csv,
    /// A FHIR document by itself, unsigned: likewise.
    Fhir,
}

/// Every form.
const FORMS: [DocumentForm; 4] =
    [DocumentForm::EpsXml, DocumentForm::Jose, DocumentForm::Csv, DocumentForm::Fhir];

/// The media type of every form.
pub const MEDIA_TYPES: &[&str] = &[
    DocumentForm::EpsXml.media_type(),
    DocumentForm::Jose.media_type(),
    DocumentForm::Csv.media_type(),
    DocumentForm::Fhir.media_type(),
];

/// The media types of unsigned forms.
pub const UNSIGNED_MEDIA_TYPES: &[&str] = &[DocumentForm::Csv.media_type(), DocumentForm::Fhir.media_type()];

/// What is in a document, whoever signed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// SJ1 or CJ1.
    Csv,
    /// A FHIR Bundle.
    Fhir,
}

/// What the exchange itself finds wrong in a document that reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    /// 交付年月日.
    IssueDate,
    /// 処方の保険資格.
    Insured,
    /// リフィル.
    Refill,
    /// 分割指示.
    Split,
    /// 調剤年月日.
    DispensingDate,
    /// 調剤の保険資格.
    DispensedTo,
    /// 処方箋ID.
    PrescriptionId,
    /// 薬局.
    Pharmacy,
    /// 処方医療機関.
    PrescribingInstitution,
}

impl Payload {
    /// Where an item stands: `CJ1.5.1`, or its FHIRPath.
    pub fn place(self, item: Item) -> &'static str {
        match (self, item) {
            (Self::Csv, Item::IssueDate) => "SJ1.51.1",
            (Self::Csv, Item::Insured) => "SJ1.23",
            (Self::Csv, Item::Refill) => "SJ1.64",
            (Self::Csv, Item::Split) => "SJ1.63",
            (Self::Csv, Item::DispensingDate) => "CJ1.5.1",
            (Self::Csv, Item::DispensedTo) => "CJ1.6",
            (Self::Csv, Item::PrescriptionId) => "CJ1.7.1",
            (Self::Csv, Item::Pharmacy) => "CJ1.11",
            (Self::Csv, Item::PrescribingInstitution) => "CJ1.51",
            (Self::Fhir, Item::IssueDate | Item::DispensingDate) => {
                "Bundle.entry[0].resource.event[0].period.start"
            }
            (Self::Fhir, Item::Insured | Item::DispensedTo) => "Bundle.entry.resource.ofType(Coverage)",
            (Self::Fhir, Item::Refill) => {
                "Bundle.entry.resource.ofType(MedicationRequest).dispenseRequest.numberOfRepeatsAllowed"
            }
            (Self::Fhir, Item::Split) => "Bundle.entry[0].resource.category",
            (Self::Fhir, Item::PrescriptionId) => {
                "Bundle.entry.resource.ofType(MedicationDispense).identifier"
            }
            (Self::Fhir, Item::Pharmacy) => "Bundle.entry.resource.ofType(Organization).identifier",
            (Self::Fhir, Item::PrescribingInstitution) => "Bundle.entry[0].resource.extension",
        }
    }
}

impl DocumentForm {
    /// The media type it is sent and kept with.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::EpsXml => "application/xml",
            Self::Jose => JOSE,
            Self::Csv => "text/csv",
            Self::Fhir => "application/fhir+json",
        }
    }

    /// The form of a media type, parameters left out.
    pub fn of_media_type(media_type: &str) -> Option<Self> {
        FORMS.into_iter().find(|form| form.media_type().eq_ignore_ascii_case(media_type))
    }

    /// Whether a document of this form bears its author's signature.
    pub fn is_signed(self) -> bool {
        match self {
            Self::EpsXml | Self::Jose => true,
            Self::Csv | Self::Fhir => false,
        }
    }

    /// What a document of this form holds.
    pub fn payload(self) -> Payload {
        match self {
            Self::EpsXml | Self::Csv => Payload::Csv,
            Self::Jose | Self::Fhir => Payload::Fhir,
        }
    }

    /// Whether a prescription of this kind, and what answers it, may come in this form: what was issued
    /// electronically is signed, what was not never is.
    pub fn fits(self, kind: Kind) -> bool {
        self.is_signed() == (kind == Kind::Electronic)
    }
}
