//! `hikikae admin merge-patients` and `unmerge-patients`: two records of one person, and the undo of a wrong merge.

use anyhow::ensure;
use clap::Args;
use hikikae::clock::Clock;
use hikikae::store::directory::{Merge, MergeError};
use hikikae::store::holding::Holding;
use hikikae::store::{PatientId, Store, StoreError};
use serde_json::json;

use super::{Common, Report, database_leave};

/// Let one record stand for another of the same person (名寄せ)
#[derive(Args)]
#[command(after_help = "\
What leads to MERGED leads to KEPT from now on: its insurances, cards and names. KEPT shows the
prescriptions, history and access record of both, and holds the refusals of both. Consents, apps and
tokens of MERGED open nothing while it is merged. `unmerge-patients` undoes it.

KEPT and MERGED are ids of persons, as `whose-data` tells them. The evidence is kept, and stands in
the access records of both.

Example:
  hikikae admin merge-patients KEPT MERGED --evidence '住民票により同一人と確認' --dry-run")]
pub struct MergePatients {
    #[command(flatten)]
    two: Two,
    #[command(flatten)]
    pub(super) common: Common,
}

/// Undo a merge of two records that are not one person's
#[derive(Args)]
#[command(after_help = "\
MERGED is again what it was. What came to KEPT since stays with KEPT, also prescriptions that were
registered for the other person; the dry run counts those that have not ended, and their clinics have to
cancel them and issue them anew. Insurances of MERGED that files changed since go back to it. Consents
and apps given since the merge end, and so do the tokens of KEPT: the other person may have given them.")]
pub struct UnmergePatients {
    #[command(flatten)]
    two: Two,
    #[command(flatten)]
    pub(super) common: Common,
}

#[derive(Args)]
struct Two {
    /// The record that goes on
    kept: PatientId,
    /// The record whose place it takes
    merged: PatientId,
    /// What shows that they are, or are not, one person
    #[arg(long)]
    evidence: String,
    /// Count what is concerned, and change nothing
    #[arg(long)]
    dry_run: bool,
}

impl MergePatients {
    pub(super) async fn run(self) -> anyhow::Result<Report> {
        let merge = self.two.merge()?;
        let (store, cluster) = self.common.database().await?;
        let done = if self.two.dry_run {
            counted(&store, &merge).await
        } else {
            let merged = store.patients_merge(&merge, Clock::system().now()).await;
            merged.map(|()| self.two.report("is merged into", None))
        };
        database_leave(store, cluster).await?;
        Ok(done?)
    }
}

impl UnmergePatients {
    pub(super) async fn run(self) -> anyhow::Result<Report> {
        let merge = self.two.merge()?;
        let (store, cluster) = self.common.database().await?;
        let open = store.prescriptions_since_merge(merge.kept, merge.merged).await;
        let done = if self.two.dry_run {
            Ok(())
        } else {
            store.patients_unmerge(&merge, Clock::system().now()).await
        };
        database_leave(store, cluster).await?;
        let open = open?;
        done?;
        let verb =
            if self.two.dry_run { "would no longer be merged into" } else { "is no longer merged into" };
        Ok(self.two.report(verb, Some(open)))
    }
}

impl Two {
    fn merge(&self) -> anyhow::Result<Merge> {
        ensure!(!self.evidence.trim().is_empty(), "the evidence is kept with the merge: say what it is");
        Ok(Merge { kept: self.kept, merged: self.merged, evidence: self.evidence.clone() })
    }

    /// `open`: prescriptions registered since the merge that have not ended.
    fn report(&self, verb: &str, open: Option<i64>) -> Report {
        let Self { kept, merged, dry_run, .. } = self;
        let mut text = format!("{merged} {verb} {kept}");
        let mut facts = json!({ "kept": kept, "merged": merged, "dry_run": dry_run });
        if let Some(open) = open {
            text = format!("{text}\n{open} prescriptions registered since the merge have not ended");
            facts["open_prescriptions_since"] = open.into();
        }
        Report { text, facts }
    }
}

/// What each of the two holds.
async fn counted(store: &Store, merge: &Merge) -> Result<Report, MergeError> {
    let kept = known(store, merge.kept).await?;
    let merged = known(store, merge.merged).await?;
    let text = format!(
        "{} would stand for {}\nrecord that goes on:\n{}\nrecord whose place it takes:\n{}",
        merge.kept,
        merge.merged,
        table(&kept),
        table(&merged)
    );
    let facts = json!({
        "kept": merge.kept, "merged": merge.merged, "dry_run": true,
        "kept_holds": kept, "merged_holds": merged,
    });
    Ok(Report { text, facts })
}

async fn known(store: &Store, patient: PatientId) -> Result<Vec<Holding>, MergeError> {
    let holdings: Result<_, StoreError> = store.holdings(patient).await;
    let holdings = holdings?;
    if holdings.is_empty() { Err(MergeError::Unknown(patient)) } else { Ok(holdings) }
}

/// One line a kind.
pub(super) fn table(holdings: &[Holding]) -> String {
    let year = |year: Option<i32>| year.map(|year| year.to_string()).unwrap_or_default();
    let line = |holding: &Holding| {
        let Holding { kind, rows, oldest, newest } = holding;
        format!("  {rows:>6}  {kind:<22} {} – {}", year(*oldest), year(*newest))
    };
    holdings.iter().map(line).collect::<Vec<_>>().join("\n")
}
