//! `hikikae admin mandate-add` and `mandate-end`: representatives the operator enters, with evidence.

use anyhow::{anyhow, ensure};
use chrono::{NaiveDate, NaiveTime};
use chrono_tz::Asia::Tokyo;
use clap::Args;
use hikikae::clock::{Clock, japanese_date};
use hikikae::prescription::mandate::{MandateScope, Relationship};
use hikikae::store::access::{Trace, TraceContent};
use hikikae::store::mandate::Mandate;
use hikikae::store::{PatientId, Store};
use serde_json::json;
use uuid::Uuid;

use super::{Common, Report, database_leave};

/// Let a parent, guardian, relative or carer (代理人) act for a patient, on evidence
#[derive(Args)]
#[command(after_help = "\
The representative logs in with the own card and names the patient. Who and on what evidence stands in
the patient's access record. A parent's mandate ends with the child's age: set --until accordingly.

Example:
  hikikae admin mandate-add --patient ID --representative ID --relationship parent --scope manage \\
    --until 2041-03-31 --evidence '戸籍謄本'")]
pub struct MandateAdd {
    /// Who is represented, by the id `whose-data` tells
    #[arg(long, value_name = "ID")]
    patient: PatientId,
    /// Who acts
    #[arg(long, value_name = "ID")]
    representative: PatientId,
    /// parent, guardian, family or carer
    #[arg(long, value_parser = relationship)]
    relationship: Relationship,
    /// read, or manage: also consents, reports and apps
    #[arg(long, value_parser = scope)]
    scope: MandateScope,
    /// Last day, YYYY-MM-DD
    #[arg(long, value_name = "DATE")]
    until: NaiveDate,
    /// What shows that the one may act for the other
    #[arg(long)]
    evidence: String,
    #[command(flatten)]
    pub(super) common: Common,
}

/// End a mandate; tokens got with it end at once
#[derive(Args)]
pub struct MandateEnd {
    /// The mandate
    id: Uuid,
    /// Who is represented
    #[arg(long, value_name = "ID")]
    patient: PatientId,
    /// Why it ends
    #[arg(long)]
    evidence: String,
    #[command(flatten)]
    pub(super) common: Common,
}

fn relationship(text: &str) -> Result<Relationship, &'static str> {
    Relationship::parse(text).ok_or("expected parent, guardian, family or carer")
}

fn scope(text: &str) -> Result<MandateScope, &'static str> {
    MandateScope::parse(text).ok_or("expected read or manage")
}

impl MandateAdd {
    pub(super) async fn run(self) -> anyhow::Result<Report> {
        ensure!(!self.evidence.trim().is_empty(), "the evidence is kept with the mandate: say what it is");
        let (store, cluster) = self.common.database().await?;
        let added = self.add(&store).await;
        database_leave(store, cluster).await?;
        let Mandate { id, patient, representative, until, .. } = added?;
        Ok(Report {
            text: format!(
                "mandate {id}: {representative} may act for {patient} until the end of {}",
                self.until
            ),
            facts: json!({ "id": id, "patient": patient, "representative": representative, "until": until }),
        })
    }

    async fn add(&self, store: &Store) -> anyhow::Result<Mandate> {
        let now = Clock::system().now();
        let end = self.until.succ_opt().unwrap_or(self.until).and_time(NaiveTime::MIN);
        let until = end.and_local_timezone(Tokyo).single().ok_or_else(|| anyhow!("--until is no day"))?;
        ensure!(until > now, "--until has passed");
        let patient = store.person_of(self.patient).await?;
        let representative = store.person_of(self.representative).await?;
        ensure!(patient != representative, "nobody represents themselves");
        let today = japanese_date(now);
        let mut names = Vec::new();
        for person in [patient, representative] {
            let entry = store.patient_find(person, today).await?;
            let living = entry.filter(|entry| entry.patient.particulars.deceased_on.is_none());
            let living = living.ok_or_else(|| anyhow!("nobody living here has the id {person}"))?;
            names.push(living.patient.particulars.name);
        }
        let mandate = Mandate {
            id: store.uuid_draw()?,
            patient,
            representative,
            relationship: self.relationship,
            scope: self.scope,
            granted_at: now,
            until: until.to_utc(),
        };
        let mut content = TraceContent::of_operator(Some(self.evidence.clone()));
        (content.representative, content.mandate) = (names.pop(), Some(mandate.id));
        let trace = Trace { request: store.uuid_draw()?, content };
        store.mandate_insert(&mandate, Some(&self.evidence), &trace).await?;
        Ok(mandate)
    }
}

impl MandateEnd {
    pub(super) async fn run(self) -> anyhow::Result<Report> {
        ensure!(!self.evidence.trim().is_empty(), "the patient reads why: say it");
        let (store, cluster) = self.common.database().await?;
        let ended = self.end(&store).await;
        database_leave(store, cluster).await?;
        let mandate = ended?.ok_or_else(|| anyhow!("no such mandate of this patient is in force"))?;
        Ok(Report { text: format!("mandate {} is ended", mandate.id), facts: json!({ "id": mandate.id }) })
    }

    async fn end(&self, store: &Store) -> anyhow::Result<Option<Mandate>> {
        let now = Clock::system().now();
        let records = store.person_records(store.person_of(self.patient).await?).await?;
        let held = store.mandate_list(&records, now).await?.into_iter().find(|held| held.id == self.id);
        let Some(held) = held else { return Ok(None) };
        let holder = store.patient_find(held.representative, japanese_date(now)).await?;
        let mut content = TraceContent::of_operator(Some(self.evidence.clone()));
        content.representative = holder.map(|entry| entry.patient.particulars.name);
        content.mandate = Some(held.id);
        let trace = Trace { request: store.uuid_draw()?, content };
        Ok(store.mandate_end(self.id, &records, now, &trace).await?)
    }
}
