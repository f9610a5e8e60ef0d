//! Every rule of SJ1 broken once in a good document, the good documents read and written back, and whatever bytes
//! may come.

use proptest::prelude::*;

use super::{read, write};
use crate::codec::fault::Form;
use crate::codec::hostile::hostile_tests;
use crate::codec::spelling::says_the_same;
use crate::prescription::document::Prescription;
use crate::prescription::strategy;

const GENERAL: &str = include_str!("../../../fixtures/documents/general-internal.sj1.csv");
const AS_NEEDED: &str = include_str!("../../../fixtures/documents/as-needed-external.sj1.csv");
const GENERIC: &str = include_str!("../../../fixtures/documents/generic-name.sj1.csv");
const NARCOTIC: &str = include_str!("../../../fixtures/documents/narcotic.sj1.csv");
const SPLIT: &str = include_str!("../../../fixtures/documents/split.sj1.csv");
const REFILL: &str = include_str!("../../../fixtures/documents/refill.sj1.csv");
const UNEVEN: &str = include_str!("../../../fixtures/documents/uneven-converted.sj1.csv");
const DENTAL: &str = include_str!("../../../fixtures/documents/dental.sj1.csv");
const INFANT: &str = include_str!("../../../fixtures/documents/infant-powder.sj1.csv");
const PAYER: &str = include_str!("../../../fixtures/documents/public-payer.sj1.csv");

const FIXTURES: [&str; 10] =
    [GENERAL, AS_NEEDED, GENERIC, NARCOTIC, SPLIT, REFILL, UNEVEN, DENTAL, INFANT, PAYER];

fn accepted(text: &str) -> Prescription {
    let read = read(text.as_bytes()).unwrap_or_else(|faults| panic!("{faults:#?}"));
    assert_eq!(String::from_utf8(write(&read.value, &read.form)).unwrap(), text);
    read.value
}

fn places(text: &str) -> Vec<String> {
    let faults = read(text.as_bytes()).expect_err("a fault");
    faults.into_iter().map(|fault| fault.place.replace("SJ1", "")).collect()
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
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/samples/Prescription-004_01.SJ1.csv");
    let Ok(text) = std::fs::read_to_string(path) else {
        eprintln!("skipped: the foreign documents are not beside the project");
        return;
    };
    let value = accepted(&text);
    assert_eq!((value.groups.len(), value.uses_allowed(), value.is_narcotic()), (2, 1, false));
    assert_eq!(String::from_utf8(write(&value, &Form::default())).unwrap(), text);
}

#[test]
fn other_spellings_of_the_same_are_accepted_and_kept() {
    let same = accepted(GENERAL);
    for (old, new) in [
        ("1,1,1234567", "1,,1234567"),
        ("24,030,070", "24,30,70"),
        ("3,03-0000-0001,03-0000-0002,", "3,03-0000-0001,03-0000-0002"),
        ("181,2,1,2,一包化,,", "181,2,1,2,一包化"),
        ("181,2,1,2,一包化,,", "181,2,1,02,一包化,,,"),
        ("101,1,1,,28", "101,001,1,,028"),
    ] {
        assert_eq!(accepted(&changed(GENERAL, old, new)), same, "{new}");
    }
    assert_eq!(accepted(&format!("{GENERAL}\n")), same);
    assert_eq!(accepted(&changed(NARCOTIC, "\n61,", "\n60,")), accepted(NARCOTIC));
    assert_eq!(accepted(&changed(PAYER, "231,2,1,0,0,0,0", "231,2,1,,,")), accepted(PAYER));
    assert_eq!(accepted(&changed(DENTAL, "4,1,,歯科", "4,,,歯科")), accepted(DENTAL));
}

#[test]
fn a_form_never_changes_another_value() {
    let spelled = read(changed(GENERAL, "24,030,070", "24,30,70").as_bytes()).unwrap();
    let mut other = spelled.value.clone();
    other.insurance.rates.as_mut().unwrap().burden = 20;
    let again = read(&write(&other, &spelled.form)).unwrap();
    assert_eq!(again.value, other);
}

#[test]
fn texts_cannot_break_out_of_their_item() {
    let mut value = accepted(GENERAL);
    value.patient.name = Some("試験,花子\n81,9,,".to_owned());
    let again = read(&write(&value, &Form::default())).unwrap();
    assert_eq!(again.value.patient.name.as_deref(), Some("試験，花子 81，9，，"));
    assert_eq!(again.value.remarks, value.remarks);
}

#[test]
fn validity_and_uses_follow_the_document() {
    assert_eq!(accepted(GENERAL).valid_until().to_string(), "2026-11-23");
    assert_eq!(accepted(INFANT).valid_until().to_string(), "2026-11-30");
    assert_eq!((accepted(GENERAL).uses_allowed(), accepted(REFILL).uses_allowed()), (1, 3));
    assert!(accepted(NARCOTIC).is_narcotic());
}

/// A good document, what is replaced by what, and the places of the faults that must follow.
type Broken = (&'static str, &'static str, &'static str, &'static [&'static str]);

const BROKEN: &[Broken] = &[
    // Text.
    (GENERAL, "12,2\n", "12,2\r\n", &["[line 8]"]),
    (GENERAL, "12,2\n", "12,2\n\n", &["[line 9]"]),
    (GENERAL, "見本内科", "見本\0内科", &["[line 2]"]),
    (GENERAL, "見本内科クリニック", "\"見本内科クリニック\"", &["[line 2]"]),
    (GENERAL, "見本内科", "見本\u{202e}内科", &["[line 2]"]),
    (GENERAL, "SJ1\n", "\u{feff}SJ1\n", &["[line 1]"]),
    (GENERAL, "SJ1\n", "", &["[line 1]"]),
    (GENERAL, "SJ1\n", "SJ2\n", &["[line 1]"]),
    (GENERAL, "62,2\n", "99,2\n", &["[line 15]"]),
    // Mandatory records.
    (GENERAL, "1,1,1234567,13,見本内科クリニック\n", "", &[".1"]),
    (GENERAL, "5,,ﾐﾎﾝ ｲﾁﾛｳ,見本　一郎\n", "", &[".5"]),
    (GENERAL, "11,1001,試験　花子,ｼｹﾝ ﾊﾅｺ\n", "", &[".11"]),
    (GENERAL, "12,2\n", "", &[".12"]),
    (GENERAL, "13,19560412\n", "", &[".13"]),
    (GENERAL, "22,06138762\n", "", &[".22"]),
    (GENERAL, "23,１２３,４５６７,1,00\n", "", &[".23"]),
    (GENERAL, "51,20261120\n", "", &[".51"]),
    (GENERAL, "111,1,3,1011000400000000,１日１回朝食後　服用,1\n", "", &["[line 17].111"]),
    (
        REFILL,
        "201,1,1,1,2,612170710,ノルバスク錠５ｍｇ,1,1,錠\n201,1,2,1,4,2189017F1022,クレストール錠２．５ｍｇ,1,1,錠",
        "181,1,1,,見本,,",
        &["[line 16].201"],
    ),
    // Order, repetition, width.
    (GENERAL, "12,2\n13,19560412\n", "13,19560412\n12,2\n", &["[line 9].12"]),
    (GENERAL, "12,2\n", "12,2\n12,2\n", &["[line 9].12"]),
    (GENERAL, "302,1", "62,1\n302,1", &["[line 27].62"]),
    (GENERAL, "12,2\n", "12,2,,\n", &["[line 8].12.2"]),
    (GENERAL, "12,2\n", "12,2,1\n", &["[line 8].12.2"]),
    (
        GENERAL,
        "101,2,1,,28",
        "101,1,1,,28",
        &["[line 22].101.1", "[line 23].111.1", "[line 24].181.1", "[line 25].201.1", "[line 26].241.1"],
    ),
    (GENERAL, "201,1,2,1,2", "201,1,1,1,2", &["[line 20].201.2", "[line 21].281.2"]),
    (GENERAL, "111,2,3", "111,1,3", &["[line 23].111.1"]),
    (GENERAL, "281,1,2,1", "281,1,1,1", &["[line 21].281.2"]),
    (GENERAL, "101,1,1,,28\n", "", &["[line 17].111", "[line 18].201", "[line 19].201", "[line 20].281"]),
    (
        GENERAL,
        "101,2,1,,28\n",
        "101,2,1,,28\n101,3,1,,28\n",
        &[
            "[line 22].111",
            "[line 22].201",
            "[line 24].111.1",
            "[line 25].181.1",
            "[line 26].201.1",
            "[line 27].241.1",
        ],
    ),
    (
        GENERAL,
        "111,2,3,1012040400000000,１日２回朝夕食後　服用,2\n181,2,1,2,一包化,,\n",
        "181,2,1,2,一包化,,\n111,2,3,1012040400000000,１日２回朝夕食後　服用,2\n",
        &["[line 24].111"],
    ),
    (GENERAL, "241,2,1,1,2", "241,2,1,1,2\n211,2,1,2", &["[line 27].211"]),
    (GENERAL, "241,2,1,1,2", "241,2,1,1,2\n241,2,1,1,2", &["[line 27].241"]),
    (GENERAL, "302,1", "302,1,見本\n101,3,1,,1\n302,2", &["[line 28].101", "[line 28].111", "[line 28].201"]),
    (
        NARCOTIC,
        "301,1,オキシコンチンＴＲ錠１０ｍｇ,突出痛の回数を服薬時に確認してください",
        "302,1,見本\n301,1,,見本",
        &["[line 21].301"],
    ),
    // Institution, department, prescriber, patient.
    (GENERAL, "1,1,1234567,13,", "1,2,1234567,13,", &["[line 2].1.1"]),
    (GENERAL, "1,1,1234567,13,", "1,1,123456,13,", &["[line 2].1.2"]),
    (GENERAL, "1,1,1234567,13,", "1,1,1234567,48,", &["[line 2].1.3"]),
    (GENERAL, "1,1,1234567,13,", "1,1,,,", &["[line 2].1.3", "[line 2].1.2"]),
    (GENERAL, "2,100-0001,東京都千代田区見本町１丁目１番", "2,,", &["[line 3].2.1"]),
    (GENERAL, "2,100-0001,", "2,1000-001,", &["[line 3].2.1"]),
    (GENERAL, "3,03-0000-0001,", "3,,", &["[line 4].3.1"]),
    (GENERAL, "3,03-0000-0001,", "3,０３,", &["[line 4].3.1"]),
    (GENERAL, "4,2,01,内科", "4,1,01,内科", &["[line 5].4.2"]),
    (GENERAL, "4,2,01,内科", "4,2,,内科", &["[line 5].4.2"]),
    (GENERAL, "4,2,01,内科", "4,1,,", &["[line 5].4.3"]),
    (GENERAL, "見本　一郎", "", &["[line 6].5.3"]),
    (GENERAL, "11,1001,試験　花子,ｼｹﾝ ﾊﾅｺ", "11,1001,,", &["[line 7].11.2"]),
    (GENERAL, "試験　花子", "試験試験試験試験試験試験試験試験試験試験試", &["[line 7].11.2"]),
    (GENERAL, "12,2\n", "12,3\n", &["[line 8].12.1"]),
    (GENERAL, "13,19560412", "13,19560231", &["[line 9].13.1"]),
    (GENERAL, "13,19560412", "13,3310412", &["[line 9].13.1"]),
    (GENERAL, "13,19560412", "13,20261121", &["[line 9].13.1"]),
    (NARCOTIC, "14,1", "14,6", &["[line 10].14.1"]),
    // Insurance.
    (GENERAL, "21,1\n", "21,8\n", &["[line 10].21.1"]),
    (GENERAL, "22,06138762", "22,061387621234567", &["[line 11].22.1"]),
    (GENERAL, "４５６７,1,00", "４５６７,,00", &["[line 12].23.3"]),
    (GENERAL, "４５６７,1,00", "４５６７,1,0", &["[line 12].23.4"]),
    (GENERAL, "24,030,070", "24,030,101", &["[line 13].24.2"]),
    (GENERAL, "24,030,070", "24,030", &["[line 13].24.2"]),
    (GENERAL, "51,2", "25,4\n51,2", &["[line 14].25.1"]),
    (PAYER, "27,54136023", "27,5413602", &["[line 14].27.1"]),
    (PAYER, "1234566", "12345660", &["[line 14].27.2"]),
    (PAYER, "31,1122", "31,112", &["[line 15].31.1"]),
    (GENERAL, "51,2", "30,,特\n51,2", &["[line 14].30.1"]),
    // Conditions of the whole.
    (GENERAL, "51,20261120", "51,20261131", &["[line 14].51.1"]),
    (INFANT, "52,20261130", "52,20261119", &["[line 16].52.1"]),
    (NARCOTIC, "東京都千代田区見本町２丁目２番", "", &["[line 16].61.2"]),
    (NARCOTIC, "03-0000-0003", "", &["[line 16].61.3"]),
    (NARCOTIC, "101,1,1,,14", "64,2\n101,1,1,,14", &["[line 17].64.1"]),
    (GENERAL, "62,2", "62,3", &["[line 15].62.1"]),
    (SPLIT, "63,3,1", "63,4,1", &["[line 15].63.1"]),
    (SPLIT, "63,3,1", "63,2,3", &["[line 15].63.2"]),
    (SPLIT, "63,3,1\n", "63,3,1\n64,2\n", &["[line 16].64.1"]),
    (SPLIT, "63,3,1\n", "", &["[line 17].102.2", "[line 21].102.2"]),
    (SPLIT, "102,2,14,42\n", "", &["[line 21].102"]),
    (SPLIT, "102,1,14,42", "102,1,14,43", &["[line 18].102.3"]),
    (SPLIT, "102,1,14,42", "102,1,43,42", &["[line 18].102.2"]),
    (SPLIT, "102,1,14,42\n", "102,1,14,42\n102,1,14,42\n", &["[line 19].102"]),
    (REFILL, "64,3", "64,1", &["[line 15].64.1"]),
    (REFILL, "64,3", "64,4", &["[line 15].64.1"]),
    (GENERAL, "81,1,1,", "81,0,1,", &["[line 16].81.1"]),
    (GENERAL, "81,1,1,", "81,1,4,", &["[line 16].81.2"]),
    (GENERAL, "81,1,1,一包化\n", "81,1,1,一包化\n81,1,,見本\n", &["[line 17].81.1"]),
    (GENERAL, "101,1,", "82,2,123456\n101,1,", &["[line 17].82.1"]),
    (GENERAL, "101,1,", "82,1,12345678901234567\n101,1,", &["[line 17].82.2"]),
    (GENERAL, "101,1,", "82,1,12345a\n101,1,", &["[line 17].82.2"]),
    // Groups and usage.
    (GENERAL, "101,1,1,,28", "101,1,7,,28", &["[line 17].101.2"]),
    (GENERAL, "101,1,1,,28", "101,1,1,粉,28", &["[line 17].101.3"]),
    (GENERAL, "101,1,1,,28", "101,1,1,,0", &["[line 17].101.4"]),
    (GENERAL, "101,1,1,,28", "101,1,1,,1000", &["[line 17].101.4"]),
    (GENERAL, "111,1,3,1011000400000000", "111,1,4,1011000400000000", &["[line 18].111.2"]),
    (GENERAL, "111,1,3,1011000400000000", "111,1,1,1011000400000000", &["[line 18].111.3"]),
    (GENERAL, "111,1,3,1011000400000000", "111,1,3,", &["[line 18].111.3"]),
    (GENERAL, "111,1,3,1011000400000000", "111,1,3,1012000400000000", &["[line 18].111.3"]),
    (GENERAL, "１日１回朝食後　服用", "", &["[line 18].111.4"]),
    (GENERAL, "181,2,1,2,", "181,2,1,8,", &["[line 24].181.5"]),
    (GENERAL, "181,2,1,2,", "181,2,1,9,", &["[line 24].181.6"]),
    (GENERAL, "181,2,1,2,", "181,2,1,10,", &["[line 24].181.3"]),
    (GENERAL, "181,2,1,2,一包化", "181,2,1,2,", &["[line 24].181.4"]),
    // Drugs.
    (GENERAL, "201,1,1,1,2,612170710", "201,1,1,4,2,612170710", &["[line 19].201.3"]),
    (GENERAL, "201,1,1,1,2,612170710", "201,1,1,1,5,612170710", &["[line 19].201.4"]),
    (GENERAL, "201,1,1,1,2,612170710", "201,1,1,1,2,", &["[line 19].201.5"]),
    (GENERAL, "201,1,1,1,2,612170710", "201,1,1,1,1,612170710", &["[line 19].201.5"]),
    (GENERAL, "201,1,1,1,2,612170710", "201,1,1,1,2,512170710", &["[line 19].201.5"]),
    (REFILL, "2189017F1022", "2189017F1023", &["[line 19].201.5"]),
    (REFILL, "201,1,2,1,4,2189017F1022", "201,1,2,1,6,21890170", &["[line 19].201.5"]),
    (REFILL, "クレストール錠２．５ｍｇ", "", &["[line 19].201.6"]),
    (GENERIC, "2239001F1ZZZ", "2233002F1280", &["[line 17].201.5"]),
    (GENERAL, "612170710,ノルバスク錠５ｍｇ", "777770000,", &["[line 19].201.6"]),
    (GENERAL, "ノルバスク錠５ｍｇ,1,1,錠", "ノルバスク錠５ｍｇ,1.0,1,錠", &["[line 19].201.7"]),
    (GENERAL, "ノルバスク錠５ｍｇ,1,1,錠", "ノルバスク錠５ｍｇ,1,3,錠", &["[line 19].201.8"]),
    (GENERAL, "ノルバスク錠５ｍｇ,1,1,錠", "ノルバスク錠５ｍｇ,1,1,", &["[line 19].201.9"]),
    (UNEVEN, "211,2,1,250", "211,2,1,0", &["[line 22].211.3"]),
    (UNEVEN, "221,1,1,2,1,1,,,V12.0NNN,V21.0NNN,V31.0NNN,,", "221,1,1,2,,,,,,,,,", &["[line 18].221.4"]),
    (UNEVEN, "221,1,1,2,1,1,", "221,1,1,2,1,,1", &["[line 18].221.5"]),
    (UNEVEN, "V31.0NNN,,", "V31.0NNN,V41.0NNN,", &["[line 18].221.11"]),
    (PAYER, "231,2,1,0,0,0,0", "241,2,1,1,", &["[line 24].231"]),
    (PAYER, "231,2,1,0,0,0,0", "231,2,1,2,0,0,0", &["[line 25].231.3"]),
    (GENERAL, "241,2,1,1,2", "241,2,1,,2", &["[line 26].241.3"]),
    (GENERAL, "281,1,2,1,3,", "281,1,2,1,7,", &["[line 21].281.6"]),
    (GENERAL, "281,1,2,1,3,後発品変更不可,", "281,1,2,1,9,見本,", &["[line 21].281.4"]),
    (NARCOTIC, "突出痛の回数を服薬時に確認してください", "", &["[line 20].301.3"]),
    (GENERAL, "302,1,", "302,0,", &["[line 27].302.1"]),
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
fn all_faults_are_found_at_once() {
    let text = changed(GENERAL, "12,2\n", "12,3\n");
    let text = changed(&text, "22,06138762\n", "");
    let text = changed(&text, "ノルバスク錠５ｍｇ,1,1,錠", "ノルバスク錠５ｍｇ,0,1,");
    assert_eq!(places(&text), [".22", "[line 8].12.1", "[line 18].201.7", "[line 18].201.9"]);
}

#[test]
fn odd_but_acceptable_things_are_warnings() {
    let warned = |text: &str| -> Vec<String> {
        let warnings = read(text.as_bytes()).unwrap().warnings;
        warnings.into_iter().map(|warning| warning.place.replace("SJ1", "")).collect()
    };
    // The fixtures' institution is nobody's.
    assert_eq!(warned(GENERAL), ["[line 2].1.2"]);
    assert_eq!(warned(&changed(GENERAL, "06138762", "06138763")), ["[line 2].1.2", "[line 11].22.1"]);
    assert_eq!(warned(&changed(GENERAL, "試験　花子", "試験花子　")), ["[line 2].1.2", "[line 7].11.2"]);
    assert_eq!(warned(&changed(GENERAL, "ｼｹﾝ ﾊﾅｺ", "シケン　ハナコ")), ["[line 2].1.2", "[line 7].11.3"]);
    assert_eq!(warned(&changed(NARCOTIC, "第２６－００００１号", "")), ["[line 2].1.2", "[line 16].61.1"]);
}

#[test]
fn codes_for_what_has_no_code_are_accepted() {
    accepted(&changed(GENERAL, "201,1,1,1,2,612170710", "201,1,1,1,2,666660000"));
    accepted(&changed(GENERAL, "201,1,1,1,2,612170710", "201,1,1,2,2,777770000"));
    accepted(&changed(GENERAL, "201,1,1,1,2,612170710", "201,1,1,,4,2000000X0000"));
    accepted(&changed(GENERAL, "1011000400000000", "0X0XXXXXXXXX0000"));
    accepted(&changed(GENERAL, "612170710,ノルバスク錠５ｍｇ", "612170710,"));
}

#[test]
fn size_and_faults_are_bounded() {
    assert_eq!(places(&"x".repeat(512 * 1024 + 1)), [""]);
    assert_eq!(places(&"\n".repeat(3_000)), [""]);
    assert_eq!(places(""), [""]);
    assert_eq!(places(&format!("SJ1\n{}", "x\n".repeat(1_500))).len(), 201);
    let not_utf8 = read(b"SJ1\n1,\x83\x41").unwrap_err();
    assert_eq!((not_utf8.len(), not_utf8[0].place.as_str()), (1, "SJ1[line 2]"));
}

#[test]
fn faults_never_repeat_what_a_field_contained() {
    for fault in read(GENERAL.replace(",1", ",秘密").as_bytes()).unwrap_err() {
        assert!(!fault.to_string().contains("秘密") && !fault.to_string().contains("花子"), "{fault}");
    }
}

hostile_tests!("SJ1(\n[0-9]{1,3}(,[0-9A-Zあ.]{0,4}){0,13}){0,30}", strategy::prescription());
