//! Mandates: who may act for a patient. A mandate is in force while the clock says so and it is not ended; tokens got
//! with it are asked for it at every use ([`super::session`]).

use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use uuid::Uuid;

use super::access::Trace;
use super::bucket::PatientId;
use super::pool::{Store, StoreError};
use crate::prescription::access::AccessAct;
use crate::prescription::mandate::{MandateScope, Relationship};

const TABLE: &str = "mandate";

/// A mandate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mandate {
    /// Names it.
    pub id: Uuid,
    /// Who is represented.
    pub patient: PatientId,
    /// Who acts.
    pub representative: PatientId,
    /// What the one is to the other.
    pub relationship: Relationship,
    /// How far it goes.
    pub scope: MandateScope,
    /// From when.
    pub granted_at: DateTime<Utc>,
    /// Until when.
    pub until: DateTime<Utc>,
}

/// The columns of a [`Mandate`].
pub(super) fn mandate(row: &Row) -> Result<Mandate, StoreError> {
    let id: Uuid = row.get("id");
    let corrupt = |column| StoreError::corrupt(TABLE, column, id);
    Ok(Mandate {
        id,
        patient: row.get("patient_id"),
        representative: row.get("representative_id"),
        relationship: Relationship::parse(row.get("relationship")).ok_or_else(|| corrupt("relationship"))?,
        scope: MandateScope::parse(row.get("scope")).ok_or_else(|| corrupt("scope"))?,
        granted_at: row.get("granted_at"),
        until: row.get("until"),
    })
}

impl Store {
    /// Keeps a mandate with its trace; of the operator's, the evidence.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn mandate_insert(
        &self,
        mandate: &Mandate,
        evidence: Option<&str>,
        trace: &Trace,
    ) -> Result<(), StoreError> {
        const SQL: &str = "-- mandate-insert
            WITH trace AS (
                INSERT INTO access_record (bucket, patient_id, id, at, act, sealed, updated_by)
                VALUES ($1, $3, $10, $7, $12, $11, $12)
            )
            INSERT INTO mandate (bucket, id, patient_id, representative_id, relationship, scope, granted_at, until,
                                 evidence_sealed, updated_by)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'mandate-add')";
        const ACT: AccessAct = AccessAct::MandateAdd;
        let Mandate { id, patient, representative, granted_at, until, .. } = mandate;
        let evidence = evidence
            .map(|evidence| self.seal_json(TABLE, id.as_bytes(), "evidence_sealed", &evidence))
            .transpose()?;
        let sealed = self.seal_trace(trace)?;
        self.one_execute(
            ACT.as_str(),
            SQL,
            &[
                &self.buckets().of_patient(*patient),
                id,
                patient,
                representative,
                &mandate.relationship.as_str(),
                &mandate.scope.as_str(),
                granted_at,
                until,
                &evidence,
                &trace.request,
                &sealed,
                &ACT,
            ],
        )
        .await?;
        Ok(())
    }

    /// The widest mandate by which somebody, under any of the person's records, may act for a patient now.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn mandate_find(
        &self,
        patient: PatientId,
        representative: &[PatientId],
        now: DateTime<Utc>,
    ) -> Result<Option<Mandate>, StoreError> {
        const SQL: &str = "-- mandate-find
            SELECT id, patient_id, representative_id, relationship, scope, granted_at, until FROM mandate
            WHERE bucket = $1 AND patient_id = $2 AND representative_id = ANY ($3) AND granted_at <= $4
              AND until > $4 AND ended_at IS NULL
            ORDER BY scope = 'manage' DESC, until DESC, id LIMIT 1";
        let bucket = self.buckets().of_patient(patient);
        let row = self.one_opt("mandate-find", SQL, &[&bucket, &patient, &representative, &now]).await?;
        row.as_ref().map(mandate).transpose()
    }

    /// The mandates in force that a person, under any of its records, has given or holds.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn mandate_list(
        &self,
        person: &[PatientId],
        now: DateTime<Utc>,
    ) -> Result<Vec<Mandate>, StoreError> {
        const SQL: &str = "-- mandate-list
            SELECT id, patient_id, representative_id, relationship, scope, granted_at, until FROM mandate
            WHERE (bucket = ANY ($1) AND patient_id = ANY ($2) OR representative_id = ANY ($2))
              AND granted_at <= $3 AND until > $3 AND ended_at IS NULL
            ORDER BY granted_at, id";
        let buckets: Vec<_> = person.iter().map(|record| self.buckets().of_patient(*record)).collect();
        let rows = self.one("mandate-list", SQL, &[&buckets, &person, &now]).await?;
        rows.iter().map(mandate).collect()
    }

    /// Ends a mandate that one of these records has given or holds, with its trace in the patient's record. `None`
    /// when there is none in force.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn mandate_end(
        &self,
        id: Uuid,
        person: &[PatientId],
        now: DateTime<Utc>,
        trace: &Trace,
    ) -> Result<Option<Mandate>, StoreError> {
        const SQL: &str = "-- mandate-end
            WITH ended AS (
                UPDATE mandate SET ended_at = $4, updated_at = now(), updated_by = 'mandate-end'
                WHERE (bucket = ANY ($1) AND patient_id = ANY ($2) OR representative_id = ANY ($2))
                  AND id = $3 AND until > $4 AND ended_at IS NULL
                RETURNING *
            ), trace AS (
                INSERT INTO access_record (bucket, patient_id, id, at, act, sealed, updated_by)
                SELECT bucket, patient_id, $5, $4, $7, $6, $7 FROM ended
            )
            SELECT id, patient_id, representative_id, relationship, scope, granted_at, until FROM ended";
        const ACT: AccessAct = AccessAct::MandateEnd;
        let buckets: Vec<_> = person.iter().map(|record| self.buckets().of_patient(*record)).collect();
        let sealed = self.seal_trace(trace)?;
        let row = self
            .one_opt(ACT.as_str(), SQL, &[&buckets, &person, &id, &now, &trace.request, &sealed, &ACT])
            .await?;
        row.as_ref().map(mandate).transpose()
    }
}
