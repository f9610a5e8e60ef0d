//! `hikikae admin disaster`: where facilities see medication histories without consent, and until when.

use anyhow::ensure;
use chrono::TimeDelta;
use clap::{Args, Subcommand};
use hikikae::clock::Clock;
use hikikae::store::disaster::Disaster;
use serde_json::json;

use super::{Common, Report, database_leave};

/// The longest a disaster is declared for at a time, hours: a week. It can be declared again.
const HOURS_MAX: u16 = 7 * 24;

/// Declare a disaster (災害時), end it, or show every one there was
#[derive(Args)]
#[command(after_help = "\
While one lasts, a physician, dentist or pharmacist at a facility of the prefecture sees the medication
history of a patient whose identity is verified, without consent. A patient's refusal stands. Every
look is in the patient's access record as such.

Example:
  hikikae admin disaster open --prefecture 17 --hours 72 --reason 能登半島地震")]
pub struct DisasterCommand {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Declare one
    Open {
        /// 都道府県番号, the first two digits of the institution codes it concerns, 01 to 47; may be repeated
        #[arg(long, required = true, value_parser = prefecture)]
        prefecture: Vec<String>,
        /// How long at most, hours; a week at a time
        #[arg(long, value_parser = clap::value_parser!(u16).range(1..=i64::from(HOURS_MAX)))]
        hours: u16,
        /// Why; kept, and public
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        common: Common,
    },
    /// End every one that lasts
    Close {
        #[command(flatten)]
        common: Common,
    },
    /// Show every one there was, the newest first
    Show {
        #[command(flatten)]
        common: Common,
    },
}

fn prefecture(text: &str) -> Result<String, &'static str> {
    let number = text.parse::<u8>().ok().filter(|number| (1..=47).contains(number) && text.len() == 2);
    number.map(|_| text.to_owned()).ok_or("expected two digits, 01 to 47")
}

impl DisasterCommand {
    pub(super) fn json(&self) -> bool {
        match &self.what {
            What::Open { common, .. } | What::Close { common } | What::Show { common } => common.json,
        }
    }

    pub(super) async fn run(self) -> anyhow::Result<Report> {
        let now = Clock::system().now();
        let (left, disasters) = match self.what {
            What::Open { prefecture, hours, reason, common } => {
                ensure!(!reason.trim().is_empty(), "a disaster is declared with its reason");
                let (store, cluster) = common.database().await?;
                let until = now + TimeDelta::hours(hours.into());
                let opened = store.disaster_open(&prefecture, &reason, now, until).await;
                (database_leave(store, cluster).await, opened.map(|disaster| vec![disaster]))
            }
            What::Close { common } => {
                let (store, cluster) = common.database().await?;
                let closed = store.disaster_close(now).await;
                (database_leave(store, cluster).await, closed)
            }
            What::Show { common } => {
                let (store, cluster) = common.database().await?;
                let listed = store.disaster_list().await;
                (database_leave(store, cluster).await, listed)
            }
        };
        left?;
        let disasters = disasters?;
        let line = |disaster: &Disaster| {
            let state = match disaster.closed_at {
                Some(at) => format!("closed at {at}"),
                None if disaster.lasts(now) => "open".to_owned(),
                None => "ended".to_owned(),
            };
            let Disaster { opened_at, valid_until, reason, .. } = disaster;
            let prefectures = disaster.prefectures.join(" ");
            format!("{state}  prefectures {prefectures}  {opened_at} – {valid_until}  {reason}")
        };
        let mut lines: Vec<String> = disasters.iter().map(line).collect();
        if lines.is_empty() {
            lines.push("no disaster".to_owned());
        }
        Ok(Report { text: lines.join("\n"), facts: json!({ "disasters": disasters }) })
    }
}
