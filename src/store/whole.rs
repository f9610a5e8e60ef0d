//! What is kept of a person beside documents, reports and the access record: every insurance, card, decision and
//! finding, also what has ended. For the person alone; leaves no trace of its own, and decides nothing.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::app::{self, Grant};
use super::bucket::{Bucket, PatientId};
use super::consent::{ConsentRow, consent_row};
use super::directory::Coverage;
use super::finding::FindingRow;
use super::mandate::{self, Mandate};
use super::pool::{Store, StoreError, column};
use crate::prescription::access::AccessAct;
use crate::prescription::identifier::InstitutionCode;

const ACT: &str = AccessAct::Export.as_str();

/// What is kept. Of a decision that has ended, the end is when it did.
#[derive(Debug)]
pub struct Whole {
    /// Every insurance (被保険者資格) there ever was, the first first.
    pub insurances: Vec<Coverage>,
    /// Since when each card (マイナンバーカード) leads to the person.
    pub cards: Vec<DateTime<Utc>>,
    /// Consents and refusals, with the record each was given to.
    pub consents: Vec<(PatientId, ConsentRow)>,
    /// Mandates given and held.
    pub mandates: Vec<Mandate>,
    /// Apps that were let read.
    pub grants: Vec<Grant>,
    /// Merges of records (名寄せ).
    pub merges: Vec<MergeNote>,
    /// Findings of the checker, shown to whomever.
    pub findings: Vec<KeptFinding>,
}

/// A merge of two records. Why it was made, and undone, stands in the access record.
#[derive(Clone, Debug)]
pub struct MergeNote {
    /// The record whose place the other took.
    pub merged: PatientId,
    /// When.
    pub merged_at: DateTime<Utc>,
    /// When it was undone: the record is another person's.
    pub undone_at: Option<DateTime<Utc>>,
}

/// A finding as it is kept.
#[derive(Clone, Debug)]
pub struct KeptFinding {
    /// What was found, and the reason for going on.
    pub row: FindingRow,
    /// To whom it was shown.
    pub facility: InstitutionCode,
    /// The prescription that was registered or dispensed in spite of it.
    pub prescription: Option<Uuid>,
    /// When it was first shown.
    pub found_at: DateTime<Utc>,
}

const COVERAGES: &str = "-- coverage-list
    SELECT patient_id, identity_hash, valid_from AS covered_from, valid_until AS covered_until, content_sealed
    FROM coverage
    WHERE bucket = ANY ($1) AND patient_id = ANY ($2) ORDER BY valid_from, identity_hash";

const CARDS: &str = "-- card-list
    SELECT created_at FROM card WHERE $1::smallint[] IS NOT NULL AND patient_id = ANY ($2) ORDER BY created_at";

const CONSENTS: &str = "-- consent-list-all
    SELECT c.patient_id, c.id AS consent_id, c.facility, f.name, c.kind AS consent_kind, c.permit, c.channel, c.granted_at,
           least(c.valid_until, c.withdrawn_at) AS consent_until
    FROM consent c LEFT JOIN facility f ON f.code = c.facility
    WHERE c.bucket = ANY ($1) AND c.patient_id = ANY ($2) ORDER BY c.granted_at, c.id";

const MANDATES: &str = "-- mandate-list-all
    SELECT id, patient_id, representative_id, relationship, scope, granted_at, least(until, ended_at) AS until
    FROM mandate
    WHERE bucket = ANY ($1) AND patient_id = ANY ($2) OR representative_id = ANY ($2) ORDER BY granted_at, id";

const GRANTS: &str = "-- app-grant-list-all
    SELECT g.id, g.patient_id, g.client_id, a.name, g.scope, g.granted_at, least(g.until, g.revoked_at) AS until
    FROM app_grant g JOIN app a ON a.client_id = g.client_id
    WHERE g.bucket = ANY ($1) AND g.patient_id = ANY ($2) ORDER BY g.granted_at, g.id";

const MERGES: &str = "-- patient-merge-list
    SELECT merged_id, merged_at, undone_at FROM patient_merge
    WHERE bucket = ANY ($1) AND patient_id = ANY ($2) OR merged_id = ANY ($2) ORDER BY merged_at, merged_id";

const FINDINGS: &str = "-- finding-list-all
    SELECT id, patient_id, sealed, mitigation, facility, prescription_id, found_at FROM finding
    WHERE bucket = ANY ($1) AND patient_id = ANY ($2) ORDER BY found_at, id, facility";

impl Store {
    /// What is kept of a person under all of its records.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn whole_read(&self, records: &[PatientId]) -> Result<Whole, StoreError> {
        let buckets: Vec<Bucket> = records.iter().map(|record| self.buckets().of_patient(*record)).collect();
        let all = async |sql| self.one(ACT, sql, &[&buckets, &records]).await;
        let mut insurances = Vec::new();
        for row in all(COVERAGES).await? {
            insurances.extend(self.coverage_open(column(&row, "coverage", "patient_id")?, &row)?);
        }
        let consent = |row| Ok((column(row, "consent", "patient_id")?, consent_row(row)?));
        let merge = |row| {
            let table = "patient_merge";
            Ok(MergeNote {
                merged: column(row, table, "merged_id")?,
                merged_at: column(row, table, "merged_at")?,
                undone_at: column(row, table, "undone_at")?,
            })
        };
        let finding = |row| {
            let (table, found) = ("finding", self.finding_read(row)?);
            let facility: String = column(row, table, "facility")?;
            Ok(KeptFinding {
                facility: facility.parse().map_err(|_| StoreError::corrupt(table, "facility", found.id))?,
                prescription: column(row, table, "prescription_id")?,
                found_at: column(row, table, "found_at")?,
                row: found,
            })
        };
        Ok(Whole {
            insurances,
            cards: all(CARDS)
                .await?
                .iter()
                .map(|row| column(row, "card", "created_at"))
                .collect::<Result<_, _>>()?,
            consents: all(CONSENTS).await?.iter().map(consent).collect::<Result<_, StoreError>>()?,
            mandates: all(MANDATES).await?.iter().map(mandate::mandate).collect::<Result<_, _>>()?,
            grants: all(GRANTS).await?.iter().map(app::grant).collect(),
            merges: all(MERGES).await?.iter().map(merge).collect::<Result<_, StoreError>>()?,
            findings: all(FINDINGS).await?.iter().map(finding).collect::<Result<_, StoreError>>()?,
        })
    }
}
