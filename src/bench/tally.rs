//! Counting answers: latencies in HDR histograms, refusals by code. Knows no HTTP.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::{CreationError, Histogram};
use serde::Serialize;

/// The longest latency told apart, microseconds.
const LONGEST: u64 = 120_000_000;

/// What became of requests of one kind. Latencies are in microseconds.
#[derive(Clone, Debug)]
pub struct Tally {
    done: Histogram<u64>,
    refused: Histogram<u64>,
    codes: BTreeMap<String, u64>,
}

/// A tally as it is reported. Latencies are in milliseconds and of accepted requests; those of refused ones are apart,
/// because a quick refusal is no quick answer.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// Requests done.
    pub done: u64,
    /// The same each second.
    pub per_second: f64,
    /// Latency of half of them.
    pub p50: f64,
    /// Of nine in ten.
    pub p90: f64,
    /// Of 99 in a hundred.
    pub p99: f64,
    /// The longest.
    pub max: f64,
    /// Requests refused, by code; `no-answer` when there was none.
    pub refused: BTreeMap<String, u64>,
    /// Latency of 99 in a hundred refusals.
    pub refused_p99: f64,
}

impl Tally {
    /// Nothing counted yet.
    ///
    /// # Errors
    ///
    /// [`CreationError`], never with these bounds.
    pub fn new() -> Result<Self, CreationError> {
        let histogram = Histogram::new_with_bounds(1, LONGEST, 3)?;
        Ok(Self { done: histogram.clone(), refused: histogram, codes: BTreeMap::new() })
    }

    /// Counts an answer; `refusal` is its code when it is one.
    pub fn count(&mut self, latency: Duration, refusal: Option<String>) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(LONGEST).max(1);
        match refusal {
            None => self.done.saturating_record(micros),
            Some(code) => {
                self.refused.saturating_record(micros);
                *self.codes.entry(code).or_default() += 1;
            }
        }
    }

    /// Adds what another worker has counted.
    pub fn add(&mut self, other: &Self) {
        // Histograms of one shape always add up.
        let _ = self.done.add(&other.done);
        let _ = self.refused.add(&other.refused);
        for (code, count) in &other.codes {
            *self.codes.entry(code.clone()).or_default() += count;
        }
    }

    /// Requests done.
    pub fn done(&self) -> u64 {
        self.done.len()
    }

    /// The figures, when it took so long to count them.
    pub fn figures(&self, took: Duration) -> Figures {
        let quantile = |histogram: &Histogram<u64>, q| millis(histogram.value_at_quantile(q));
        Figures {
            done: self.done.len(),
            per_second: rate(self.done.len(), took),
            p50: quantile(&self.done, 0.5),
            p90: quantile(&self.done, 0.9),
            p99: quantile(&self.done, 0.99),
            max: millis(self.done.max()),
            refused: self.codes.clone(),
            refused_p99: quantile(&self.refused, 0.99),
        }
    }
}

/// How many a second.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
pub fn rate(count: u64, took: Duration) -> f64 {
    let seconds = took.as_secs_f64();
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}

#[expect(clippy::cast_precision_loss, reason = "latencies stay far below 2^52")]
fn millis(micros: u64) -> f64 {
    micros as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_do_not_make_the_service_look_quick() {
        let mut tally = Tally::new().unwrap();
        for millis in 1..=100 {
            tally.count(Duration::from_millis(millis), None);
        }
        let mut other = Tally::new().unwrap();
        for _ in 0..1000 {
            other.count(Duration::from_micros(50), Some("overloaded".to_owned()));
        }
        other.count(Duration::from_hours(1), None);
        tally.add(&other);
        let figures = tally.figures(Duration::from_secs(10));
        assert_eq!((figures.done, figures.refused["overloaded"]), (101, 1000));
        assert!((50.0..52.0).contains(&figures.p50), "{figures:?}");
        assert!(figures.max >= 120_000.0 && figures.refused_p99 < 1.0, "{figures:?}");
        assert!((figures.per_second - 10.1).abs() < 1e-9);
    }
}
