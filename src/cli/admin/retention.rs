//! `hikikae admin retention`: deletes what is older than its term.

use clap::Args;
use hikikae::clock::Clock;
use hikikae::store::retention::{PIECES, Removed};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{Common, Report, database_leave};

/// Delete what is older than its term (保存期間), by kind, and persons of whom nothing is left
#[derive(Args)]
#[command(after_help = "\
The terms are [retention] of the configuration. It goes through the database in small pieces, while the
server runs, and may be stopped and begun again. Nothing deletes by itself: run it daily, by a timer.

With --scrub the files of the tables are rewritten afterwards, so that nothing of deleted rows is left in
them: each table is locked for that long, so do it when the server rests. Write-ahead log, backups and
standbys keep what they have until they are recycled.

Example:
  hikikae admin retention --dry-run --json")]
pub struct Retention {
    /// Count what would go, and delete nothing
    #[arg(long, conflicts_with = "scrub")]
    dry_run: bool,
    /// Rewrite the files of the tables too
    #[arg(long)]
    scrub: bool,
    #[command(flatten)]
    pub(super) common: Common,
}

impl Retention {
    pub(super) async fn run(self) -> anyhow::Result<Report> {
        let terms = self.common.configuration()?.retention.terms();
        let (store, cluster) = self.common.database().await?;
        let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}")?;
        let bar = ProgressBar::new(PIECES.into()).with_style(style).with_message("deleting");
        let told = |done: u16| bar.set_position(done.into());
        let mut removed = store.retention(&terms, Clock::system().now(), self.dry_run, &told).await;
        if self.scrub && removed.is_ok() {
            bar.set_message("rewriting");
            let told = |done: usize, of: usize| {
                bar.set_length(of as u64);
                bar.set_position(done as u64);
            };
            removed = store.retention_scrub(&told).await.and(removed);
        }
        bar.finish_and_clear();
        database_leave(store, cluster).await?;
        let removed = removed?;
        let facts = json!({ "dry_run": self.dry_run, "scrubbed": self.scrub, "removed": removed });
        Ok(Report { text: text(&removed, self.dry_run), facts })
    }
}

fn text(removed: &Removed, dry: bool) -> String {
    let lines: Vec<String> = removed.0.iter().map(|(kind, rows)| format!("{rows:>9}  {kind}")).collect();
    match (lines.is_empty(), dry) {
        (true, _) => "nothing is older than its term".to_owned(),
        (false, true) => format!("would be deleted:\n{}", lines.join("\n")),
        (false, false) => format!("deleted:\n{}", lines.join("\n")),
    }
}
