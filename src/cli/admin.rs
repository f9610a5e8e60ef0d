//! `hikikae admin`: the operator's work on the database, the formulary and the keys of a configuration.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use chrono::NaiveDate;
use clap::{Args, Subcommand};
use hikikae::clock::{Clock, japanese_date};
use hikikae::config::Config;
use hikikae::formulary::shelf::{ShelfError, edition_import};
use hikikae::formulary::{self as masters, LoadError};
use hikikae::prescription::identifier::InstitutionCode;
use hikikae::serve::{formulary, formulary_shelf, store_open};
use hikikae::store::app::App;
use hikikae::store::directory::{Claims, Eligibility, EligibilityFault, Facility, FacilityKind, ImportError};
use hikikae::store::keys;
use hikikae::store::{Cluster, Store};
use indicatif::{ProgressBar, ProgressStyle};
use ring::rand::SystemRandom;
use serde_json::{Value, json};

use self::audit::AuditVerify;
use self::disaster::DisasterCommand;
use self::mandate::{MandateAdd, MandateEnd};
use self::merge::{MergePatients, UnmergePatients};
use self::retention::Retention;
use self::whose::WhoseData;
use super::document::counted;
use super::{Answer, log_to_stderr, print};

mod audit;
mod disaster;
mod mandate;
mod merge;
mod retention;
mod whose;

/// The configuration that is used when none is named and it exists.
const USUAL_CONFIGURATION: &str = "hikikae.toml";

/// Operator work: facilities, insured persons, what is kept of them, the formulary, keys, disasters
#[derive(Subcommand)]
#[command(after_help = "\
The commands work on the database of the configuration: the one it names, or the private one under
its state_dir, also while a server runs on it.")]
pub enum Admin {
    ImportEligibility(ImportEligibility),
    ImportClaims(ImportClaims),
    FacilityAdd(FacilityAdd),
    AppAdd(AppAdd),
    ImportFormulary(ImportFormulary),
    RotateKeys(RotateKeys),
    CheckReport(CheckReport),
    Disaster(DisasterCommand),
    MergePatients(MergePatients),
    UnmergePatients(UnmergePatients),
    MandateAdd(MandateAdd),
    MandateEnd(MandateEnd),
    WhoseData(WhoseData),
    Retention(Retention),
    AuditVerify(AuditVerify),
}

#[derive(Args)]
struct Common {
    /// The server's configuration; hikikae.toml when it exists, else the defaults
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// Take up an eligibility file (資格情報): all of it or, with any fault, nothing
#[derive(Args)]
#[command(after_help = "\
FILE is CSV, UTF-8 or Shift_JIS, with the header
  person,name,kana,birth_date,sex,insurer_number,symbol,number,branch_number,valid_from,valid_until,card_sha256,deceased_on
One line is one insurance of one person; the same `person` ties lines together. Dates are YYYY-MM-DD,
sex is male, female or unknown, card_sha256 is the fingerprint of the card's authentication
certificate. Empty may be: kana, symbol, branch_number, valid_until, card_sha256, deceased_on.

Importing a file again changes nothing; persons are never removed.")]
pub struct ImportEligibility {
    /// The eligibility file
    file: PathBuf,
    #[command(flatten)]
    common: Common,
}

/// Take up a claims file (レセプト由来の薬剤): all of it or, with any fault, nothing
#[derive(Args)]
#[command(after_help = "\
FILE is CSV, UTF-8 or Shift_JIS, with the header
  month,code,name,quantity,institution,insurer_number,symbol,number,branch_number,birth_date
One line is one product of one person in one month, YYYY-MM. code is a receipt, YJ or HOT code,
institution the code of 10 digits of who claimed. Empty may be: name, symbol, branch_number.

Claims show in the history, marked as such; no check reads them. Importing a file again changes
nothing.")]
pub struct ImportClaims {
    /// The claims file
    file: PathBuf,
    #[command(flatten)]
    common: Common,
}

/// Add a facility (医療機関・薬局), or change the one with this code
#[derive(Args)]
#[command(after_help = "\
Example:
  hikikae admin facility-add --code 1311234567 --kind clinic --name 引換診療所")]
pub struct FacilityAdd {
    /// Institution code (医療機関コード), 10 digits: prefecture, fee table, institution
    #[arg(long)]
    code: InstitutionCode,
    /// clinic, hospital or pharmacy
    #[arg(long)]
    kind: FacilityKind,
    /// Its name
    #[arg(long)]
    name: String,
    #[command(flatten)]
    common: Common,
}

/// Enter an app that patients may let read their records (PHR), or change the one with this id
#[derive(Args)]
#[command(after_help = "\
The app is a public client: it proves itself by PKCE, and has no secret. A redirect address is compared
character by character; it is https, http to the loopback, or of the app's own scheme.

Example:
  hikikae admin app-add --client-id notebook --name お薬手帳 --redirect-uri https://notebook.example/callback")]
pub struct AppAdd {
    /// client_id
    #[arg(long, value_name = "ID")]
    client_id: String,
    /// The name patients read
    #[arg(long)]
    name: String,
    /// Where codes may be sent; may be given several times
    #[arg(long = "redirect-uri", value_name = "URI", required = true, value_parser = redirect_uri)]
    redirect_uris: Vec<String>,
    /// Ends the app's access to every record, and lets it begin no other
    #[arg(long)]
    inactive: bool,
    #[command(flatten)]
    common: Common,
}

/// RFC 9700 2.1 and RFC 8252 7: nobody else can receive what is sent there.
fn redirect_uri(text: &str) -> Result<String, &'static str> {
    const WANTED: &str =
        "use https, http to 127.0.0.1 or [::1], or the app's own scheme with a dot; no fragment";
    let uri: http::Uri = text.parse().map_err(|_| WANTED)?;
    let fits = match (uri.scheme_str(), uri.host()) {
        (Some("https"), Some(_)) => true,
        (Some("http"), Some(host)) => matches!(host, "127.0.0.1" | "[::1]"),
        (Some(scheme), _) => scheme.contains('.'),
        (None, _) => false,
    };
    if fits && !text.contains('#') { Ok(text.to_owned()) } else { Err(WANTED) }
}

/// Import the masters of a directory as an edition of the formulary: all that is good, or nothing
#[derive(Args)]
#[command(after_help = "\
DIR holds official files by their published layouts, each optional and recognised by its header:
price list (薬価基準), receipt master (レセプト電算 医薬品マスター), generic-name master with its exceptions,
usage master (電子処方箋用法マスタ), HOT master (医薬品HOTコードマスター); or tables of the program's own layout
(fixtures/formulary). UTF-8 or Shift_JIS, *.csv or *.txt. Files of other kinds are left alone and named in the report.

The edition is in force from its first day on; a prescription is checked by the formulary of its day.
A running server takes it up within seconds, unless its configuration names a formulary_dir.")]
pub struct ImportFormulary {
    /// Directory of the files
    dir: PathBuf,
    /// First day the edition is in force, YYYY-MM-DD; today in Japan when left out
    #[arg(long, value_name = "DATE")]
    from: Option<NaiveDate>,
    #[command(flatten)]
    common: Common,
}

/// Add a new sealing key; what older keys sealed stays readable
#[derive(Args)]
#[command(after_help = "\
The server seals with the new key from its next start on. Keep a copy of state_dir/keys.json in a
safe place: without it the database cannot be read.")]
pub struct RotateKeys {
    #[command(flatten)]
    common: Common,
}

/// Tell of every rule of the checker how often it spoke, was answered for, and led to a change
#[derive(Args)]
#[command(after_help = "\
One line is one rule: findings shown (each once a facility), answered for, registered or dispensed in
spite of, led to a change (nothing was registered with the finding within seven days), and pending.
Then the reasons by code of ActDetectedIssueManagementCode. Counts only, of no person.

Example:
  hikikae admin check-report --json")]
pub struct CheckReport {
    /// Instead list the receipt codes that lead to no ingredients, with the reason: the checker does not see them
    #[arg(long)]
    unresolved: bool,
    #[command(flatten)]
    common: Common,
}

/// What a command tells: a sentence for people, the same facts for programs.
struct Report {
    text: String,
    facts: Value,
}

impl Admin {
    /// Does the work and reports it.
    ///
    /// # Errors
    ///
    /// What kept it from being done; then nothing was changed.
    pub async fn run(self) -> anyhow::Result<Answer> {
        log_to_stderr("warn");
        let (json, report) = match self {
            Self::ImportEligibility(import) => (import.common.json, import.run().await?),
            Self::ImportClaims(import) => (import.common.json, import.run().await?),
            Self::FacilityAdd(add) => (add.common.json, add.run().await?),
            Self::AppAdd(add) => (add.common.json, add.run().await?),
            Self::ImportFormulary(import) => (import.common.json, import.run()?),
            Self::RotateKeys(rotate) => (rotate.common.json, rotate.run()?),
            Self::CheckReport(report) => (report.common.json, report.run().await?),
            Self::Disaster(disaster) => (disaster.json(), disaster.run().await?),
            Self::MergePatients(merge) => (merge.common.json, merge.run().await?),
            Self::UnmergePatients(unmerge) => (unmerge.common.json, unmerge.run().await?),
            Self::MandateAdd(add) => (add.common.json, add.run().await?),
            Self::MandateEnd(end) => (end.common.json, end.run().await?),
            Self::WhoseData(whose) => (whose.common.json, whose.run().await?),
            Self::Retention(retention) => (retention.common.json, retention.run().await?),
            Self::AuditVerify(verify) => return verify.run().await,
        };
        print(if json { format!("{:#}\n", report.facts) } else { format!("{}\n", report.text) })?;
        Ok(Answer::Yes)
    }
}

impl ImportEligibility {
    async fn run(self) -> anyhow::Result<Report> {
        let bytes = fs::read(&self.file).with_context(|| self.file.display().to_string())?;
        let file = Eligibility::parse(&bytes).or_else(|faults| nothing_imported(&faults))?;
        let (store, cluster) = self.common.database().await?;
        let bar = bar(file.len() as u64)?;
        let imported = store.eligibility_import(&file, &|done, _| bar.set_position(done as u64)).await;
        bar.finish_and_clear();
        database_leave(store, cluster).await?;
        let done = imported.or_else(|error| match error {
            ImportError::Faults(faults) => nothing_imported(&faults),
            ImportError::Store(error) => Err(error.into()),
        })?;
        Ok(Report {
            text: format!(
                "imported {} persons: {} added, {} changed; {} insurances written, {} cards added",
                done.persons,
                done.persons_added,
                done.persons_changed,
                done.insurances_written,
                done.cards_added
            ),
            facts: json!({
                "persons": done.persons,
                "persons_added": done.persons_added,
                "persons_changed": done.persons_changed,
                "insurances_written": done.insurances_written,
                "cards_added": done.cards_added,
            }),
        })
    }
}

impl ImportClaims {
    async fn run(self) -> anyhow::Result<Report> {
        let bytes = fs::read(&self.file).with_context(|| self.file.display().to_string())?;
        let file = Claims::parse(&bytes).or_else(|faults| nothing_imported(&faults))?;
        let (store, cluster) = self.common.database().await?;
        let bar = bar(file.len() as u64)?;
        let imported =
            store.claims_import(&file, Clock::system().now(), &|done, _| bar.set_position(done as u64)).await;
        bar.finish_and_clear();
        database_leave(store, cluster).await?;
        let added = imported.or_else(|error| match error {
            ImportError::Faults(faults) => nothing_imported(&faults),
            ImportError::Store(error) => Err(error.into()),
        })?;
        Ok(Report {
            text: format!("imported {} claims: {added} added", file.len()),
            facts: json!({ "claims": file.len(), "added": added }),
        })
    }
}

impl FacilityAdd {
    async fn run(self) -> anyhow::Result<Report> {
        if !self.code.check_digit_holds() {
            eprintln!("warning: the last digit of the code is not its check digit");
        }
        let facility = Facility { code: self.code, kind: self.kind, name: self.name, active: true };
        let (store, cluster) = self.common.database().await?;
        let added = store.facility_add(&facility).await;
        database_leave(store, cluster).await?;
        added?;
        let (kind, code) = (facility.kind.as_str(), facility.code.as_str());
        Ok(Report { text: format!("{kind} {code} is known: {}", facility.name), facts: json!(facility) })
    }
}

impl AppAdd {
    async fn run(self) -> anyhow::Result<Report> {
        let active = !self.inactive;
        let Self { client_id, name, redirect_uris, .. } = self;
        let app = App { client_id, name, redirect_uris, active };
        let (store, cluster) = self.common.database().await?;
        let added = store.app_put(&app).await;
        database_leave(store, cluster).await?;
        added?;
        let state = if active { "may be used" } else { "may not be used" };
        Ok(Report { text: format!("app {} {state}: {}", app.client_id, app.name), facts: json!(app) })
    }
}

impl ImportFormulary {
    fn run(self) -> anyhow::Result<Report> {
        let place = formulary_shelf(&self.common.configuration()?);
        let from = self.from.unwrap_or_else(|| japanese_date(Clock::system().now()));
        let style = ProgressStyle::with_template("{wide_bar} {bytes}/{total_bytes} {msg}")?;
        let bar = ProgressBar::new(0).with_style(style);
        let imported = edition_import(&place, from, &self.dir, &mut |progress| {
            bar.set_length(progress.of);
            bar.set_position(progress.bytes);
            bar.set_message(progress.file.to_owned());
        });
        bar.finish_and_clear();
        let formulary = imported.map_err(|error| {
            if let ShelfError::Load(LoadError::Faulty(faults)) = &error {
                for fault in faults {
                    eprintln!("{fault}");
                }
                return anyhow!("the formulary has {}; nothing was imported", counted(faults.len()));
            }
            error.into()
        })?;
        let report = formulary.report();
        for fault in &report.faults {
            eprintln!("left out: {fault}");
        }
        let text = import_text(report, from);
        let facts = json!({ "from": from, "report": report, "unresolved": formulary.unresolved() });
        Ok(Report { text, facts })
    }
}

fn import_text(report: &masters::Report, from: NaiveDate) -> String {
    let mut lines = vec![format!("formulary {}, in force from {from}", report.version)];
    lines.extend(report.files.iter().map(|file| match &file.layout {
        Some(layout) => format!("  {}: {layout}, {} rows, {} left out", file.file, file.rows, file.refused),
        None => format!("  {}: of no known layout, left alone", file.file),
    }));
    lines.push(format!(
        "{} products, {} generic names, {} ingredients",
        report.products, report.generic_names, report.ingredients
    ));
    if report.active_receipt_codes > 0 {
        let (resolved, active) = (report.resolved_receipt_codes, report.active_receipt_codes);
        lines.push(format!("{resolved} of {active} receipt codes in force lead to their ingredients"));
    }
    if report.hot_codes + report.unlinked_hot_codes > 0 {
        let (linked, unlinked) = (report.hot_codes, report.unlinked_hot_codes);
        lines.push(format!("{linked} HOT9 codes lead to a product, {unlinked} to none that is known"));
    }
    lines.join("\n")
}

impl RotateKeys {
    fn run(self) -> anyhow::Result<Report> {
        let path = self.common.configuration()?.state_dir.join("keys.json");
        let id = keys::rotate(&path, &SystemRandom::new())?;
        let text = format!(
            "sealing key {id} added to {}; the server seals with it from its next start on",
            path.display()
        );
        Ok(Report { text, facts: json!({ "key": id, "file": path }) })
    }
}

impl CheckReport {
    async fn run(self) -> anyhow::Result<Report> {
        if self.unresolved {
            return self.unresolved();
        }
        let (store, cluster) = self.common.database().await?;
        let figures = store.figures_read(Clock::system().now()).await;
        database_leave(store, cluster).await?;
        let figures = figures?;
        let mut text = format!(
            "{:>8} {:>9} {:>10} {:>8} {:>8}  rule",
            "shown", "mitigated", "registered", "changed", "pending"
        );
        for rule in &figures {
            let reasons: Vec<String> =
                rule.mitigated.iter().map(|(code, count)| format!("{code}:{count}")).collect();
            write!(
                text,
                "\n{:>8} {:>9} {:>10} {:>8} {:>8}  {} {} {} {}",
                rule.shown,
                rule.mitigated.values().sum::<i64>(),
                rule.registered,
                rule.changed,
                rule.pending,
                rule.kind,
                rule.severity,
                rule.rule,
                reasons.join(" ")
            )?;
        }
        Ok(Report { text, facts: json!({ "rules": figures }) })
    }

    /// Of the formulary that the server checks by today.
    fn unresolved(&self) -> anyhow::Result<Report> {
        let today = japanese_date(Clock::system().now());
        let (editions, _) = formulary(&self.common.configuration()?)?;
        let formulary = editions.on(today);
        let mut lines = vec![format!("formulary {}", formulary.version())];
        lines.extend(
            formulary
                .unresolved()
                .iter()
                .map(|code| format!("{}  {}  {}", code.code, code.name, code.reason)),
        );
        let facts = json!({ "version": formulary.version(), "unresolved": formulary.unresolved() });
        Ok(Report { text: lines.join("\n"), facts })
    }
}

impl Common {
    fn configuration(&self) -> anyhow::Result<Config> {
        let usual = Path::new(USUAL_CONFIGURATION);
        match self.config.as_deref().or(usual.exists().then_some(usual)) {
            Some(path) => Config::load(path).with_context(|| path.display().to_string()),
            None => Ok(Config::default()),
        }
    }

    async fn database(&self) -> anyhow::Result<(Store, Option<Cluster>)> {
        Ok(store_open(&self.configuration()?).await?)
    }
}

/// Stops a private cluster, unless a server uses it too.
pub(super) async fn database_leave(store: Store, cluster: Option<Cluster>) -> anyhow::Result<()> {
    drop(store);
    if let Some(cluster) = cluster {
        tokio::task::spawn_blocking(move || cluster.stop()).await??;
    }
    Ok(())
}

fn nothing_imported<T>(faults: &[EligibilityFault]) -> anyhow::Result<T> {
    for fault in faults {
        eprintln!("{fault}");
    }
    bail!("the file has {}; nothing was imported", counted(faults.len()))
}

/// On standard error, and only at a terminal.
fn bar(length: u64) -> anyhow::Result<ProgressBar> {
    let style = ProgressStyle::with_template("{wide_bar} {human_pos}/{human_len} persons, {eta} left")?;
    Ok(ProgressBar::new(length).with_style(style))
}
