//! Every rule of CJ1 broken once in a good document, the good documents read and written back, and whatever bytes
//! may come.

use proptest::prelude::*;

use super::{read, write};
use crate::codec::fault::Form;
use crate::codec::hostile::hostile_tests;
use crate::codec::spelling::says_the_same;
use crate::prescription::dispensing::{Dispensing, LineNote};
use crate::prescription::strategy;

const GENERAL: &str = include_str!("../../../fixtures/documents/general-internal-as-prescribed.cj1.csv");
const GENERIC: &str = include_str!("../../../fixtures/documents/generic-name-substituted.cj1.csv");
const INQUIRY: &str = include_str!("../../../fixtures/documents/as-needed-external-after-inquiry.cj1.csv");
const REFILL: &str = include_str!("../../../fixtures/documents/refill-first-use.cj1.csv");
const NARCOTIC: &str = include_str!("../../../fixtures/documents/narcotic-as-prescribed.cj1.csv");

const FIXTURES: [&str; 5] = [GENERAL, GENERIC, INQUIRY, REFILL, NARCOTIC];

fn accepted(text: &str) -> Dispensing {
    let read = read(text.as_bytes()).unwrap_or_else(|faults| panic!("{faults:#?}"));
    assert_eq!(String::from_utf8(write(&read.value, &read.form)).unwrap(), text);
    read.value
}

fn places(text: &str) -> Vec<String> {
    let faults = read(text.as_bytes()).expect_err("a fault");
    faults.into_iter().map(|fault| fault.place.replace("CJ1", "")).collect()
}

/// The document with the first `old` replaced.
fn changed(text: &str, old: &str, new: &str) -> String {
    assert!(text.contains(old), "{old} is not in the document");
    text.replacen(old, new, 1)
}

#[test]
fn fixtures_are_canonical() {
    for text in FIXTURES {
        let value = accepted(text);
        assert_eq!(String::from_utf8(write(&value, &Form::default())).unwrap(), text);
    }
}

#[test]
fn a_foreign_document_is_read_and_written_back() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/samples/Dispensing-005_03.CJ1.csv");
    let Ok(text) = std::fs::read_to_string(path) else {
        eprintln!("skipped: the foreign documents are not beside the project");
        return;
    };
    let value = accepted(&text);
    assert_eq!((value.groups.len(), value.days_supplied(), value.inquiries.len()), (2, 14, 1));
    assert_eq!(String::from_utf8(write(&value, &Form::default())).unwrap(), text);
}

#[test]
fn other_spellings_of_the_same_are_accepted_and_kept() {
    let same = accepted(GENERAL);
    for (old, new) in [
        ("CJ1,\n", "CJ1\n"),
        ("5,20261120,", "5,20261120"),
        ("5,20261120,", "5,20261120,1"),
        ("15,見本　薬子,,", "15,見本　薬子"),
        ("301,1,１日１回朝食後　服用,28,", "301,1,１日１回朝食後　服用,028,"),
    ] {
        assert_eq!(accepted(&changed(GENERAL, old, new)), same, "{new}");
    }
    assert_eq!(accepted(&format!("{GENERAL}\n")), same);
}

#[test]
fn what_was_dispensed_is_understood() {
    assert_eq!(accepted(GENERAL).days_supplied(), 28);
    assert_eq!(accepted(INQUIRY).days_supplied(), 0);
    assert_eq!(
        accepted(changed(GENERAL, "7,0190b6f0-0000-8000-8000-000000000001,", "7,,").as_str()).prescription_id,
        None
    );
    let generic = accepted(GENERIC);
    let notes: Vec<_> = generic.groups[0].lines.iter().map(|line| line.notes.len()).collect();
    assert_eq!(notes, [1, 0], "a note belongs to the drug it follows");
    assert!(matches!(generic.groups[0].lines[0].notes[0], LineNote::Supplement(_)));
}

/// A good document, what is replaced by what, and the places of the faults that must follow.
type Broken = (&'static str, &'static str, &'static str, &'static [&'static str]);

const BROKEN: &[Broken] = &[
    // Text and header.
    (GENERAL, "5,20261120,\n", "5,20261120,\r\n", &["[line 3]"]),
    (GENERAL, "CJ1,\n", "CJ1,1\n", &["[line 1]"]),
    (GENERAL, "CJ1,\n", "", &["[line 1]"]),
    (GENERAL, "421,", "701,", &["[line 17]"]),
    // Mandatory records.
    (GENERAL, "1,試験　花子,2,19560412,,,,,,,ｼｹﾝ ﾊﾅｺ\n", "", &[".1"]),
    (GENERAL, "5,20261120,\n", "", &[".5"]),
    (GENERAL, "6,1,06138762,１２３,４５６７,00\n", "", &[".6"]),
    (GENERAL, "7,0190b6f0-0000-8000-8000-000000000001,\n", "", &[".7"]),
    (
        GENERAL,
        "11,見本調剤薬局,13,4,1234567,100-0002,東京都千代田区見本町３丁目３番,03-0000-0010,\n",
        "",
        &[".11"],
    ),
    (GENERAL, "15,見本　薬子,,\n", "", &[".15"]),
    (
        GENERAL,
        "301,2,１日２回朝夕食後　服用,28,日分,1,3,1012040400000000,\n",
        "",
        &["[line 13].301", "[line 15].311"],
    ),
    (
        REFILL,
        "201,1,ノルバスク錠５ｍｇ,1,錠,2,612170710,\n201,1,クレストール錠２．５ｍｇ,1,錠,4,2189017F1022,\n301,1,１日１回朝食後　服用,30,日分,1,3,1011000400000000,\n",
        "",
        &[".201", ".301"],
    ),
    // Order, repetition, width.
    (GENERAL, "5,20261120,\n", "5,20261120,\n5,20261120,\n", &["[line 4].5"]),
    (GENERAL, "421,", "2,1,見本,\n421,", &["[line 17].2"]),
    (
        GENERAL,
        "421,",
        "401,見本,\n201,3,見本,1,錠,1,,\n301,3,見本,1,日分,1,1,,\n421,",
        &["[line 18].201", "[line 19].301"],
    ),
    (GENERAL, "421,", "501,見本,\n421,", &["[line 18].421"]),
    (GENERAL, "5,20261120,", "5,20261120,,,", &["[line 3].5.3"]),
    (GENERAL, "5,20261120,", "5,20261120,3", &["[line 3].5.2"]),
    (
        GENERAL,
        "201,2,",
        "201,1,",
        &["[line 13].201.1", "[line 14].291.1", "[line 15].301.1", "[line 16].311.1"],
    ),
    (GENERAL, "291,2,", "291,1,", &["[line 14].291.1"]),
    (GENERAL, "301,2,", "301,1,", &["[line 15].301.1"]),
    (GENERAL, "311,2,一包化,", "291,2,一包化,", &["[line 16].291"]),
    (GENERAL, "311,2,一包化,", "391,2,見本,\n311,2,一包化,", &["[line 17].311"]),
    (GENERAL, "311,2,一包化,", "301,2,見本,28,日分,1,1,,", &["[line 16].301"]),
    (GENERAL, "201,1,ノルバスク錠５ｍｇ", "281,1,見本,\n201,1,ノルバスク錠５ｍｇ", &["[line 10].281"]),
    // Patient, identity, institutions.
    (GENERAL, "1,試験　花子,2,", "1,,2,", &["[line 2].1.1"]),
    (GENERAL, "1,試験　花子,2,", "1,試験　花子,0,", &["[line 2].1.2"]),
    (GENERAL, "19560412", "19561312", &["[line 2].1.3"]),
    (GENERAL, "19560412", "20261121", &["[line 2].1.3"]),
    (GENERAL, "19560412,,,,,,,", "19560412,,,,,,5.1234,", &["[line 2].1.9"]),
    (INQUIRY, "2,3,", "2,4,", &["[line 3].2.1"]),
    (INQUIRY, "光線過敏症の既往あり", "", &["[line 3].2.2"]),
    (GENERAL, "5,20261120,", "4,見本,20260230,\n5,20261120,", &["[line 3].4.2"]),
    (GENERAL, "5,20261120,", "5,,", &["[line 3].5.1"]),
    (GENERAL, "6,1,", "6,2,", &["[line 4].6.1"]),
    (GENERAL, "４５６７,00", "４５６７,000", &["[line 4].6.5"]),
    (GENERAL, "0190b6f0-", "0190B6F0-", &["[line 5].7.1"]),
    (GENERAL, "7,0190b6f0-", "7,0190b6f0", &["[line 5].7.1"]),
    (GENERAL, "11,見本調剤薬局", "11,", &["[line 6].11.1"]),
    (GENERAL, "13,4,1234567", "13,6,1234567", &["[line 6].11.3"]),
    (GENERAL, "13,4,1234567", "13,4,123456", &["[line 6].11.4"]),
    (GENERAL, "13,4,1234567", "00,4,1234567", &["[line 6].11.2"]),
    (GENERAL, "見本　薬子", "", &["[line 7].15.1"]),
    (GENERAL, "51,見本内科クリニック,13,1", "51,見本内科クリニック,13,4", &["[line 8].51.3"]),
    (GENERAL, "55,見本　一郎", "55,", &["[line 9].55.1"]),
    // Groups.
    (GENERAL, "ノルバスク錠５ｍｇ,1,錠", ",1,錠", &["[line 10].201.2"]),
    (GENERAL, "ノルバスク錠５ｍｇ,1,錠", "ノルバスク錠５ｍｇ,0,錠", &["[line 10].201.3"]),
    (GENERAL, "ノルバスク錠５ｍｇ,1,錠", "ノルバスク錠５ｍｇ,1,", &["[line 10].201.4"]),
    (GENERIC, "2,620004924", "7,2233002F1ZZZ", &["[line 10].201.5"]),
    (GENERIC, "2,620004924", "2,", &["[line 10].201.6"]),
    (GENERIC, "2,620004924", "1,620004924", &["[line 10].201.6"]),
    (REFILL, "2189017F1022", "2189017F1021", &["[line 11].201.6"]),
    (GENERAL, "１日１回朝食後　服用", "", &["[line 12].301.2"]),
    (GENERAL, "28,日分,1,3,1011", "0,日分,1,3,1011", &["[line 12].301.3"]),
    (GENERAL, "28,日分,1,3,1011", "28,日,1,3,1011", &["[line 12].301.4"]),
    (GENERAL, "28,日分,1,3,1011", "28,日分,8,3,1011", &["[line 12].301.5"]),
    (GENERAL, "28,日分,1,3,1011", "28,日分,1,4,1011", &["[line 12].301.6"]),
    (GENERAL, "28,日分,1,3,1011", "28,日分,1,1,1011", &["[line 12].301.7"]),
    (GENERAL, "28,日分,1,3,1011", "28,日分,1,3,1012", &["[line 12].301.7"]),
    (GENERAL, "検査の前後は医師の指示に従ってください", "", &["[line 14].291.2"]),
    (GENERAL, "一包化", "", &["[line 16].311.2"]),
    // Notes.
    (INQUIRY, ",99,", ",98,", &["[line 18].411.2"]),
    (INQUIRY, "511,999,", "511,,", &["[line 19].511.1"]),
    (INQUIRY, "511,999,", "511,9999,", &["[line 19].511.1"]),
    (REFILL, "リフィル１回目、次回調剤予定日２０２６年１２月２０日", "", &["[line 13].501.1"]),
];

#[test]
fn each_broken_rule_names_its_place() {
    let wrong: Vec<_> = BROKEN
        .iter()
        .filter_map(|(document, old, new, expected)| {
            let found = places(&changed(document, old, new));
            (found != *expected).then_some((old, new, expected, found))
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn materials_may_go_without_a_usage() {
    let material = changed(INQUIRY, "１日３回　点眼,1,調剤,5,3,2H73000000000000", ",1,調剤,9,1,");
    assert_eq!(accepted(&material).groups[2].usage_name, None);
}

#[test]
fn all_faults_are_found_at_once() {
    let text = changed(GENERAL, "13,4,1234567", "13,6,1234567");
    let text = changed(&text, "5,20261120,\n", "");
    let text = changed(&text, "28,日分,1,3,1011", "28,日,1,3,1012");
    assert_eq!(places(&text), [".5", "[line 5].11.3", "[line 11].301.4", "[line 11].301.7"]);
}

hostile_tests!("CJ1,(\n[0-9]{1,3}(,[0-9A-Zあ.]{0,4}){0,11}){0,30}", strategy::dispensing());
