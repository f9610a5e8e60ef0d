//! `hikikae admin whose-data`: how much is kept of a person, without showing any of it.

use anyhow::{anyhow, bail};
use chrono::NaiveDate;
use clap::Args;
use hikikae::clock::{Clock, japanese_date};
use hikikae::prescription::access::AccessAct;
use hikikae::store::access::{Trace, TraceContent};
use hikikae::store::directory::InsuredIdentity;
use hikikae::store::holding::Holding;
use hikikae::store::{PatientId, Store};
use serde_json::{Value, json};

use super::merge::table;
use super::{Common, Report, database_leave};

/// Tell how much is kept of a person, by kind and year, and nothing of what it says
#[derive(Args)]
#[command(after_help = "\
The person is named by insurance data and birth date, or by id. The answer is ids and counts; that it
was asked stands in the person's access record.

Example:
  hikikae admin whose-data --insurer-number 06138762 --symbol １２３ --number ４５６７ --birth-date 1956-04-12")]
pub struct WhoseData {
    /// The person's id, in the place of insurance data
    #[arg(long, value_name = "ID", conflicts_with_all = ["insurer_number", "symbol", "number", "branch_number", "birth_date"])]
    patient: Option<PatientId>,
    /// 保険者番号
    #[arg(long)]
    insurer_number: Option<String>,
    /// 記号
    #[arg(long, default_value = "")]
    symbol: String,
    /// 番号
    #[arg(long)]
    number: Option<String>,
    /// 枝番
    #[arg(long, default_value = "")]
    branch_number: String,
    /// 生年月日, YYYY-MM-DD
    #[arg(long, value_name = "DATE")]
    birth_date: Option<NaiveDate>,
    /// The day the insurance was valid; today when left out
    #[arg(long, value_name = "DATE")]
    on: Option<NaiveDate>,
    /// Why it is asked; the person reads it
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    pub(super) common: Common,
}

impl WhoseData {
    pub(super) async fn run(self) -> anyhow::Result<Report> {
        let (store, cluster) = self.common.database().await?;
        let told = self.tell(&store).await;
        database_leave(store, cluster).await?;
        let records = told?;
        let mut text = Vec::new();
        let mut facts: Vec<Value> = Vec::new();
        for (place, (id, holdings)) in records.iter().enumerate() {
            let kind = if place == 0 { "person" } else { "merged record" };
            text.push(format!("{kind} {id}\n{}", table(holdings)));
            facts.push(json!({ "id": id, "holds": holdings }));
        }
        Ok(Report { text: text.join("\n"), facts: json!({ "records": facts }) })
    }

    /// Every record of the person, the one that stands for all first.
    async fn tell(&self, store: &Store) -> anyhow::Result<Vec<(PatientId, Vec<Holding>)>> {
        let now = Clock::system().now();
        let person = store.person_of(self.person(store).await?).await?;
        let mut records = Vec::new();
        for record in store.person_records(person).await? {
            records.push((record, store.holdings(record).await?));
        }
        if records[0].1.is_empty() {
            bail!("nobody here has this id");
        }
        let content = TraceContent::of_operator(self.reason.clone());
        let trace = Trace { request: store.uuid_draw()?, content };
        let bucket = store.buckets().of_patient(person);
        store.access_record_insert(AccessAct::WhoseData, bucket, person, None, now, &trace).await?;
        Ok(records)
    }

    async fn person(&self, store: &Store) -> anyhow::Result<PatientId> {
        if let Some(patient) = self.patient {
            return Ok(patient);
        }
        let (Some(insurer), Some(number), Some(born)) = (&self.insurer_number, &self.number, self.birth_date)
        else {
            bail!("name the person: --patient, or --insurer-number, --number and --birth-date");
        };
        let identity = InsuredIdentity::parse(insurer, &self.symbol, number, &self.branch_number)
            .map_err(|_| anyhow!("no insurance card bears these data"))?;
        let on = self.on.unwrap_or_else(|| japanese_date(Clock::system().now()));
        let found = store.identity_find(&identity, born, on).await?;
        Ok(found.ok_or_else(|| anyhow!("nobody here was insured so on {on}"))?.patient.id)
    }
}
