//! `hikikae bench limit`: the server and the bare database, turn by turn.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use hikikae::bench::crew::connected;
use hikikae::bench::drive::{Supplies, Supply, Watched, drive};
use hikikae::bench::limit;
use hikikae::bench::mix::{Act, Mix};
use hikikae::bench::pace::Pace;
use hikikae::bench::population::Population;
use hikikae::bench::tally::rate;
use hikikae::config::Config;
use hikikae::serve::store_open;
use hikikae::store::Store;
use serde::Serialize;

use super::super::admin::database_leave;
use super::super::{Answer, print};
use super::{Aim, Ready, Sandbox};

/// Acts that have a statement of their own to compare with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Limited {
    /// Registrations
    Register,
    /// Checks before signing
    Check,
    /// Acceptances
    Accept,
    /// Dispensings
    Dispense,
}

/// Compare the server with the bare database: the same statements on the same database, in turns
#[derive(Args)]
#[command(after_help = "\
The limit of an act is what PostgreSQL does when it is given nothing but the statement the act cannot
do without (for a check, the reading of the history), by the same code that the server runs, over as
many connections, everything prepared. Server and database take turns, so that whatever
else the machine does meets both; medians are compared.

Each turn needs fresh documents; a turn ends when its time or they end.")]
pub struct Limit {
    #[command(flatten)]
    sandbox: Sandbox,
    #[command(flatten)]
    aim: Aim,
    /// The acts to compare; all when left out
    #[arg(value_enum)]
    acts: Vec<Limited>,
    /// Turns of each
    #[arg(long, value_name = "N", default_value_t = 5)]
    rounds: usize,
    /// Length of a turn at most
    #[arg(long, value_name = "N", default_value_t = 5)]
    seconds: u64,
    /// Acts of a turn at most
    #[arg(long, value_name = "N", default_value_t = 2000)]
    documents: usize,
    /// The server's configuration; that of the sandbox when left out
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// What is told of an act: acts a second.
#[derive(Serialize)]
struct Compared {
    act: Act,
    server: Vec<f64>,
    limit: Vec<f64>,
    server_median: f64,
    limit_median: f64,
    ratio: f64,
}

impl From<Limited> for Act {
    fn from(limited: Limited) -> Self {
        match limited {
            Limited::Register => Self::Register,
            Limited::Check => Self::Check,
            Limited::Accept => Self::Accept,
            Limited::Dispense => Self::Dispense,
        }
    }
}

impl Limit {
    /// Compares and reports.
    ///
    /// # Errors
    ///
    /// What keeps it from being measured.
    pub async fn run(self) -> anyhow::Result<Answer> {
        if self.rounds == 0 {
            bail!("--rounds must be greater than 0");
        }
        let config = self.sandbox.config(self.config.as_deref())?;
        let config = Config { database_connections: self.aim.clients.max(1), ..config };
        let population = Population::open(&self.sandbox.bench())?;
        if population.len() < self.documents as u64 {
            bail!("needs as many patients as --documents; add some with hikikae bench populate");
        }
        let mut ready = Ready::make(&self.sandbox, &self.aim, &config, population).await?;
        let (store, cluster) = store_open(&config).await?;
        let store = store.apart();
        let mut all = Vec::new();
        let acts = if self.acts.is_empty() { Limited::value_variants().to_vec() } else { self.acts.clone() };
        for act in acts {
            all.push(self.compare(&mut ready, &store, act.into()).await);
        }
        ready.bar.finish_and_clear();
        database_leave(store, cluster).await?;
        let all = all.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
        print(if self.json { format!("{}\n", serde_json::to_string_pretty(&all)?) } else { text(&all) })?;
        Ok(Answer::Yes)
    }

    async fn compare(&self, ready: &mut Ready, store: &Store, act: Act) -> anyhow::Result<Compared> {
        let (mut server, mut limit) = (Vec::new(), Vec::new());
        for _ in 0..self.rounds {
            let (rate, document) = self.server(ready, act).await?;
            server.push(rate);
            limit.push(self.limit(ready, store, act, &document).await?);
        }
        let (server_median, limit_median) = (median(&server), median(&limit));
        let ratio = if limit_median > 0.0 { server_median / limit_median } else { 0.0 };
        Ok(Compared { act, server, limit, server_median, limit_median, ratio })
    }

    /// A turn of the server; also a document as large as those it got.
    async fn server(&self, ready: &mut Ready, act: Act) -> anyhow::Result<(f64, Vec<u8>)> {
        let signed = ready.signed(if act == Act::Check { 1 } else { self.documents }).await?;
        let mut document = signed.first().context("nothing signed")?.document.to_vec();
        let stage = &ready.stage;
        let supply = match act {
            Act::Check => Supply::again(stage.checks(self.documents)?),
            Act::Accept => Supply::once(stage.acceptances(&stage.registered(&signed).await?).await?),
            Act::Dispense => {
                let results = stage.dispensings(&stage.registered(&signed).await?).await?;
                document = results.first().context("nothing signed")?.body.to_vec();
                Supply::once(results)
            }
            Act::Register | Act::Identify | Act::Read => {
                Supply::once(signed.iter().map(|signed| stage.register(signed)).collect())
            }
        };
        let supplies = Arc::new(Supplies::from([(act, supply)]));
        let connections = connected(&stage.target, stage.senders).await?;
        let pace = Arc::new(Pace::closed(Duration::from_secs(self.seconds)));
        let mix = Arc::new(Mix::only(act));
        let outcome = drive(connections, supplies, mix, pace, Arc::new(Watched::default())).await?;
        let figures = outcome.tallies.get(&act).context("nothing was answered")?.figures(outcome.took);
        if let Some((code, count)) = figures.refused.first_key_value() {
            bail!("the server refused {count} with {code}");
        }
        Ok((figures.per_second, document))
    }

    /// A turn of the database.
    async fn limit(&self, ready: &Ready, store: &Store, act: Act, document: &[u8]) -> anyhow::Result<f64> {
        let bench = self.sandbox.bench();
        let mut population = Population::open(&bench)?;
        let drawn = population.draw(self.documents)?;
        population.save(&bench)?;
        let (desk, clock) = (Arc::clone(&ready.stage.desk), ready.stage.clock.clone());
        let limit = limit::Limit { store: store.clone(), desk, clock };
        let cases = limit.prepare(act, &drawn, document, ready.stage.senders).await?;
        let length = Duration::from_secs(self.seconds);
        let (tally, took) = limit.run(act, cases, ready.stage.senders, length).await?;
        Ok(rate(tally.done(), took))
    }
}

/// The middle one; of an even number the upper of the two.
fn median(rates: &[f64]) -> f64 {
    let mut sorted = rates.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

fn text(all: &[Compared]) -> String {
    let mut text = format!("{:<10}{:>12}{:>12}{:>8}\n", "a second", "server", "limit", "ratio");
    for compared in all {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{:<10}{:>12.0}{:>12.0}{:>8.2}",
            compared.act.as_str(),
            compared.server_median,
            compared.limit_median,
            compared.ratio
        );
    }
    text
}
