//! Consents and refusals as the patient sees, gives and withdraws them. What they open is read with the identity token
//! ([`super::identity`]).

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::access::Trace;
use super::bucket::PatientId;
use super::pool::{Store, StoreError};
use crate::prescription::access::AccessAct;
use crate::prescription::consent::{Channel, ConsentKind, Provision};
use crate::prescription::identifier::InstitutionCode;

/// A consent or refusal with whom it is for.
#[derive(Clone, Debug)]
pub struct ConsentRow {
    /// What it says.
    pub provision: Provision,
    /// Institution code it is for; `None`, of a refusal only: everybody.
    pub facility: Option<InstitutionCode>,
    /// The facility's name, when it is registered here.
    pub facility_name: Option<String>,
    /// From when.
    pub granted_at: DateTime<Utc>,
}

impl Store {
    /// Whether the patient refuses this facility data of this kind.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn consent_refused(
        &self,
        patient: PatientId,
        facility: &InstitutionCode,
        kind: ConsentKind,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        const SQL: &str = "-- consent-refused
            SELECT FROM consent
            WHERE bucket = $1 AND patient_id = $2 AND (facility IS NULL OR facility = $3) AND kind = $4 AND NOT permit
              AND granted_at <= $5 AND (valid_until IS NULL OR valid_until > $5) AND withdrawn_at IS NULL
            LIMIT 1";
        let bucket = self.buckets().of_patient(patient);
        let (facility, kind) = (facility.as_str(), kind.as_str());
        let found =
            self.one_opt("consent-refused", SQL, &[&bucket, &patient, &facility, &kind, &now]).await?;
        Ok(found.is_some())
    }

    /// Keeps a standing consent or refusal in the place of the one of the same kind for the same facility, with its
    /// trace. `None` when the facility is not registered here.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn consent_put(
        &self,
        patient: PatientId,
        provision: &Provision,
        facility: Option<&InstitutionCode>,
        now: DateTime<Utc>,
        trace: &Trace,
    ) -> Result<Option<ConsentRow>, StoreError> {
        const SQL: &str = "-- consent-put
            WITH place AS (
                SELECT $3::text AS facility, f.name FROM (SELECT) AS one LEFT JOIN facility f ON f.code = $3
                WHERE $3 IS NULL OR f.code IS NOT NULL
            ), former AS (
                UPDATE consent SET withdrawn_at = $7, updated_at = now(), updated_by = 'consent-put'
                FROM place
                WHERE consent.bucket = $1 AND consent.patient_id = $2 AND consent.kind = $5
                  AND consent.facility IS NOT DISTINCT FROM place.facility AND consent.channel = 'patient-app'
                  AND consent.withdrawn_at IS NULL
            ), added AS (
                INSERT INTO consent
                    (bucket, patient_id, id, facility, kind, permit, channel, granted_at, valid_until, updated_by)
                SELECT $1, $2, $4, facility, $5, $6, 'patient-app', $7, $8, 'consent-put' FROM place
            ), trace AS (
                INSERT INTO access_record (bucket, patient_id, id, at, act, sealed, updated_by)
                SELECT $1, $2, $9, $7, $11, $10, $11 FROM place
            )
            SELECT name FROM place";
        const ACT: AccessAct = AccessAct::ConsentPut;
        let bucket = self.buckets().of_patient(patient);
        let sealed = self.seal_trace(trace)?;
        let row = self
            .one_opt(
                ACT.as_str(),
                SQL,
                &[
                    &bucket,
                    &patient,
                    &facility.map(InstitutionCode::as_str),
                    &provision.id,
                    &provision.kind.as_str(),
                    &provision.permit,
                    &now,
                    &provision.until,
                    &trace.request,
                    &sealed,
                    &ACT,
                ],
            )
            .await?;
        Ok(row.map(|row| ConsentRow {
            provision: provision.clone(),
            facility: facility.cloned(),
            facility_name: row.get("name"),
            granted_at: now,
        }))
    }

    /// Withdraws a consent or refusal, wherever it was given, with its trace. `false` when none of this patient's
    /// with this id is in force.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn consent_withdraw(
        &self,
        patient: PatientId,
        id: Uuid,
        now: DateTime<Utc>,
        trace: &Trace,
    ) -> Result<bool, StoreError> {
        const SQL: &str = "-- consent-withdraw
            WITH withdrawn AS (
                UPDATE consent SET withdrawn_at = $4, updated_at = now(), updated_by = 'consent-withdraw'
                WHERE bucket = $1 AND patient_id = $2 AND id = $3 AND withdrawn_at IS NULL
                  AND (valid_until IS NULL OR valid_until > $4)
                RETURNING patient_id
            ), trace AS (
                INSERT INTO access_record (bucket, patient_id, id, at, act, sealed, updated_by)
                SELECT $1, patient_id, $5, $4, $7, $6, $7 FROM withdrawn
            )
            SELECT FROM withdrawn";
        const ACT: AccessAct = AccessAct::ConsentWithdraw;
        let bucket = self.buckets().of_patient(patient);
        let sealed = self.seal_trace(trace)?;
        let params: [&(dyn postgres_types::ToSql + Sync); 7] =
            [&bucket, &patient, &id, &now, &trace.request, &sealed, &ACT];
        Ok(self.one_opt(ACT.as_str(), SQL, &params).await?.is_some())
    }

    /// What is in force, the newest first, with the trace of the look.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn consent_list(
        &self,
        patient: PatientId,
        now: DateTime<Utc>,
        trace: &Trace,
    ) -> Result<Vec<ConsentRow>, StoreError> {
        const SQL: &str = "-- consent-list
            WITH trace AS (
                INSERT INTO access_record (bucket, patient_id, id, at, act, sealed, updated_by)
                VALUES ($1, $2, $4, $3, $6, $5, $6)
            )
            SELECT c.id AS consent_id, c.facility, f.name, c.kind AS consent_kind, c.permit, c.channel, c.granted_at,
                c.valid_until AS consent_until
            FROM consent c LEFT JOIN facility f ON f.code = c.facility
            WHERE c.bucket = $1 AND c.patient_id = $2 AND c.withdrawn_at IS NULL
              AND (c.valid_until IS NULL OR c.valid_until > $3)
            ORDER BY c.granted_at DESC, c.id";
        const ACT: AccessAct = AccessAct::ConsentList;
        let bucket = self.buckets().of_patient(patient);
        let sealed = self.seal_trace(trace)?;
        let rows =
            self.one(ACT.as_str(), SQL, &[&bucket, &patient, &now, &trace.request, &sealed, &ACT]).await?;
        rows.iter().map(consent_row).collect()
    }
}

/// The columns of [`provision`], facility, name and granted_at.
pub(super) fn consent_row(row: &tokio_postgres::Row) -> Result<ConsentRow, StoreError> {
    let facility = row.get::<_, Option<&str>>("facility").map(str::parse).transpose();
    Ok(ConsentRow {
        provision: provision(row)?,
        facility: facility
            .map_err(|_| StoreError::corrupt("consent", "facility", row.get::<_, Uuid>("consent_id")))?,
        facility_name: row.get("name"),
        granted_at: row.get("granted_at"),
    })
}

/// The columns consent_id, consent_kind, permit, channel and consent_until.
pub(super) fn provision(row: &tokio_postgres::Row) -> Result<Provision, StoreError> {
    let id: Uuid = row.get("consent_id");
    let corrupt = |column| StoreError::corrupt("consent", column, id);
    Ok(Provision {
        id,
        kind: ConsentKind::parse(row.get("consent_kind")).ok_or_else(|| corrupt("kind"))?,
        permit: row.get("permit"),
        channel: Channel::parse(row.get("channel")).ok_or_else(|| corrupt("channel"))?,
        until: row.get("consent_until"),
    })
}
