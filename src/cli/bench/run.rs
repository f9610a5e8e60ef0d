//! One scenario against a running server: prepare, drive, report.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use hikikae::bench::BenchError;
use hikikae::bench::crew::connected;
use hikikae::bench::drive::{Outcome, Supplies, Supply, Watched, drive};
use hikikae::bench::journey::journeys;
use hikikae::bench::mix::{Act, Mix, NATIONAL};
use hikikae::bench::pace::{Pace, turns};
use hikikae::bench::population::Population;
use hikikae::bench::process::{Process, Usage};
use hikikae::bench::stage::Stage;
use hikikae::bench::tally::Figures;
use serde::Serialize;

use super::super::{Answer, print};
use super::{Aim, Ready, Sandbox, bar};

/// The load of the national mix when none is asked for.
const NATIONAL_RATE: f64 = 1680.0;
/// How often progress is shown.
const SHOWN_EVERY: Duration = Duration::from_millis(250);
/// Prescriptions that readings go round.
const READ: usize = 500;

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scenario {
    /// Registrations.
    Register,
    /// Checks.
    Check,
    /// Acceptances.
    Accept,
    /// Dispensings.
    Dispense,
    /// Readings.
    History,
    /// Whole lives.
    Journey,
    /// The national mix.
    National,
}

/// One scenario
#[derive(Args)]
pub struct Run {
    #[command(flatten)]
    sandbox: Sandbox,
    #[command(flatten)]
    aim: Aim,
    /// Requests a second, come what may (open loop): latency counts from the moment a request was due. Without
    /// it every client sends when its last answer is there (national: 1680)
    #[arg(long, value_name = "N")]
    rate: Option<f64>,
    /// How long
    #[arg(long, value_name = "N", default_value_t = 30)]
    seconds: u64,
    /// Different patients that checks and identity checks are about
    #[arg(long, value_name = "N", default_value_t = 2000)]
    patients: usize,
    /// Without --rate: documents to prepare at most; the run ends when they are used up
    #[arg(long, value_name = "N", default_value_t = 5000)]
    documents: usize,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// What a run tells.
#[derive(Serialize)]
struct Report {
    scenario: Scenario,
    clients: usize,
    rate: Option<f64>,
    seconds: f64,
    acts: BTreeMap<Act, Figures>,
    #[serde(skip_serializing_if = "Option::is_none")]
    journeys: Option<Figures>,
    server: Option<Used>,
    /// The act that had nothing more to send before the time was over.
    exhausted: Option<Act>,
    /// Requests with --rate that were due before a connection was free, which counts as their latency.
    waited: usize,
}

/// What the server's process used in the run.
#[derive(Serialize)]
struct Used {
    #[serde(flatten)]
    end: Usage,
    /// Processors it kept busy.
    processors: f64,
}

impl Run {
    /// Prepares, drives, reports.
    ///
    /// # Errors
    ///
    /// What keeps it from being measured.
    pub async fn run(self, scenario: Scenario) -> anyhow::Result<Answer> {
        if self.rate.is_some_and(|rate| !rate.is_finite() || rate <= 0.0) {
            bail!("--rate must be greater than 0");
        }
        let config = self.sandbox.config(None)?;
        let population = Population::open(&self.sandbox.bench())?;
        let mut ready = Ready::make(&self.sandbox, &self.aim, &config, population).await?;
        let rate = self.rate.or((scenario == Scenario::National).then_some(NATIONAL_RATE));
        let report = if scenario == Scenario::Journey {
            self.journeys(&mut ready, rate).await?
        } else {
            self.acts(&mut ready, scenario, rate).await?
        };
        print(if self.json {
            format!("{}\n", serde_json::to_string_pretty(&report)?)
        } else {
            report.text()
        })?;
        Ok(Answer::Yes)
    }

    async fn acts(&self, ready: &mut Ready, scenario: Scenario, rate: Option<f64>) -> anyhow::Result<Report> {
        let mix = match scenario {
            Scenario::Register => Mix::only(Act::Register),
            Scenario::Check => Mix::only(Act::Check),
            Scenario::Accept => Mix::only(Act::Accept),
            Scenario::Dispense => Mix::only(Act::Dispense),
            Scenario::History => Mix::only(Act::Read),
            Scenario::Journey | Scenario::National => Mix::of(&NATIONAL),
        };
        let supplies = self.supplies(ready, &mix, rate).await?;
        ready.bar.finish_and_clear();
        let (supplies, mix, stage) = (Arc::new(supplies), Arc::new(mix), &ready.stage);
        let connections = connected(&stage.target, stage.senders).await?;
        let run = async |pace, watched| drive(connections, supplies, mix, pace, watched).await;
        let (outcome, usage) = self.measured(stage, rate, run).await?;
        Ok(self.report(scenario, rate, &outcome, usage, None))
    }

    async fn journeys(&self, ready: &mut Ready, rate: Option<f64>) -> anyhow::Result<Report> {
        let count = rate.map_or(self.documents, |rate| turns(rate, self.length()));
        let signed = ready.signed(count).await?;
        ready.bar.finish_and_clear();
        let stage = &ready.stage;
        let run = async |pace, watched| journeys(stage, signed, pace, watched).await;
        let (counted, usage) = self.measured(stage, rate, run).await?;
        let whole = counted.whole.figures(counted.acts.took);
        Ok(self.report(Scenario::Journey, rate, &counted.acts, usage, Some(whole)))
    }

    /// Runs, showing how far it is; also what the server used before and after, when it is on this machine.
    async fn measured<T>(
        &self,
        stage: &Stage,
        rate: Option<f64>,
        run: impl AsyncFnOnce(Arc<Pace>, Arc<Watched>) -> Result<T, BenchError>,
    ) -> anyhow::Result<(T, Option<(Usage, Usage)>)> {
        let watched = Arc::new(Watched::default());
        let watching = self.watch(&watched)?;
        let server = Process::listening(stage.target.address.port());
        let before = server.as_ref().and_then(Process::usage);
        let counted = run(Arc::new(self.pace(rate)), watched).await;
        let end = server.as_ref().and_then(Process::usage);
        watching.abort();
        Ok((counted?, before.zip(end)))
    }

    fn report(
        &self,
        scenario: Scenario,
        rate: Option<f64>,
        outcome: &Outcome,
        usage: Option<(Usage, Usage)>,
        journeys: Option<Figures>,
    ) -> Report {
        let took = outcome.took;
        let acts = outcome.tallies.iter().map(|(act, tally)| (*act, tally.figures(took))).collect();
        let server = usage.map(|(before, end)| Used {
            end,
            processors: (end.cpu_seconds - before.cpu_seconds) / took.as_secs_f64().max(0.001),
        });
        Report {
            scenario,
            clients: self.aim.clients,
            rate,
            seconds: took.as_secs_f64(),
            acts,
            journeys,
            server,
            exhausted: outcome.exhausted,
            waited: outcome.waited,
        }
    }

    fn length(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    fn pace(&self, rate: Option<f64>) -> Pace {
        match rate {
            Some(rate) => Pace::open(rate, self.length(), self.aim.clients.max(1)),
            None => Pace::closed(self.length()),
        }
    }

    /// What every act of the mix sends.
    async fn supplies(&self, ready: &mut Ready, mix: &Mix, rate: Option<f64>) -> anyhow::Result<Supplies> {
        let need = |act| match rate {
            Some(rate) => mix.need(act, turns(rate, self.length())),
            None if mix.need(act, 1) > 0 => self.documents,
            None => 0,
        };
        let (registrations, acceptances, dispensings) =
            (need(Act::Register), need(Act::Accept), need(Act::Dispense));
        let readings = need(Act::Read).min(READ);
        let mut supplies = Supplies::new();
        // What is registered, accepted and dispensed beforehand is there to be read, too.
        let before = (acceptances + dispensings).max(readings);
        let mut signed = ready.signed(registrations + before).await?;
        let waiting = ready.stage.registered(&signed.split_off(registrations)).await?;
        let stage = &ready.stage;
        let register = signed.iter().map(|signed| stage.register(signed)).collect();
        supplies.insert(Act::Register, Supply::once(register));
        let (accepted, rest) = waiting.split_at(acceptances);
        let results = stage.dispensings(rest.get(..dispensings).unwrap_or_default()).await?;
        supplies.insert(Act::Dispense, Supply::once(results));
        supplies.insert(Act::Accept, Supply::once(stage.acceptances(accepted).await?));
        let readings = waiting.iter().take(READ).map(|waiting| stage.read(waiting)).collect();
        supplies.insert(Act::Read, Supply::again(readings));
        if need(Act::Check) > 0 {
            supplies.insert(Act::Check, Supply::again(stage.checks(self.patients)?));
        }
        if need(Act::Identify) > 0 {
            let persons = stage.spread(self.patients);
            supplies
                .insert(Act::Identify, Supply::again(persons.map(|person| stage.identify(person)).collect()));
        }
        Ok(supplies)
    }

    /// Shows how far the run is.
    fn watch(&self, watched: &Arc<Watched>) -> anyhow::Result<tokio::task::JoinHandle<()>> {
        let (bar, watched) = (bar("{wide_bar} {pos}/{len} s  {msg}")?, Arc::clone(watched));
        bar.set_length(self.seconds);
        Ok(tokio::spawn(async move {
            let mut shown = tokio::time::interval(SHOWN_EVERY);
            let began = tokio::time::Instant::now();
            loop {
                shown.tick().await;
                let (done, refused) =
                    (watched.done.load(Ordering::Relaxed), watched.refused.load(Ordering::Relaxed));
                bar.set_position(began.elapsed().as_secs());
                bar.set_message(format!("{done} done, {refused} refused"));
            }
        }))
    }
}

impl Report {
    fn text(&self) -> String {
        let mut text = format!(
            "{:<10}{:>9}{:>10}{:>9}{:>9}{:>9}{:>9}  refused\n",
            "", "done", "a second", "p50 ms", "p90 ms", "p99 ms", "max ms"
        );
        let acts = self.acts.iter().map(|(act, figures)| (act.as_str(), figures));
        for (name, figures) in acts.chain(self.journeys.iter().map(|figures| ("journey", figures))) {
            let refused: Vec<String> =
                figures.refused.iter().map(|(code, count)| format!("{count} {code}")).collect();
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "{name:<10}{:>9}{:>10.1}{:>9.2}{:>9.2}{:>9.2}{:>9.2}  {}",
                figures.done,
                figures.per_second,
                figures.p50,
                figures.p90,
                figures.p99,
                figures.max,
                if refused.is_empty() { "-".to_owned() } else { refused.join(", ") },
            );
        }
        if let Some(used) = &self.server {
            let _ = writeln!(
                text,
                "server: {:.2} processors, {} MiB resident, {} MiB at most",
                used.processors,
                used.end.rss_kib / 1024,
                used.end.rss_peak_kib / 1024
            );
        }
        if let Some(act) = self.exhausted {
            let _ = writeln!(
                text,
                "ended after {:.1} s: no further {} was prepared; see --documents",
                self.seconds,
                act.as_str()
            );
        }
        if self.waited > 0 {
            let _ = writeln!(
                text,
                "requests due before one of the {} connections was free: {}; their latency counts that wait, and more \
                 --clients leave it to the server",
                self.clients, self.waited
            );
        }
        text
    }
}
