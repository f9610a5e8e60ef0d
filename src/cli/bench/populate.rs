//! `hikikae bench populate`: people with a past.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, bail};
use clap::Args;
use hikikae::bench::drug::Drugs;
use hikikae::bench::population::Population;
use hikikae::bench::tally::rate;
use hikikae::clock::{Clock, japanese_date};
use hikikae::serve::store_open;
use serde_json::json;

use super::super::admin::database_leave;
use super::super::{Answer, print};
use super::{Sandbox, bar, formulary_today};

/// Add synthetic patients with a medication history to the database of a sandbox
#[derive(Args)]
#[command(after_help = "\
Every patient takes one to six medicines, drawn as often as FILE says, prescribed and dispensed every
two to eight weeks up to today; each visit is a prescription and two rows of medication history,
sealed as the server seals them. The signed originals of the past are not among them.

FILE is CSV with a header: receipt_code and either weight or columns qty_…, which are added up.
Later runs add further patients, by the same FILE.

Example:
  hikikae bench populate --patients 1000000 --rows 10000000")]
pub struct Populate {
    #[command(flatten)]
    sandbox: Sandbox,
    /// Patients to add
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    patients: u64,
    /// Rows of medication history to add, rounded up to whole visits
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    rows: u64,
    /// How often which medicine is prescribed; our own rough weights when left out
    #[arg(long, value_name = "FILE")]
    frequencies: Option<PathBuf>,
    /// The server's configuration; that of the sandbox when left out
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

impl Populate {
    /// Writes the cohort, then keeps who is in it.
    ///
    /// # Errors
    ///
    /// What kept it from being written.
    pub async fn run(self) -> anyhow::Result<Answer> {
        if self.patients == 0 {
            bail!("--patients must be greater than 0");
        }
        let mut population = Population::open(&self.sandbox.bench())?;
        let frequencies =
            self.frequencies.as_deref().map(fs::canonicalize).transpose().context("--frequencies")?;
        if !population.is_empty() && population.frequencies != frequencies {
            bail!("the patients that are there were drawn by another --frequencies");
        }
        let config = self.sandbox.config(self.config.as_deref())?;
        let drugs = Arc::new(Drugs::load(&*formulary_today(&config)?, frequencies.as_deref())?);
        population.frequencies = frequencies;
        let today = japanese_date(Clock::system().now());
        let cohort = population.cohort(self.patients, self.rows.div_ceil(2), today);
        let (store, cluster) = store_open(&config).await?;
        let shown = bar("{wide_bar} {human_pos}/{human_len} rows, {per_sec}, {eta} left")?;
        shown.set_length(2 * cohort.visits);
        let (began, counted) = (Instant::now(), shown.clone());
        let written = cohort.write(&store, &drugs, Arc::new(move |rows| counted.inc(rows))).await;
        shown.finish_and_clear();
        let took = began.elapsed();
        database_leave(store, cluster).await?;
        let rows = written?;
        let patients = cohort.persons;
        population.cohorts.push(cohort);
        population.save(&self.sandbox.bench())?;
        let seconds = took.as_secs_f64();
        let facts = json!({ "patients": patients, "rows": rows, "seconds": seconds });
        let text = format!(
            "{patients} patients with {rows} rows of medication history in {seconds:.1} s, {:.0} rows a second",
            rate(rows, took)
        );
        print(if self.json { format!("{facts:#}\n") } else { format!("{text}\n") })?;
        Ok(Answer::Yes)
    }
}
