//! `hikikae admin audit-verify`: whether the access record is what was written.

use chrono::TimeDelta;
use clap::Args;
use hikikae::clock::Clock;
use hikikae::store::access_chain::{Head, Verified};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{Answer, Common, database_leave, print};

/// Verify that nobody has altered, added to or removed from the access record (アクセス記録)
#[derive(Args)]
#[command(after_help = "\
Recomputes every block of the chain and every record. The server closes what is written into a block
within seconds and logs the head of the chain once a day: note it where nobody who can write the
database can change it. With --head the chain must still contain that block: then nothing up to it was
cut off or made anew, not even by somebody who has the keys.

Exit codes: 0 whole, 1 altered, 2 could not.

Example:
  hikikae admin audit-verify --head 1207:3f1c…")]
pub struct AuditVerify {
    /// A head noted earlier: the block's number, a colon, its hash
    #[arg(long)]
    head: Option<Head>,
    #[command(flatten)]
    common: Common,
}

impl AuditVerify {
    pub(super) async fn run(self) -> anyhow::Result<Answer> {
        let kept = TimeDelta::days(self.common.configuration()?.retention.access_days.into());
        let (store, cluster) = self.common.database().await?;
        let verified = async {
            let style =
                ProgressStyle::with_template("{wide_bar} {human_pos}/{human_len} blocks, {eta} left")?;
            let blocks = store.access_block_count().await?;
            let bar = ProgressBar::new(u64::try_from(blocks)?).with_style(style);
            let verified = store
                .access_verify(self.head, Some(kept), Clock::system().now(), |done| {
                    bar.set_position(done.unsigned_abs());
                })
                .await;
            bar.finish_and_clear();
            anyhow::Ok(verified?)
        }
        .await;
        database_leave(store, cluster).await?;
        let verified = verified?;
        print(if self.common.json { format!("{:#}\n", facts(&verified)) } else { text(&verified) })?;
        Ok(if verified.faults.is_empty() { Answer::Yes } else { Answer::No })
    }
}

fn facts(verified: &Verified) -> serde_json::Value {
    let faults: Vec<String> = verified.faults.iter().map(ToString::to_string).collect();
    json!({
        "whole": faults.is_empty(),
        "blocks": verified.blocks,
        "records": verified.records,
        "deleted": verified.deleted,
        "open": verified.open,
        "head": verified.head.map(|head| head.to_string()),
        "faults": faults,
    })
}

fn text(verified: &Verified) -> String {
    let Verified { blocks, records, deleted, open, head, faults } = verified;
    let mut lines: Vec<String> = faults.iter().map(|fault| format!("altered: {fault}")).collect();
    lines.push(format!(
        "{blocks} blocks, {records} records as they were closed, {deleted} deleted after their term, {open} not closed yet"
    ));
    if let Some(head) = head {
        lines.push(format!("head {head}"));
    }
    let verdict =
        if faults.is_empty() { "the access record is whole" } else { "the access record was altered" };
    lines.push(verdict.to_owned());
    lines.join("\n") + "\n"
}
