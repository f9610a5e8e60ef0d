//! How long a check takes: five lines against thirty periods, as registering an ordinary prescription of a patient
//! with many medicines does it, on the formulary inside the program and, where the official masters are beside the
//! project and can be read, on those. Says beside it how long loading them takes and how much memory they fill.

#![expect(clippy::expect_used, reason = "nothing is measured when something is missing")]

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use chrono::{Days, NaiveDate};
use criterion::{Criterion, criterion_group, criterion_main};
use hikikae::check::{Candidate, LineContent, Period, Policy, Proposal, Source, Supply, check};
use hikikae::formulary::Formulary;
use hikikae::prescription::identifier::DrugCode;

const LINES: usize = 5;
const PERIODS: usize = 30;

/// Receipt codes spread over the whole formulary.
fn codes(formulary: &Formulary, count: usize, from: usize) -> Vec<DrugCode> {
    let all: Vec<&String> =
        formulary.products().filter_map(|product| product.receipt_code.as_ref()).collect();
    let step = (all.len() / count).max(1);
    all.into_iter().skip(from).step_by(step).take(count).cloned().map(DrugCode::Receipt).collect()
}

fn proposal(formulary: &Formulary, start: NaiveDate) -> Proposal {
    let lines = (1..).zip(codes(formulary, LINES, 0)).map(|(number, code)| Candidate {
        place: format!("SJ1[line {number}]"),
        rp: number,
        line: 1,
        content: LineContent::Drug,
        code: Some(code),
        name: String::new(),
        start,
        supply: Supply::Days(28),
    });
    Proposal {
        institution: "1311234567".parse().expect("ten digits"),
        documents: Vec::new(),
        split: None,
        lines: lines.collect(),
    }
}

fn history(formulary: &Formulary, start: NaiveDate) -> Vec<Period> {
    let period = |(number, code): (u64, DrugCode)| Period {
        source: Source::Dispensed,
        document: format!("d{number}"),
        content: LineContent::Drug,
        code: Some(code),
        name: String::new(),
        substance: None,
        interval: Supply::Days(28).interval_from(start - Days::new(number % 28)),
        institution: "1319876543".parse().ok(),
        institution_name: String::new(),
        split: None,
    };
    (0..).zip(codes(formulary, PERIODS, 0)).map(period).collect()
}

fn bench(criterion: &mut Criterion, name: &str, formulary: &Formulary) {
    let start = NaiveDate::default();
    let (proposal, history) = (proposal(formulary, start), history(formulary, start));
    let policy = Policy::default();
    let found = check(&proposal, &history, formulary, &policy).findings.len();
    let products = formulary.products().count();
    eprintln!("{name}: {products} products, {LINES} lines against {PERIODS} periods, {found} findings");
    criterion.bench_function(name, |bencher| {
        bencher.iter(|| check(black_box(&proposal), black_box(&history), formulary, &policy));
    });
}

/// Memory in use by the process, in KiB, where the system says it.
fn resident() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Loads a formulary and says what that takes. Memory freed since counts, so take it as an estimate.
fn loaded<E>(name: &str, load: impl FnOnce() -> Result<Formulary, E>) -> Result<Formulary, E> {
    let (before, start) = (resident(), Instant::now());
    let formulary = load()?;
    let time = start.elapsed();
    match before.zip(resident()) {
        Some((before, after)) => eprintln!("{name}: loaded in {time:.0?}, {} KiB", after - before),
        None => eprintln!("{name}: loaded in {time:.0?}"),
    }
    Ok(formulary)
}

fn checks(criterion: &mut Criterion) {
    let fixture = loaded("formulary inside the program", Formulary::fixture).expect("it loads");
    bench(criterion, "check, formulary inside the program", &fixture);
    let masters = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    match loaded("official masters", || Formulary::from_dir("masters", &masters)) {
        Ok(formulary) => bench(criterion, "check, official masters", &formulary),
        Err(error) => eprintln!("skipped, official masters: {error}"),
    }
}

criterion_group!(benches, checks);
criterion_main!(benches);
