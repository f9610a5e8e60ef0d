//! `hikikae bench`: load on a running server, the limit of the database beside it, and a population to measure with.

mod limit;
mod populate;
mod run;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use hikikae::bench::cast::Cast;
use hikikae::bench::crew::Target;
use hikikae::bench::document::Desk;
use hikikae::bench::drug::Drugs;
use hikikae::bench::form::Form;
use hikikae::bench::population::Population;
use hikikae::bench::stage::{self, Stage};
use hikikae::bench::stock::{Signed, Stock};
use hikikae::clock::{Clock, japanese_date};
use hikikae::config::Config;
use hikikae::formulary::Formulary;
use hikikae::sandbox::client::Client;
use hikikae::serve;
use indicatif::{ProgressBar, ProgressStyle};
use ring::rand::{SecureRandom as _, SystemRandom};

use super::{Answer, log_to_stderr};

/// How often tokens are got anew; they last fifteen minutes.
const TOKENS_EVERY: Duration = Duration::from_mins(5);

/// Load and limits: what the exchange costs on this machine
#[derive(Subcommand)]
#[command(after_help = "\
A measurement needs a sandbox (hikikae demo), its server running, and people:

  hikikae demo &
  hikikae bench populate --patients 10000 --rows 100000
  hikikae bench register --clients 16 --seconds 30
  hikikae bench national --rate 1680 --seconds 60

Documents are signed beforehand and kept under DIR/bench, so that the second run starts sooner.")]
pub enum Bench {
    /// 処方箋登録: signed prescriptions, each verified, checked, sealed and committed
    Register(run::Run),
    /// 重複投薬等チェック before signing, of patients with a past
    Check(run::Run),
    /// 受付 by exchange number, of patients whose identity was verified before
    Accept(run::Run),
    /// 調剤結果登録: signed results over what was delivered
    Dispense(run::Run),
    /// Looks at prescriptions by the clinics that issued them
    History(run::Run),
    /// Whole lives: register, verify identity, accept, dispense, read
    Journey(run::Run),
    /// The mix of a national service: of 1,695 requests 390 registrations, 395 checks, 240 identity checks, 240
    /// acceptances, 120 dispensings, 310 readings
    National(run::Run),
    Limit(limit::Limit),
    Populate(populate::Populate),
}

impl Bench {
    /// Measures and reports.
    ///
    /// # Errors
    ///
    /// What keeps it from being measured; never what the server answers.
    pub async fn run(self) -> anyhow::Result<Answer> {
        log_to_stderr("error");
        match self {
            Self::Register(run) => run.run(run::Scenario::Register).await,
            Self::Check(run) => run.run(run::Scenario::Check).await,
            Self::Accept(run) => run.run(run::Scenario::Accept).await,
            Self::Dispense(run) => run.run(run::Scenario::Dispense).await,
            Self::History(run) => run.run(run::Scenario::History).await,
            Self::Journey(run) => run.run(run::Scenario::Journey).await,
            Self::National(run) => run.run(run::Scenario::National).await,
            Self::Limit(limit) => limit.run().await,
            Self::Populate(populate) => populate.run().await,
        }
    }
}

/// The sandbox that is measured.
#[derive(Args)]
struct Sandbox {
    /// The sandbox directory
    #[arg(long, value_name = "DIR", default_value = ".hikikae/demo")]
    dir: PathBuf,
    /// The server's formulary, when it was started with one
    #[arg(long, value_name = "DIR")]
    formulary: Option<PathBuf>,
}

impl Sandbox {
    /// Where the bench keeps its own.
    fn bench(&self) -> PathBuf {
        self.dir.join("bench")
    }

    /// The server's configuration, as far as the bench needs it: `file`, else that of the sandbox.
    fn config(&self, file: Option<&Path>) -> anyhow::Result<Config> {
        let config = match file {
            Some(path) => Config::load(path).with_context(|| path.display().to_string())?,
            None => Config { state_dir: self.dir.join("server"), ..Config::default() },
        };
        Ok(Config { formulary_dir: self.formulary.clone().or(config.formulary_dir.clone()), ..config })
    }

    /// Everything documents are made of.
    fn desk(&self, config: &Config, population: Population, form: Form) -> anyhow::Result<Desk> {
        let formulary = formulary_today(config)?;
        let drugs = Drugs::load(&formulary, population.frequencies.as_deref())?;
        let cast = Cast::open(&self.dir).context("no sandbox there; make one with hikikae demo --dir")?;
        Ok(Desk { cast, population, form, drugs, formulary })
    }
}

/// The formulary of the server's configuration, of today.
fn formulary_today(config: &Config) -> anyhow::Result<Arc<Formulary>> {
    let (editions, _) = serve::formulary(config)?;
    Ok(editions.on(japanese_date(Clock::system().now())))
}

/// The form of documents.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum FormName {
    /// EPS XML with XAdES
    Xml,
    /// Compact JWS of a FHIR Bundle
    Jose,
}

impl From<FormName> for Form {
    fn from(name: FormName) -> Self {
        match name {
            FormName::Xml => Self::Xml,
            FormName::Jose => Self::Jose,
        }
    }
}

/// Where load goes to, and in which form.
#[derive(Args)]
struct Aim {
    /// The server; the one the sandbox had last when left out
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Allow a server on another machine
    #[arg(long)]
    remote: bool,
    /// Form of the documents
    #[arg(long, value_enum, default_value = "xml")]
    form: FormName,
    /// Connections, each with one request at a time
    #[arg(long, value_name = "N", default_value_t = 16)]
    clients: usize,
}

/// A prepared stage with the stock it draws from.
struct Ready {
    stage: Stage,
    stock: Stock,
    bench: PathBuf,
    bar: ProgressBar,
}

impl Ready {
    async fn make(
        sandbox: &Sandbox,
        aim: &Aim,
        config: &Config,
        population: Population,
    ) -> anyhow::Result<Self> {
        let form = aim.form.into();
        let desk = sandbox.desk(config, population, form)?;
        let url = aim.url.clone().unwrap_or_else(|| desk.cast.base_url.clone());
        let mut run = [0; 8];
        SystemRandom::new().fill(&mut run).map_err(|_| anyhow::anyhow!("no randomness"))?;
        let run = format!("bench-{:016x}", u64::from_le_bytes(run));
        let target = Arc::new(Target::find(&url, aim.remote, run).await?);
        let clock = Clock::system();
        let bar = bar("{msg} {wide_bar} {human_pos}/{human_len}")?;
        let shown = bar.clone();
        let progress: stage::Progress = Arc::new(move |what, done, of| {
            shown.set_message(what);
            shown.set_length(of as u64);
            shown.set_position(done as u64);
        });
        let stage = Stage { desk: Arc::new(desk), target, senders: aim.clients.max(1), clock, progress };
        let stock = Stock::open(&sandbox.bench(), japanese_date(stage.clock.now()), form)?;
        let ready = Self { stage, stock, bench: sandbox.bench(), bar };
        ready.log_in(&url).await?;
        Ok(ready)
    }

    async fn log_in(&self, url: &str) -> anyhow::Result<()> {
        let client = Client::new(url, self.stage.clock.clone(), Arc::new(SystemRandom::new()))?;
        let logged_in = self.stage.log_in(&client).await;
        logged_in.with_context(|| format!("{url} lets nobody in; is the server running?"))?;
        let stage = self.stage.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(TOKENS_EVERY).await;
                // Those in force go on; what is then refused is counted.
                let _ = stage.log_in(&client).await;
            }
        });
        Ok(())
    }

    /// Signed prescriptions, from the stock as far as it reaches.
    async fn signed(&mut self, count: usize) -> anyhow::Result<Vec<Signed>> {
        // Read anew: another run may have drawn since.
        let mut population = Population::open(&self.bench)?;
        let drawn = population.draw(count.saturating_sub(self.stock.len()))?;
        population.save(&self.bench)?;
        Ok(self.stage.sign(&mut self.stock, drawn, count).await?)
    }
}

/// On standard error, and only at a terminal.
fn bar(template: &str) -> anyhow::Result<ProgressBar> {
    Ok(ProgressBar::new(0).with_style(ProgressStyle::with_template(template)?))
}
