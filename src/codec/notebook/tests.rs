//! Notebooks of others read and written back, what is exported read again, every rule broken once, and whatever bytes
//! may come.

use proptest::prelude::*;

use super::{Class, Dispensed, JoinError, Notebook, SplitError, Version, export, join, read, split, write};
use crate::codec::fault::{Fault, Form, Read};
use crate::codec::hostile::hostile_tests;
use crate::codec::qr::{self, Symbol};
use crate::codec::spelling::says_the_same;
use crate::codec::text::{TextForm, encode};
use crate::codec::{cj1, sj1};
use crate::prescription::reported::{AllergyCategory, Content};
use crate::prescription::strategy;

/// What a pharmacy hands out.
const GIVEN: &str = "JAHISTC08,1
1,試験　花子,2,S350606,105-0004,東京都港区見本1-2-3,03-0000-0000,,A+,52.3,シケン　ハナコ
2,1,卵,1
4,健康診断,20260301,2
5,20260402,1
11,見本薬局,13,4,1234567,,,03-0000-0001,1
15,見本　剤太,,1
51,試験病院,13,1,7654321,1
55,試験　太郎,内科,1
201,1,ノルバスク錠５ｍｇ,1,錠,2,612170710,1,【般】アムロジピン錠５ｍｇ,2,2171022F2ZZZ
291,1,グレープフルーツジュースを避ける,1
301,1,１日１回朝食後　服用,28,日分,1,1,,1
311,1,透析日は休薬,1
201,2,見本軟膏,1,本,1,,1
301,2,,1,調剤,10,1,,1
401,他の薬との併用に注意,1
411,粉砕して交付,31,1
421,残薬は5錠,1
5,20260301,1
11,引換薬局,13,4,7654321,,,,1
51,試験病院,13,1,7654321,1
201,1,別の錠,2,錠,1,,1
301,1,１日２回,14,日分,1,2,1013044400000000,1
391,1,眠気に注意,1
701,見本　剤太,見本薬局,03-0000-0001,20260101,,1";
/// What a patient shows.
const SHOWN: &str = "JAHISTC08,2
1,試験　花子,2,19600606,,,,,,,シケン　ハナコ
2,2,発熱,2
3,見本鎮痛錠,R080301,R080307,2,1,4900000000001
3,見本胃薬,,,2,
4,健康診断,20260301,2
5,20260310,2
11,街の薬局,,,,,,,2
51,街の医院,,,,2
201,1,書き写した薬,3,錠,4,2171022F1029,2
201,2,薬局の薬,3,錠,1,,1
301,1,毎食後,7,日分,1,1,,2
301,2,毎食後,7,日分,1,1,,1
601,めまいがした,20260311";
const FIXTURES: [&str; 2] = [GIVEN, SHOWN];

fn accepted(bytes: &[u8]) -> Notebook {
    let read = read(bytes).unwrap_or_else(|faults| panic!("{faults:#?}\n{}", String::from_utf8_lossy(bytes)));
    assert_eq!(write(&read.value, &read.form), bytes);
    read.value
}

fn dos(text: &str) -> Vec<u8> {
    encode(text, TextForm::DOS)
}

#[test]
fn fixtures_are_kept_in_either_encoding() {
    for fixture in FIXTURES {
        let value = accepted(fixture.as_bytes());
        assert_eq!(accepted(&dos(fixture)), value);
        assert_eq!(write(&value, &Form::default()), dos(fixture));
    }
}

#[test]
fn notebooks_of_others_are_read_and_written_back() {
    for name in ["tc-minimal-valid.txt", "tc-supported-records-full.txt"] {
        let path = format!(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/samples/{}"), name);
        let Ok(bytes) = std::fs::read(&path) else {
            eprintln!("skipped: the foreign documents are not beside the project");
            return;
        };
        let value = accepted(&bytes);
        // As it is in the field.
        let in_the_field = dos(std::str::from_utf8(&bytes).unwrap().trim_end_matches('\n'));
        assert_eq!(accepted(&in_the_field), value);
    }
}

/// Every rule broken once: what is replaced in which notebook, and where the faults are.
const BROKEN: [(&str, &str, &str, &[&str]); 41] = [
    (GIVEN, "JAHISTC08,1", "JAHISTC09,1", &["[line 1]"]),
    (GIVEN, "JAHISTC08,1", "JAHISTC+8,1", &["[line 1]"]),
    (GIVEN, "JAHISTC08,1", "JAHISTC08,3", &["[line 1]"]),
    (GIVEN, "JAHISTC08,1", "JAHISTC08,1,x", &["[line 1]"]),
    (GIVEN, "試験　花子,2,", ",2,", &["[line 2].1.1"]),
    (GIVEN, "花子,2,", "花子,3,", &["[line 2].1.2"]),
    (GIVEN, "S350606", "H350606", &["[line 2].1.3"]),
    (GIVEN, "105-0004", "1050-004", &["[line 2].1.4"]),
    (GIVEN, ",03-0000-0000", ",tel", &["[line 2].1.6"]),
    (GIVEN, "52.3", "52kg", &["[line 2].1.9"]),
    (GIVEN, "2,1,卵", "2,4,卵", &["[line 3].2.1"]),
    (GIVEN, "2,1,卵,1", "2,1,卵,3", &["[line 3].2.3"]),
    (GIVEN, "2,1,卵,1", "2,1,,1", &["[line 3].2.2"]),
    (GIVEN, "5,20260402", "5,20260431", &["[line 5].5.1"]),
    (GIVEN, "11,見本薬局,13,4,1234567", "11,見本薬局,48,4,1234567", &["[line 6].11.2"]),
    (GIVEN, "11,見本薬局,13,4,1234567", "11,見本薬局,13,2,1234567", &["[line 6].11.3"]),
    (
        GIVEN,
        "11,見本薬局,13,4,1234567",
        "11,見本薬局,,,",
        &["[line 6].11.3", "[line 6].11.2", "[line 6].11.4"],
    ),
    (GIVEN, "11,見本薬局,13,4,1234567,,,03-0000-0001,1\n", "", &["[line 5].11"]),
    (GIVEN, "51,試験病院,13,1,7654321,1\n", "", &["[line 9].51"]),
    (
        GIVEN,
        "201,1,ノ",
        "201,0,ノ",
        &["[line 10].201.1", "[line 10].301", "[line 11].291.1", "[line 12].301.1", "[line 13].311.1"],
    ),
    (GIVEN, ",1,錠,2,6121", ",01,錠,2,6121", &["[line 10].201.3"]),
    (GIVEN, ",1,錠,2,6121", ",1,,2,6121", &["[line 10].201.4"]),
    (GIVEN, "錠,2,612170710", "錠,5,612170710", &["[line 10].201.5"]),
    (GIVEN, "錠,2,612170710", "錠,2,", &["[line 10].201.6"]),
    (GIVEN, "錠,2,612170710", "錠,1,612170710", &["[line 10].201.6"]),
    (GIVEN, "2,2171022F2ZZZ", "1,2171022F2ZZZ", &["[line 10].201.10"]),
    (GIVEN, "2,2171022F2ZZZ", "2,2171022F1029", &["[line 10].201.10"]),
    (GIVEN, "291,1,", "291,3,", &["[line 11].291.1"]),
    (GIVEN, "１日１回朝食後　服用", "", &["[line 12].301.2"]),
    (GIVEN, "28,日分", "28,日", &["[line 12].301.4"]),
    (GIVEN, "日分,1,1,,1\n311", "日分,8,1,,1\n311", &["[line 12].301.5"]),
    (GIVEN, "日分,1,1,,1\n311", "日分,1,3,,1\n311", &["[line 12].301.6"]),
    (GIVEN, "311,1,", "311,2,", &["[line 13].311.1"]),
    (GIVEN, "301,2,,1,調剤,10,1,,1\n", "", &["[line 14].301"]),
    (GIVEN, "411,粉砕して交付,31", "411,粉砕して交付,32", &["[line 17].411.2"]),
    (GIVEN, "701,", "801,", &["[line 25]"]),
    (
        GIVEN,
        "\n401,他の薬との併用に注意,1\n411,粉砕して交付,31,1\n",
        "\n411,粉砕して交付,31,1\n401,他の薬との併用に注意,1\n",
        &["[line 17].401"],
    ),
    (SHOWN, "1,試験　花子,2,19600606,,,,,,,シケン　ハナコ\n", "", &[".1"]),
    (
        SHOWN,
        "5,20260310,2\n",
        "",
        &[
            "[line 7].11",
            "[line 8].51",
            "[line 9].201",
            "[line 10].201",
            "[line 11].301",
            "[line 12].301",
            "[line 13].601",
        ],
    ),
    (SHOWN, "4900000000001", "4900000000001\n31,2,見本成分,,,2", &["[line 5].31.1"]),
    (SHOWN, "20260311", "20260311\n911,1234567890123,2,3", &["[line 15].911.1", "[line 15].911.3"]),
];

#[test]
fn each_broken_rule_names_its_place() {
    let wrong: Vec<_> = BROKEN
        .iter()
        .filter_map(|(document, old, new, expected)| {
            assert!(document.contains(old), "{old}");
            let changed = document.replacen(old, new, 1);
            let faults = read(changed.as_bytes()).err().unwrap_or_default();
            let places: Vec<_> = faults.iter().map(|fault| fault.place.replace("TC", "")).collect();
            (places != *expected).then_some((old, new, expected, places))
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What is warned of for the sake of the header: other warnings are of the content.
fn of_versions(read: &Read<Notebook>) -> Vec<Fault> {
    read.warnings.iter().filter(|warning| warning.message.contains("JAHISTC")).cloned().collect()
}

#[test]
fn older_versions_and_newer_records_are_warned_of() {
    let warned = |text: &str| -> Vec<String> {
        of_versions(&read(text.as_bytes()).unwrap()).into_iter().map(|warning| warning.place).collect()
    };
    let ingredient = SHOWN.replace("4900000000001", "4900000000001\n31,1,見本成分,,,2");
    assert!(warned(&ingredient).is_empty() && warned(GIVEN).is_empty());
    // The sequence of record 3, and record 31; of the pharmacy's the generic name.
    assert_eq!(warned(&ingredient.replace("JAHISTC08", "JAHISTC07")), ["TC[line 4].3", "TC[line 5].31"]);
    assert_eq!(warned(&GIVEN.replace("JAHISTC08", "JAHISTC07")), ["TC[line 10].201"]);
    let plain = SHOWN.replace(",1,4900000000001", "");
    assert!(warned(&plain.replace("JAHISTC08", "JAHISTC07")).is_empty());
    assert_eq!(warned(&plain.replace("JAHISTC08", "JAHISTC05")), ["TC[line 1]"]);
}

#[test]
fn what_the_patient_says_is_taken_and_nothing_else() {
    let with_ingredient = SHOWN.replace("4900000000001", "4900000000001\n31,1,見本成分,,,2");
    let notebook = accepted(with_ingredient.as_bytes());
    assert_eq!(notebook.birth_date().unwrap().to_string(), "1960-06-06");
    let [
        Content::Allergy(allergy),
        Content::Medicine(painkiller),
        Content::Medicine(stomach),
        Content::Medicine(copied),
    ]: [Content; 4] = notebook.reported().try_into().unwrap()
    else {
        panic!("an adverse reaction and three medicines")
    };
    assert_eq!((allergy.name.as_str(), allergy.category), ("発熱", Some(AllergyCategory::Medication)));
    assert_eq!(
        (painkiller.name.as_str(), painkiller.ingredients.as_slice()),
        ("見本鎮痛錠", &["見本成分".to_owned()][..])
    );
    assert_eq!(painkiller.from.unwrap().to_string(), "2026-03-01");
    assert_eq!((stomach.name.as_str(), stomach.until), ("見本胃薬", None));
    assert_eq!((copied.name.as_str(), copied.code.unwrap().as_str()), ("書き写した薬", "2171022F1029"));
    assert_eq!(copied.until.unwrap().to_string(), "2026-03-16");
    // What a pharmacy handed out is not the patient's account.
    assert!(accepted(GIVEN.as_bytes()).reported().is_empty());
}

const DOCUMENTS: [(&str, &str); 3] = [
    (
        include_str!("../../../fixtures/documents/general-internal-as-prescribed.cj1.csv"),
        include_str!("../../../fixtures/documents/general-internal.sj1.csv"),
    ),
    (
        include_str!("../../../fixtures/documents/as-needed-external-after-inquiry.cj1.csv"),
        include_str!("../../../fixtures/documents/as-needed-external.sj1.csv"),
    ),
    (
        include_str!("../../../fixtures/documents/refill-first-use.cj1.csv"),
        include_str!("../../../fixtures/documents/refill.sj1.csv"),
    ),
];

#[test]
fn what_was_dispensed_is_exported_newest_first() {
    let documents: Vec<_> = DOCUMENTS
        .iter()
        .map(|(dispensing, prescription)| {
            let dispensing = cj1::read(dispensing.as_bytes()).unwrap().value;
            (dispensing, sj1::read(prescription.as_bytes()).unwrap().value)
        })
        .collect();
    let dispensed: Vec<_> =
        documents.iter().map(|(dispensing, prescription)| Dispensed { dispensing, prescription }).collect();
    let notebook = export(&dispensed, Version::Tc08).unwrap();
    let bytes = write(&notebook, &Form::default());
    assert_eq!(accepted(&bytes), notebook);
    assert_eq!(notebook.class(), Class::ToPatient);
    let text = encoding_rs::SHIFT_JIS.decode(&bytes).0;
    let days: Vec<&str> = text.lines().filter(|line| line.starts_with("5,")).collect();
    assert!(days.len() == 3 && days.is_sorted_by(|newer, older| newer >= older), "{days:?}");
    assert!(text.starts_with("JAHISTC08,1\r\n1,") && text.ends_with("\r\n"));
    assert!(!["6,", "7,", "511,"].iter().any(|record| text.contains(&format!("\n{record}"))));
    let before = write(&export(&dispensed, Version::Tc07).unwrap(), &Form::default());
    assert_eq!(before, [b"JAHISTC07", &bytes["JAHISTC08".len()..]].concat(), "the header alone differs");
    assert!(export(&[], Version::Tc08).is_none());
}

#[test]
fn a_name_outside_shift_jis_is_seen_to_be_incomplete() {
    let (dispensing, prescription) = DOCUMENTS[0];
    let mut dispensing = cj1::read(dispensing.as_bytes()).unwrap().value;
    let prescription = sj1::read(prescription.as_bytes()).unwrap().value;
    dispensing.patient.name = "𠮷田　試代".to_owned();
    dispensing.patient.kana = Some("ヨシダ　タメシヨ".to_owned());
    let dispensed = Dispensed { dispensing: &dispensing, prescription: &prescription };
    let notebook = export(&[dispensed], Version::Tc08).unwrap();
    let bytes = write(&notebook, &Form::default());
    let text = encoding_rs::SHIFT_JIS.decode(&bytes).0;
    assert!(text.contains("\n1,■田　試代,") && text.contains("ヨシダ　タメシヨ"), "{text}");
}

const ID: &str = "20260402120000";

#[test]
fn parts_are_complete_fit_their_symbols_and_join_in_any_order() {
    parts_of(&accepted(GIVEN.replace("JAHISTC08", "JAHISTC07").as_bytes()));
    parts_of(&accepted(GIVEN.as_bytes()));
}

fn parts_of(notebook: &Notebook) {
    assert_eq!(split(notebook, ID, 2_000).unwrap(), std::slice::from_ref(notebook));
    let mut parts = split(notebook, ID, 450).unwrap();
    assert!(parts.len() > 2);
    for part in &parts {
        let bytes = write(part, &Form::default());
        assert!(bytes.len() <= 450);
        assert_eq!(accepted(&bytes), *part);
        assert_eq!(qr::decoded(&Symbol::of(&bytes).unwrap()), bytes);
    }
    parts.rotate_left(1);
    assert_eq!(join(&parts).unwrap(), *notebook);
    let mut missing = parts.clone();
    missing.pop();
    assert_eq!(join(&missing), Err(JoinError::Missing));
    let mut repeated = missing.clone();
    repeated.push(parts[0].clone());
    assert_eq!(join(&repeated), Err(JoinError::Repeated));
    let mut mixed = missing;
    mixed.push(split(notebook, "20260402120001", 450).unwrap().remove(0));
    assert_eq!(join(&mixed), Err(JoinError::Mixed));
    assert_eq!(join(std::slice::from_ref(notebook)), Err(JoinError::NotAPart));
    assert_eq!(join(&[]), Err(JoinError::NotAPart));
    assert_eq!(split(&parts[0], ID, 100), Err(SplitError::IsPart));
    assert_eq!(split(notebook, ID, 150), Err(SplitError::TooLarge));
}

/// What is exported of generated dispensings, one or several, in either version.
fn notebook() -> impl Strategy<Value = Notebook> {
    let documents = proptest::collection::vec((strategy::dispensing(), strategy::prescription()), 1..4);
    (documents, prop_oneof![Just(Version::Tc07), Just(Version::Tc08)]).prop_map(|(documents, version)| {
        let dispensed: Vec<_> = documents
            .iter()
            .map(|(dispensing, prescription)| Dispensed { dispensing, prescription })
            .collect();
        export(&dispensed, version).unwrap()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_export_reads_back_and_holds_nothing_its_version_does_not_know(notebook in notebook()) {
        let bytes = write(&notebook, &Form::default());
        let read = read(&bytes).unwrap();
        prop_assert_eq!(of_versions(&read), []);
        prop_assert_eq!(&read.value, &notebook);
        prop_assert_eq!(write(&read.value, &read.form), bytes);
    }

    #[test]
    fn what_is_split_is_joined_again(notebook in notebook(), limit in 300usize..4_000, turn in any::<usize>()) {
        match split(&notebook, ID, limit) {
            Ok(mut parts) if parts.len() > 1 => {
                for part in &parts {
                    let bytes = write(part, &Form::default());
                    prop_assert!(bytes.len() <= limit && read(&bytes).is_ok());
                }
                let turn = turn % parts.len();
                parts.rotate_left(turn);
                prop_assert_eq!(join(&parts).unwrap(), notebook);
            }
            Ok(parts) => prop_assert_eq!(parts, [notebook]),
            Err(error) => prop_assert_eq!(error, SplitError::TooLarge),
        }
    }
}

hostile_tests!("JAHISTC0[78],[12](\n[0-9]{1,3}(,[0-9A-Zあ.]{0,4}){0,11}){0,30}", notebook());
