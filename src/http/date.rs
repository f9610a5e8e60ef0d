//! FHIR search parameters of type date (R4 3.1.1.4.5), for every endpoint that has one. Dates are Japanese dates.

use chrono::{DateTime, Days, Months, NaiveDate, NaiveTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Asia::Tokyo;

use super::problem::Problem;
use super::task::bad_query;

/// What is searched for.
#[derive(Debug, Default)]
pub(super) struct Range {
    /// From an instant, to before another.
    pub bounds: (Option<DateTime<Utc>>, Option<DateTime<Utc>>),
    /// Outside of each of these, from an instant to before another.
    pub without: Vec<Span>,
}

/// From an instant to before another.
type Span = (DateTime<Utc>, DateTime<Utc>);

/// Keeps of `range` what a value with its prefix leaves. What is searched for are points in time, so that `sa` is `gt`
/// and `eb` is `lt`; `ap` allows a tenth of the time between the date and now.
pub(super) fn narrow(range: &mut Range, value: &str, now: DateTime<Utc>) -> Result<(), Problem> {
    let fault = || {
        bad_query(
            "a date is YYYY, YYYY-MM, YYYY-MM-DD or an instant, with prefix eq, ne, ge, gt, sa, le, lt, eb or ap",
        )
    };
    let (prefix, text) = match value.get(..2) {
        Some(prefix @ ("eq" | "ne" | "ge" | "gt" | "sa" | "le" | "lt" | "eb" | "ap")) => {
            (prefix, &value[2..])
        }
        _ => ("eq", value),
    };
    let (start, end) = span(text).ok_or_else(fault)?;
    let (from, until) = match prefix {
        "ne" => {
            range.without.push((start, end));
            (None, None)
        }
        "ge" => (Some(start), None),
        "gt" | "sa" => (Some(end), None),
        "le" => (None, Some(end)),
        "lt" | "eb" => (None, Some(start)),
        "ap" => {
            let slack = (now - start).abs() / 10;
            (start.checked_sub_signed(slack), end.checked_add_signed(slack))
        }
        _ => (Some(start), Some(end)),
    };
    range.bounds.0 = range.bounds.0.max(from);
    range.bounds.1 = range.bounds.1.into_iter().chain(until).min();
    Ok(())
}

/// What a date of any precision covers.
fn span(text: &str) -> Option<Span> {
    let first = match text.len() {
        4 => format!("{text}-01-01"),
        7 => format!("{text}-01"),
        10 => text.to_owned(),
        _ => {
            // A plus sign that was not escaped arrives as a space.
            let at = DateTime::parse_from_rfc3339(&text.replace(' ', "+")).ok()?.to_utc();
            return Some((at, at.checked_add_signed(TimeDelta::microseconds(1))?));
        }
    };
    if !first.bytes().take(4).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let first: NaiveDate = first.parse().ok()?;
    let next = match text.len() {
        4 => first.checked_add_months(Months::new(12)),
        7 => first.checked_add_months(Months::new(1)),
        _ => first.checked_add_days(Days::new(1)),
    };
    let midnight = |date: NaiveDate| {
        Tokyo.from_local_datetime(&date.and_time(NaiveTime::MIN)).single().map(|at| at.to_utc())
    };
    Some((midnight(first)?, midnight(next?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn narrowed(values: &[&str]) -> (Option<String>, Option<String>) {
        let mut range = Range::default();
        for value in values {
            narrow(&mut range, value, "2026-04-11T00:00:00+09:00".parse().unwrap()).unwrap();
        }
        let japanese =
            |at: DateTime<Utc>| at.with_timezone(&Tokyo).format("%Y-%m-%dT%H:%M:%S%.f").to_string();
        assert!(range.without.is_empty());
        (range.bounds.0.map(japanese), range.bounds.1.map(japanese))
    }

    #[test]
    fn prefixes_and_precisions() {
        let (day, next) = ("2026-04-01T00:00:00", "2026-04-02T00:00:00");
        for (values, from, until) in [
            (&["2026-04-01"][..], Some(day), Some(next)),
            (&["eq2026-04-01"], Some(day), Some(next)),
            (&["ge2026-04-01"], Some(day), None),
            (&["gt2026-04-01"], Some(next), None),
            (&["sa2026-04-01"], Some(next), None),
            (&["le2026-04-01"], None, Some(next)),
            (&["lt2026-04-01"], None, Some(day)),
            (&["eb2026-04-01"], None, Some(day)),
            (&["ap2026-04-01"], Some("2026-03-31T00:00:00"), Some("2026-04-03T00:00:00")),
            (&["2026-04"], Some(day), Some("2026-05-01T00:00:00")),
            (&["gt2025-12"], Some("2026-01-01T00:00:00"), None),
            (&["le2026"], None, Some("2027-01-01T00:00:00")),
            (&["2026", "ge2026-04-01", "ge2026-02"], Some(day), Some("2027-01-01T00:00:00")),
            (&["lt2027", "lt2026-04-02"], None, Some(next)),
            (&["2026-03-31T15:00:00Z"], Some(day), Some("2026-04-01T00:00:00.000001")),
            (&["ge2026-04-01T00:00:00 09:00"], Some(day), None),
        ] {
            let expected = (from.map(str::to_owned), until.map(str::to_owned));
            assert_eq!(narrowed(values), expected, "{values:?}");
        }
    }

    #[test]
    fn ne_leaves_out_what_its_date_covers() {
        let mut range = Range::default();
        for value in ["ne2026-04-01", "ge2026", "ne2026-05"] {
            narrow(&mut range, value, DateTime::UNIX_EPOCH).unwrap();
        }
        let days = range.without.iter().map(|(from, to)| (*to - *from).num_days()).collect::<Vec<_>>();
        assert_eq!((days, range.bounds.1), (vec![1, 31], None));
        assert_eq!(range.bounds.0, span("2026").map(|(start, _)| start));
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for wrong in [
            "",
            "2026-02-30",
            "2026-13",
            "202",
            "20260401",
            "-026",
            "+026-04-01",
            "ne2026-02-30",
            "geX",
            "日本",
            "apap2026",
            "9999999",
            "ge",
        ] {
            assert!(narrow(&mut Range::default(), wrong, DateTime::UNIX_EPOCH).is_err(), "{wrong}");
        }
    }
}
