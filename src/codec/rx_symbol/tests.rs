//! Every fixture as a symbol and back, and whatever bytes may come.

use proptest::prelude::*;

use super::{read, write};
use crate::codec::fault::Form;
use crate::codec::hostile::hostile_tests;
use crate::codec::sj1;
use crate::codec::spelling::says_the_same;
use crate::prescription::document::Prescription;
use crate::prescription::line::UsageCoding;
use crate::prescription::strategy;

/// A symbol as text; the hostile tests change it.
const GENERAL: &str = "JAHIS10
1,1,1234567,13,試験病院
4,2,01,内科
5,,ｼｹﾝ ﾀﾛｳ,試験　太郎
11,,試験　花子,ｼｹﾝ ﾊﾅｺ
12,2
13,3350606
21,1
22,06138762
23,１２,３４５,1,00
51,5080401
82,1,123456
101,1,1,,28
111,1,2,1011000400000000,１日１回朝食後　服用,1
201,1,1,1,2,612170710,ノルバスク錠５ｍｇ,1,1,錠
281,1,1,1,3,後発品変更不可,";
const REFILL: &str = "JAHIS10
1,,1234567,13,
5,,,試験　太郎
11,,試験　花子,
12,2
13,19600606
22,
23,,,1,
51,20260401
64,3
101,1,2,,10
111,1,1,,疼痛時　服用,
201,1,1,,1,,バイアグラ,0.25,1,錠";
const FIXTURES: [&str; 2] = [GENERAL, REFILL];

const SJ1: [&str; 9] = [
    include_str!("../../../fixtures/documents/general-internal.sj1.csv"),
    include_str!("../../../fixtures/documents/generic-name.sj1.csv"),
    include_str!("../../../fixtures/documents/as-needed-external.sj1.csv"),
    include_str!("../../../fixtures/documents/refill.sj1.csv"),
    include_str!("../../../fixtures/documents/split.sj1.csv"),
    include_str!("../../../fixtures/documents/narcotic.sj1.csv"),
    include_str!("../../../fixtures/documents/public-payer.sj1.csv"),
    include_str!("../../../fixtures/documents/uneven-converted.sj1.csv"),
    include_str!("../../../fixtures/documents/dental.sj1.csv"),
];

/// What of a prescription a symbol says.
fn said(prescription: &Prescription) -> Prescription {
    let mut said = prescription.clone();
    said.clinical_notes.clear();
    said.laboratory_values.clear();
    for group in &mut said.groups {
        if matches!(group.usage.code, UsageCoding::Master(_)) {
            group.usage.code = UsageCoding::Uncoded;
        }
    }
    said
}

#[test]
fn every_fixture_is_written_and_read_again() {
    for fixture in SJ1 {
        let prescription = sj1::read(fixture.as_bytes()).unwrap().value;
        let bytes = write(&prescription, &Form::default());
        assert!(bytes.starts_with(b"JAHIS10\r\n") && bytes.ends_with(b"\r\n\x1a"));
        let again = read(&bytes).unwrap_or_else(|faults| panic!("{faults:#?}"));
        assert_eq!(again.value, said(&prescription));
        assert_eq!(write(&again.value, &again.form), bytes);
    }
}

#[test]
fn dates_are_by_era_and_both_spellings_are_kept() {
    let value = read(GENERAL.as_bytes()).unwrap().value;
    assert_eq!(value.patient.birth_date.to_string(), "1960-06-06");
    assert_eq!(value.issued_on.to_string(), "2026-04-01");
    for fixture in FIXTURES {
        let read = read(fixture.as_bytes()).unwrap_or_else(|faults| panic!("{faults:#?}"));
        assert_eq!(write(&read.value, &read.form), fixture.as_bytes());
    }
}

#[test]
fn rare_characters_and_commas_are_replaced() {
    let mut prescription = read(GENERAL.as_bytes()).unwrap().value;
    prescription.patient.name = Some("𠮷田　試代".to_owned());
    prescription.groups[0].lines[0].name = Some("配合錠Ａ,Ｂ".to_owned());
    let again = read(&write(&prescription, &Form::default())).unwrap().value;
    assert_eq!(again.patient.name.as_deref(), Some("■田　試代"));
    assert_eq!(again.groups[0].lines[0].name.as_deref(), Some("配合錠Ａ，Ｂ"));
}

#[test]
fn what_only_the_national_service_has_is_refused_with_its_place() {
    for (old, new, place) in [
        ("JAHIS10", "SJ1", "JAHIS10[line 1]"),
        ("111,1,2,1011", "111,1,3,1011", "JAHIS10[line 14].111.2"),
        ("281,1,1,1,3,後発品変更不可,", "302,1,見本", "JAHIS10[line 16]"),
        ("13,3350606", "13,33506", "JAHIS10[line 7].13.1"),
        ("51,5080401", "51,R080401", "JAHIS10[line 11].51.1"),
    ] {
        let faults = read(GENERAL.replace(old, new).as_bytes()).unwrap_err();
        assert_eq!(
            faults.iter().map(|fault| fault.place.as_str()).collect::<Vec<_>>(),
            [place],
            "{faults:#?}"
        );
    }
}

/// A prescription that has been through a symbol once.
fn in_a_symbol() -> impl Strategy<Value = Prescription> {
    strategy::prescription().prop_map(|prescription| {
        let bytes = write(&prescription, &Form::default());
        read(&bytes).unwrap_or_else(|faults| panic!("{faults:#?}")).value
    })
}

hostile_tests!("JAHIS10(\n[0-9]{1,3}(,[0-9A-Zあ.]{0,4}){0,13}){0,30}", in_a_symbol());
