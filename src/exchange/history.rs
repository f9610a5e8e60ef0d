//! The shared history (薬剤情報): what was prescribed and what was given out, to the patient and under consent. Read from
//! what the exchange keeps of each document for comparing; every page is a look and leaves its trace.

use chrono::{Days, NaiveDate};

use super::caller::Caller;
use super::error::ExchangeError;
use super::{Exchange, Request, trace};
use crate::check::{HistoryEntry, Period, Source};
use crate::clock::japanese_date;
use crate::prescription::access::AccessAct;
use crate::prescription::reported::Reported;
use crate::store::reported::ReportedKind;

/// Which half of the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// What was prescribed.
    Prescribed,
    /// What was given out, claims included.
    GivenOut,
}

/// What a search asks for.
#[derive(Clone, Debug)]
pub struct HistorySearch {
    /// Which half.
    pub side: Side,
    /// First and last day, where they were given.
    pub days: (Option<NaiveDate>, Option<NaiveDate>),
    /// First and last day of each span that is left out.
    pub without: Vec<(NaiveDate, NaiveDate)>,
    /// Page size.
    pub count: usize,
    /// Where the page before ended.
    pub after: Option<HistoryCursor>,
}

/// Where a page ended: the newest day comes first, then by id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HistoryCursor {
    /// The day of the last record.
    pub day: NaiveDate,
    /// Its id.
    pub id: String,
}

/// One record.
#[derive(Clone, Debug)]
pub enum Record {
    /// A medicine of a document.
    Medicine(HistoryEntry, Period),
    /// A claim.
    Claim(Reported),
}

/// One page.
#[derive(Debug)]
pub struct HistoryPage {
    /// The records with what they are ordered by, the newest first.
    pub records: Vec<(HistoryCursor, Record)>,
    /// All records of the search.
    pub total: usize,
    /// Where the next page begins; `None` at the end.
    pub next: Option<HistoryCursor>,
}

impl Exchange {
    /// A page of the history of the patient, or of the patient an `Identity-Token` stands for at the terminal of a
    /// practitioner to whom the patient's consent, an emergency or a disaster opens it. `id` names a medicine of an
    /// entry.
    ///
    /// # Errors
    ///
    /// `consent-required`; those of the identity check.
    pub async fn history_search(
        &self,
        caller: &Caller,
        token: Option<&str>,
        search: &HistorySearch,
        id: impl Fn(&HistoryEntry, usize) -> String,
        request: &Request,
    ) -> Result<HistoryPage, ExchangeError> {
        let reach = self.reach(caller, token).await?;
        if caller.patient().is_none() && reach.opening.is_none() {
            return Err(ExchangeError::ConsentRequired);
        }
        let now = self.clock.now();
        let days_back = |days: u16| japanese_date(now) - Days::new(u64::from(days));
        // 100 days unless asked for more, and never beyond the term.
        let since = search.days.0.unwrap_or_else(|| days_back(self.settings.history.days));
        let since = since.max(days_back(self.settings.history.most_days));
        let until = search.days.1.unwrap_or(NaiveDate::MAX);
        let trace = trace(caller, request, "done").under(reach.opening);
        let (act, sources): (_, &[Source]) = match search.side {
            Side::Prescribed => (AccessAct::HistoryPrescribed, &[Source::Prescribed, Source::InHouse]),
            Side::GivenOut => (AccessAct::HistoryGivenOut, &[Source::Dispensed, Source::InHouse]),
        };
        let mut entries = Vec::new();
        for record in self.store.person_records(reach.patient).await? {
            entries.extend(self.store.history_list(act, record, sources, since, now, &trace).await?);
        }
        let mut records = Vec::new();
        for entry in entries {
            for (index, period) in entry.periods.iter().enumerate() {
                let cursor = HistoryCursor { day: period.interval.start, id: id(&entry, index) };
                records.push((cursor, Record::Medicine(entry.clone(), period.clone())));
            }
        }
        if search.side == Side::GivenOut {
            let kinds = [ReportedKind::Claim];
            let claims = self.store.reported_read(act, reach.patient, &kinds, None, now, &trace).await?;
            records.extend(claims.into_iter().map(|claim| {
                (HistoryCursor { day: claim.days().0, id: claim.id.to_string() }, Record::Claim(claim))
            }));
        }
        records.retain(|(cursor, record)| {
            // A claim says the month only.
            let last = match record {
                Record::Claim(claim) => claim.days().1.unwrap_or(cursor.day),
                Record::Medicine(..) => cursor.day,
            };
            let left_out = |(from, to): &(NaiveDate, NaiveDate)| *from <= cursor.day && last <= *to;
            last >= since && cursor.day <= until && !search.without.iter().any(left_out)
        });
        records.sort_by(|(a, _), (b, _)| b.day.cmp(&a.day).then_with(|| a.id.cmp(&b.id)));
        let total = records.len();
        if let Some(after) = &search.after {
            records.retain(|(cursor, _)| {
                cursor.day < after.day || cursor.day == after.day && cursor.id > after.id
            });
        }
        let more = records.len() > search.count;
        records.truncate(search.count);
        let next = records.last().filter(|_| more).map(|(cursor, _)| cursor.clone());
        Ok(HistoryPage { records, total, next })
    }
}
