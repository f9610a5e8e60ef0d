//! The access record: as its patient reads it, which is a look too, and closed so that nobody alters it unnoticed.

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use super::caller::Caller;
use super::error::ExchangeError;
use super::{Exchange, Request, trace};
use crate::clock::japanese_date;
use crate::store::PatientId;
use crate::store::access::{AccessRow, Written};

/// Where a page ended: the newest record comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessCursor {
    /// When the last record was written.
    pub at: DateTime<Utc>,
    /// Its id.
    pub id: Uuid,
}

/// What a search asks for.
#[derive(Clone, Debug)]
pub struct AccessSearch {
    /// When what is searched for was written.
    pub written: Written,
    /// Page size.
    pub count: usize,
    /// Where the page before ended.
    pub after: Option<AccessCursor>,
}

/// One page.
#[derive(Debug)]
pub struct AccessPage {
    /// Whose record it is.
    pub patient: PatientId,
    /// The newest first.
    pub records: Vec<AccessRow>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<AccessCursor>,
}

impl Exchange {
    /// Closes what waits into blocks of the chain, and tells the log one head a day, for the operator to note. `told`
    /// is the day of the last.
    pub async fn access_record_close(&self, told: &mut Option<NaiveDate>) {
        loop {
            let now = self.clock.now();
            let closed = match self.store.access_block_close(now).await {
                Ok(Some(closed)) => closed,
                Ok(None) => return,
                Err(error) => {
                    tracing::error!(%error, "the access record could not be closed into a block");
                    return;
                }
            };
            metrics::counter!("hikikae_access_block").absolute(closed.head.number.unsigned_abs());
            let today = japanese_date(now);
            if told.replace(today) != Some(today) {
                tracing::info!(head = %closed.head, "the access record is closed up to here; note this head");
            }
            if !closed.more {
                return;
            }
        }
    }

    /// A page of the patient's own access record.
    ///
    /// # Errors
    ///
    /// `not-permitted` for anybody but the patient.
    pub async fn access_record(
        &self,
        caller: &Caller,
        search: &AccessSearch,
        request: &Request,
    ) -> Result<AccessPage, ExchangeError> {
        let patient = caller.patient().ok_or(ExchangeError::NotPermitted(
            "the access record is for its patient; use the patient's own token",
        ))?;
        let trace = trace(caller, request, "done");
        let after = search.after.map(|AccessCursor { at, id }| (at, id));
        // One more than the page tells whether there is another.
        let limit = search.count + 1;
        let mut records = Vec::new();
        for record in self.store.person_records(patient).await? {
            let now = self.clock.now();
            let written = &search.written;
            let list = self.store.access_record_list(record, written, after, limit, now, &trace).await?;
            records.extend(list);
        }
        // Of two merged records each may tell of one request.
        records.sort_by_key(|row| std::cmp::Reverse((row.at, row.id)));
        records.dedup_by_key(|row| row.id);
        let more = records.len() > search.count;
        records.truncate(search.count);
        let next = records.last().filter(|_| more).map(|row| AccessCursor { at: row.at, id: row.id });
        Ok(AccessPage { patient, records, next })
    }
}
