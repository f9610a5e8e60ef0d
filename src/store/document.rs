//! Signed originals, byte for byte (invariant 1).

use chrono::{DateTime, Utc};

use super::access::Trace;
use super::bucket::{PatientId, PrescriptionId};
use super::pool::{Store, StoreError};
use super::seal::SealContext;
use crate::prescription::access::AccessAct;

const TABLE: &str = "document";

/// Which document of a prescription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A version of the prescription, counted from 1.
    Prescription(i16),
    /// A dispensing document, counted from 1.
    Dispensing(i16),
}

/// An original.
#[derive(Clone, Debug)]
pub struct Document {
    /// The media type it came with.
    pub media_type: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// `original!(of "p")`: the join that finds the original in force of the prescription `p`, as `d`.
macro_rules! original {
    (of $of:literal) => {
        concat!(
            " LEFT JOIN LATERAL (
                SELECT media_type, sealed FROM document
                WHERE bucket = ",
            $of,
            ".bucket AND prescription_id = ",
            $of,
            ".id AND part = 'prescription' AND sequence = ",
            $of,
            ".document_version
                LIMIT 1
            ) d ON true"
        )
    };
}
pub(super) use original;

impl Part {
    pub(super) fn columns(self) -> (&'static str, i16) {
        match self {
            Self::Prescription(version) => ("prescription", version),
            Self::Dispensing(sequence) => ("dispensing", sequence),
        }
    }

    fn place(self, prescription: PrescriptionId) -> [u8; 19] {
        let mut place = [0; 19];
        place[..16].copy_from_slice(prescription.as_bytes());
        let (part, sequence) = self.columns();
        place[16] = u8::from(part == "dispensing");
        place[17..].copy_from_slice(&sequence.to_be_bytes());
        place
    }
}

impl Store {
    pub(super) fn seal_document(
        &self,
        prescription: PrescriptionId,
        part: Part,
        bytes: &[u8],
    ) -> Result<Vec<u8>, StoreError> {
        let row = part.place(prescription);
        Ok(self.sealer().seal(&SealContext { table: TABLE, row: &row, column: "sealed" }, bytes)?)
    }

    /// An original, with the trace of the look at it.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn document_read(
        &self,
        act: AccessAct,
        (patient, prescription): (PatientId, PrescriptionId),
        part: Part,
        at: DateTime<Utc>,
        trace: &Trace,
    ) -> Result<Option<Document>, StoreError> {
        const SQL: &str = "-- document-read
            WITH found AS (
                SELECT media_type, sealed FROM document
                WHERE bucket = $1 AND prescription_id = $2 AND part = $3 AND sequence = $4
            ), trace AS (
                INSERT INTO access_record (bucket, patient_id, id, at, act, prescription_id, sealed, updated_by)
                SELECT $1, $5, $6, $7, $8, $2, $9, $8 FROM found
                ON CONFLICT ON CONSTRAINT access_record_pkey DO NOTHING
            )
            SELECT media_type, sealed FROM found";
        let bucket = self.buckets().of_prescription(prescription);
        let (name, sequence) = part.columns();
        let sealed = self.seal_trace(trace)?;
        let row = self
            .one_opt(
                act.as_str(),
                SQL,
                &[&bucket, &prescription, &name, &sequence, &patient, &trace.request, &at, &act, &sealed],
            )
            .await?;
        row.map(|row| self.document_open(prescription, part, row.get("media_type"), row.get("sealed")))
            .transpose()
    }

    /// The original in the columns of its row, which is there when its prescription is.
    pub(super) fn document_open(
        &self,
        prescription: PrescriptionId,
        part: Part,
        media_type: Option<&str>,
        sealed: Option<&[u8]>,
    ) -> Result<Document, StoreError> {
        let (Some(media_type), Some(sealed)) = (media_type, sealed) else {
            return Err(StoreError::corrupt(TABLE, "sealed", prescription));
        };
        let context = SealContext { table: TABLE, row: &part.place(prescription), column: "sealed" };
        Ok(Document { media_type: media_type.to_owned(), bytes: self.sealer().open(&context, sealed)? })
    }
}
