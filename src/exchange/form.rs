//! The forms a document comes in, by media type.

use crate::prescription::state::Kind;

/// The form of a prescription or dispensing document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocumentForm {
    /// The envelope of the national service with its XAdES signature.
    EpsXml,
    /// SJ1 or CJ1 by itself, unsigned: of paper and in-house prescriptions.
    Csv,
}

/// Every form.
const FORMS: [DocumentForm; 2] = [DocumentForm::EpsXml, DocumentForm::Csv];

/// The media type of every form.
pub const MEDIA_TYPES: &[&str] = &[DocumentForm::EpsXml.media_type(), DocumentForm::Csv.media_type()];

impl DocumentForm {
    /// The media type it is sent and kept with.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::EpsXml => "application/xml",
            Self::Csv => "text/csv",
        }
    }

    /// The form of a media type, parameters left out.
    pub fn of_media_type(media_type: &str) -> Option<Self> {
        FORMS.into_iter().find(|form| form.media_type().eq_ignore_ascii_case(media_type))
    }

    /// Whether a document of this form bears its author's signature.
    pub fn is_signed(self) -> bool {
        match self {
            Self::EpsXml => true,
            Self::Csv => false,
        }
    }

    /// Whether a prescription of this kind, and what answers it, may come in this form: what was issued
    /// electronically is signed, what was not never is.
    pub fn fits(self, kind: Kind) -> bool {
        self.is_signed() == (kind == Kind::Electronic)
    }
}
