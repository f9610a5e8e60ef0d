//! The directory against a real PostgreSQL: import, look-ups by date, limits on guessing, nothing readable.

#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use hikikae::store::Store;
use hikikae::store::directory::{
    AttemptError, AttemptKind, AttemptLimit, DirectoryEntry, Eligibility, Facility, FacilityKind, Guesses,
    ImportError, Imported, InsuredIdentity, Merge, Sex,
};

use crate::harness::{self, Database, connect};

const HEADER: &str = "person,name,kana,birth_date,sex,insurer_number,symbol,number,branch_number,valid_from,valid_until,card_sha256,deceased_on";
const HANAKO: &str =
    "a,引換 花子,ヒキカエ ハナコ,1950-01-01,female,06000004,七七,3456789,01,2020-04-01,2024-03-31,,";
const HANAKO_LATER: &str = "a,引換 花子,ヒキカエ ハナコ,1950-01-01,female,138016,,9876543,,2024-04-01,,,";
const TWIN_ONE: &str = "t1,双子 一郎,,2015-05-05,male,06000004,88,1,03,2020-04-01,,,";
const TWIN_TWO: &str = "t2,双子 二郎,,2015-05-05,male,06000004,88,1,04,2020-04-01,,,";

fn eligibility(lines: &[&str]) -> Eligibility {
    let text = std::iter::once(&HEADER).chain(lines).copied().collect::<Vec<_>>().join("\n");
    Eligibility::parse(text.as_bytes()).unwrap_or_else(|faults| panic!("{faults:?}"))
}

async fn import(store: &Store, lines: &[&str]) -> Result<Imported, ImportError> {
    store.eligibility_import(&eligibility(lines), &|_, _| {}).await
}

fn date(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

async fn find(
    store: &Store,
    [insurer, symbol, number, branch]: [&str; 4],
    birth_date: &str,
    on: &str,
) -> Option<DirectoryEntry> {
    let identity = InsuredIdentity::parse(insurer, symbol, number, branch).unwrap();
    store.identity_find(&identity, date(birth_date), date(on)).await.unwrap()
}

#[tokio::test]
async fn a_person_is_found_by_the_insurance_of_the_day() {
    let store = harness::store().await;
    let imported = import(&store, &[HANAKO, HANAKO_LATER]).await.unwrap();
    assert_eq!((imported.persons_added, imported.insurances_written), (1, 2));

    let before = ["06000004", "七七", "３４５６７８９", "1"];
    let after = ["00138016", "", "9876543", ""];
    let early = find(&store, before, "1950-01-01", "2024-03-31").await.unwrap();
    let late = find(&store, after, "1950-01-01", "2024-04-01").await.unwrap();
    assert_eq!(early.patient, late.patient);
    assert_eq!(early.patient.particulars.name, "引換 花子");
    assert_eq!(early.patient.particulars.sex, Sex::Female);
    assert_eq!(late.coverage.as_ref().unwrap().identity.insurer_number(), "00138016");
    assert_eq!(early.coverage.unwrap().valid_until, Some(date("2024-03-31")));

    assert!(find(&store, before, "1950-01-01", "2024-04-01").await.is_none(), "ended");
    assert!(find(&store, after, "1950-01-01", "2024-03-31").await.is_none(), "not begun");
    assert!(find(&store, before, "1950-01-02", "2023-01-01").await.is_none(), "another birth date");

    let by_id = store.patient_find(late.patient.id, date("2025-01-01")).await.unwrap().unwrap();
    assert_eq!(by_id.coverage, late.coverage);
    let lapsed = store.patient_find(late.patient.id, date("2019-01-01")).await.unwrap().unwrap();
    assert_eq!(lapsed.coverage, None);
}

#[tokio::test]
async fn of_many_who_are_looked_up_at_once_each_is_found_though_some_turn_away() {
    let store = harness::store().await;
    let line = |number: usize| {
        format!("p{number},人 {number},,1980-02-03,male,06000004,5,{number},00,2020-04-01,,,")
    };
    let lines: Vec<String> = (0..60).map(line).collect();
    import(&store, &lines.iter().map(String::as_str).collect::<Vec<_>>()).await.unwrap();
    // More than run at once, so that most of them travel together; every third asks for nobody.
    let mut askers: Vec<_> = (0..180_usize)
        .map(|asker| {
            let store = store.clone();
            tokio::spawn(async move {
                let number = if asker % 3 == 2 { "none".to_owned() } else { (asker % 60).to_string() };
                find(&store, ["06000004", "5", &number, "00"], "1980-02-03", "2024-01-01").await
            })
        })
        .collect();
    // Whoever turns away, under way or waiting, holds nobody up.
    for gone in askers.drain(..20) {
        gone.abort();
    }
    for (place, asker) in askers.into_iter().enumerate() {
        let asker_number = place + 20;
        let found = asker.await.unwrap().map(|entry| entry.patient.particulars.name);
        let expected = (asker_number % 3 != 2).then(|| format!("人 {}", asker_number % 60));
        assert_eq!(found, expected);
    }
}

#[tokio::test]
async fn the_branch_number_tells_twins_apart_and_its_absence_does_not() {
    let store = harness::store().await;
    import(&store, &[TWIN_ONE, TWIN_TWO, HANAKO]).await.unwrap();
    let on = "2024-01-01";
    let one = find(&store, ["06000004", "88", "1", "03"], "2015-05-05", on).await.unwrap();
    let two = find(&store, ["06000004", "88", "1", "4"], "2015-05-05", on).await.unwrap();
    assert_eq!(one.patient.particulars.name, "双子 一郎");
    assert_eq!(two.patient.particulars.name, "双子 二郎");
    assert!(find(&store, ["06000004", "88", "1", ""], "2015-05-05", on).await.is_none());
    assert!(find(&store, ["06000004", "88", "1", "05"], "2015-05-05", on).await.is_none());
    let unambiguous = find(&store, ["06000004", "七七", "3456789", ""], "1950-01-01", on).await;
    assert_eq!(unambiguous.unwrap().patient.particulars.name, "引換 花子");
}

#[tokio::test]
async fn importing_again_changes_nothing_and_a_changed_file_changes_the_same_person() {
    let store = harness::store().await;
    import(&store, &[HANAKO, TWIN_ONE, TWIN_TWO]).await.unwrap();
    let again = import(&store, &[HANAKO, TWIN_ONE, TWIN_TWO]).await.unwrap();
    assert_eq!(again, Imported { persons: 3, ..Imported::default() });

    // The next file knows her by both insurances and a new name, under another key of its own.
    let id = find(&store, ["06000004", "七七", "3456789", "01"], "1950-01-01", "2023-01-01")
        .await
        .unwrap()
        .patient
        .id;
    let renamed = HANAKO.replace("a,引換 花子", "z,新姓 花子");
    let later = HANAKO_LATER.replace("a,引換 花子", "z,新姓 花子");
    let changed = import(&store, &[&renamed, &later]).await.unwrap();
    assert_eq!((changed.persons_added, changed.persons_changed, changed.insurances_written), (0, 1, 1));
    let found = find(&store, ["138016", "", "9876543", ""], "1950-01-01", "2024-04-01").await.unwrap();
    assert_eq!((found.patient.id, found.patient.particulars.name.as_str()), (id, "新姓 花子"));

    // Her insurance ends.
    let ended = later.replace("2024-04-01,", "2024-04-01,2024-12-31");
    assert_eq!(import(&store, &[&ended]).await.unwrap().insurances_written, 1);
    assert!(find(&store, ["138016", "", "9876543", ""], "1950-01-01", "2025-01-01").await.is_none());
}

#[tokio::test]
async fn a_file_that_contradicts_the_directory_changes_nothing() {
    let store = harness::store().await;
    let other = "o,別人 太郎,,1950-01-01,male,138016,,9876543,,2024-04-01,,,";
    import(&store, &[HANAKO, other, TWIN_ONE, TWIN_TWO]).await.unwrap();
    let fresh = "n,新規 三郎,,1980-01-01,male,06000004,5,5,,2024-04-01,,,";
    let branchless = TWIN_ONE.replace(",03,", ",,");
    // Line 3 makes one person of two known ones; line 4 does not say which twin.
    let refused = import(&store, &[fresh, HANAKO, HANAKO_LATER, &branchless]).await;
    let Err(ImportError::Faults(faults)) = refused else { panic!("imported") };
    let places: Vec<_> = faults.iter().map(|fault| (fault.line, fault.column)).collect();
    assert_eq!(places, [(4, "number"), (5, "branch_number")]);
    assert!(find(&store, ["06000004", "5", "5", ""], "1980-01-01", "2024-05-01").await.is_none());
}

#[tokio::test]
async fn two_imports_at_once_make_one_person() {
    let store = harness::store().await;
    let imports = (0..4).map(|_| import(&store, &[HANAKO, HANAKO_LATER, TWIN_ONE]));
    let imported = futures_util::future::join_all(imports).await;
    assert_eq!(imported.into_iter().map(|done| done.unwrap().persons_added).sum::<usize>(), 2);
}

#[tokio::test]
async fn a_card_finds_its_person_and_ties_a_new_insurance_to_it() {
    let store = harness::store().await;
    let fingerprint = [0xab; 32];
    let card = "ab".repeat(32);
    let with_card = HANAKO.replace(",,", &format!(",{card},"));
    import(&store, &[&with_card]).await.unwrap();
    let found = store.card_find(&fingerprint, date("2023-01-01")).await.unwrap().unwrap();
    assert_eq!(found.patient.particulars.name, "引換 花子");
    assert!(store.card_find(&[0xac; 32], date("2023-01-01")).await.unwrap().is_none());
    let next = format!("{}{card},", HANAKO_LATER.trim_end_matches(',').to_owned() + ",,");
    let tied = import(&store, &[&next]).await.unwrap();
    assert_eq!((tied.persons_added, tied.cards_added), (0, 0));
    let later = store.card_find(&fingerprint, date("2024-05-01")).await.unwrap().unwrap();
    assert_eq!(later.patient.id, found.patient.id);
    assert_eq!(later.coverage.unwrap().identity.number(), "9876543");
}

#[tokio::test]
async fn progress_reaches_the_end() {
    let store = harness::store().await;
    let last = AtomicUsize::new(0);
    let file = eligibility(&[HANAKO, TWIN_ONE, TWIN_TWO]);
    let progress = |done: usize, all: usize| last.store(done * 100 + all, Ordering::Relaxed);
    store.eligibility_import(&file, &progress).await.unwrap();
    assert_eq!(last.load(Ordering::Relaxed), 303);
}

#[tokio::test]
async fn a_changed_or_moved_sealed_value_is_corrupt_not_wrong() {
    let database = Database::migrated().await;
    let store = database.open().await;
    import(&store, &[HANAKO, TWIN_ONE]).await.unwrap();
    let client = connect(&database.config).await;
    client
        .batch_execute(
            "UPDATE patient p SET particulars_sealed = q.particulars_sealed FROM patient q WHERE q.id <> p.id",
        )
        .await
        .unwrap();
    let identity = InsuredIdentity::parse("06000004", "88", "1", "03").unwrap();
    let refused = store.identity_find(&identity, date("2015-05-05"), date("2024-01-01")).await.unwrap_err();
    assert!(refused.to_string().starts_with("patient.particulars_sealed of row"), "{refused}");
}

/// Invariant 8.
#[tokio::test]
async fn a_dump_of_the_directory_shows_nobody() {
    let database = Database::migrated().await;
    let store = database.open().await;
    import(&store, &[HANAKO, HANAKO_LATER, TWIN_ONE, TWIN_TWO]).await.unwrap();
    // The comments of the schema speak Japanese too.
    let dump: String =
        database.dump().lines().filter(|line| !line.starts_with("COMMENT ON")).collect::<Vec<_>>().join("\n");
    assert!(dump.contains("insured_identity") && dump.contains("\\\\x01"), "the dump holds the sealed rows");
    let lines = [HANAKO, HANAKO_LATER, TWIN_ONE];
    let personal = lines.iter().flat_map(|line| line.split([',', ' '])).filter(|word| {
        // Dates of validity are plain; short words occur by chance; sex is a word of the schema's comments.
        let validity = word.starts_with("2020-") || word.starts_with("2024-");
        word.chars().count() > 3 && !validity && *word != "female" && *word != "male" || !word.is_ascii()
    });
    for word in personal {
        assert!(!dump.contains(word), "the dump shows {word}");
        let hex = word.bytes().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        assert!(!dump.contains(&hex), "the dump shows {word} in hexadecimal");
    }
}

#[tokio::test]
async fn a_facility_is_added_changed_and_found() {
    let store = harness::store().await;
    let code = "1311234567".parse().unwrap();
    assert_eq!(store.facility_find(&code).await.unwrap(), None);
    let mut facility =
        Facility {
            code: code.clone(), kind: FacilityKind::Clinic, name: "引換内科".into(), active: true
        };
    store.facility_add(&facility).await.unwrap();
    assert_eq!(store.facility_find(&code).await.unwrap().as_ref(), Some(&facility));
    facility.kind = FacilityKind::Hospital;
    facility.active = false;
    store.facility_add(&facility).await.unwrap();
    assert_eq!(store.facility_find(&code).await.unwrap(), Some(facility));
}

#[tokio::test]
async fn guessing_is_limited_per_facility_kind_and_window() {
    let store = harness::store().await;
    let limit = AttemptLimit { failures: 3, window: Duration::from_mins(10) };
    let guesser = "1311234567".parse().unwrap();
    let neighbour = "1311234575".parse().unwrap();
    let start: DateTime<Utc> = "2026-04-01T00:00:00Z".parse().unwrap();
    let kind = AttemptKind::Identity;

    for second in 0..3 {
        let at = start + TimeDelta::seconds(second);
        store.attempt_check(&Guesses { facility: &guesser, kind, at, limit: &limit }).await.unwrap();
        store.attempt_register(&Guesses { facility: &guesser, kind, at, limit: &limit }).await.unwrap();
    }
    let at = start + TimeDelta::minutes(4);
    for refused in [
        store.attempt_check(&Guesses { facility: &guesser, kind, at, limit: &limit }).await,
        store.attempt_register(&Guesses { facility: &guesser, kind, at, limit: &limit }).await,
    ] {
        let Err(AttemptError::TooMany { retry_after }) = refused else { panic!("{refused:?}") };
        assert_eq!(retry_after, Duration::from_mins(6));
    }
    store.attempt_check(&Guesses { facility: &neighbour, kind, at, limit: &limit }).await.unwrap();
    store
        .attempt_check(&Guesses { facility: &guesser, kind: AttemptKind::ExchangeNumber, at, limit: &limit })
        .await
        .unwrap();

    let next = start + TimeDelta::minutes(10);
    store.attempt_check(&Guesses { facility: &guesser, kind, at: next, limit: &limit }).await.unwrap();
    store.attempt_register(&Guesses { facility: &guesser, kind, at: next, limit: &limit }).await.unwrap();
    store.attempt_check(&Guesses { facility: &guesser, kind, at: next, limit: &limit }).await.unwrap();
}

#[tokio::test]
async fn concurrent_failures_are_all_counted() {
    let store = harness::store().await;
    let limit = AttemptLimit { failures: 10, window: Duration::from_mins(10) };
    let guesser = "1311234567".parse().unwrap();
    let at: DateTime<Utc> = "2026-04-01T00:00:00Z".parse().unwrap();
    let attempt = Guesses { facility: &guesser, kind: AttemptKind::Identity, at, limit: &limit };
    let tries = (0..30).map(|_| store.attempt_register(&attempt));
    let answered = futures_util::future::join_all(tries).await.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(answered, 10);
}

/// An insurance of somebody: number, first and last day.
fn insured(person: &str, name: &str, number: &str, from: &str, until: &str) -> String {
    format!("{person},{name},,1980-02-03,male,06000004,55,{number},01,{from},{until},,")
}

#[tokio::test]
async fn insurances_follow_overlap_and_come_back() {
    let store = harness::store().await;
    let lines = [
        insured("p", "転職 太郎", "1", "2020-04-01", "2022-03-31"),
        insured("p", "転職 太郎", "2", "2022-03-15", "2023-03-31"),
        insured("p", "転職 太郎", "1", "2023-04-01", ""),
    ];
    import(&store, &lines.each_ref().map(String::as_str)).await.unwrap();
    let on = |number: &'static str, day: &'static str| {
        find(&store, ["06000004", "55", number, "01"], "1980-02-03", day)
    };
    let first = on("1", "2021-01-01").await.unwrap();
    // While both hold, each finds the person and is the coverage it was found by.
    for number in ["1", "2"] {
        let both = on(number, "2022-03-20").await.unwrap();
        assert_eq!(both.patient, first.patient);
        assert_eq!(both.coverage.unwrap().identity.number(), number);
    }
    assert!(on("1", "2022-12-01").await.is_none(), "ended, and not begun again");
    let back = on("1", "2024-01-01").await.unwrap();
    assert_eq!((back.patient, back.coverage.unwrap().valid_from), (first.patient, date("2023-04-01")));
    assert!(on("2", "2024-01-01").await.is_none());
}

#[tokio::test]
async fn a_number_given_to_somebody_else_later_is_somebody_elses() {
    let store = harness::store().await;
    let before = insured("p", "先代 一郎", "7", "2015-04-01", "2019-03-31");
    import(&store, &[&before]).await.unwrap();
    // The next holder of symbol and number has another birth date.
    let after = "q,後任 二郎,,1990-09-09,male,06000004,55,7,01,2020-04-01,,,";
    assert_eq!(import(&store, &[after]).await.unwrap().persons_added, 1);
    let number = ["06000004", "55", "7", "01"];
    let first = find(&store, number, "1980-02-03", "2018-01-01").await.unwrap();
    let second = find(&store, number, "1990-09-09", "2021-01-01").await.unwrap();
    assert_ne!(first.patient.id, second.patient.id);
    assert!(find(&store, number, "1980-02-03", "2021-01-01").await.is_none());
    assert!(find(&store, number, "1990-09-09", "2018-01-01").await.is_none());
}

/// A newborn (新生児) whose insurance is not issued yet is entered under a provisional number, and later by the insurer.
#[tokio::test]
async fn a_newborn_is_nobody_until_entered_and_one_person_once_merged() {
    let store = harness::store().await;
    let insurer = ["06000004", "77", "100", "03"];
    assert!(find(&store, insurer, "2026-03-01", "2026-03-10").await.is_none());
    let provisional = "n,赤子 A,,2026-03-01,unknown,80136017,,900001,,2026-03-01,2026-04-30,,";
    import(&store, &[provisional]).await.unwrap();
    let first = find(&store, ["80136017", "", "900001", ""], "2026-03-01", "2026-03-10").await.unwrap();
    let named = "m,赤子 花,,2026-03-01,female,06000004,77,100,03,2026-03-01,,,";
    assert_eq!(import(&store, &[named]).await.unwrap().persons_added, 1, "nothing ties the two");
    let child = find(&store, insurer, "2026-03-01", "2026-03-10").await.unwrap();
    let merge =
        Merge { kept: child.patient.id, merged: first.patient.id, evidence: "母子手帳".to_owned() };
    store.patients_merge(&merge, "2026-04-01T00:00:00Z".parse().unwrap()).await.unwrap();
    let found = find(&store, ["80136017", "", "900001", ""], "2026-03-01", "2026-03-10").await.unwrap();
    assert_eq!(found.patient.id, child.patient.id);
    assert_eq!(found.patient.particulars.name, "赤子 花");
    assert_eq!(found.coverage.unwrap().identity.insurer_number(), "80136017");
    // Both files again: one person, nothing new.
    let again = import(&store, &[provisional]).await.unwrap();
    assert_eq!(again.persons_added, 0);
}
