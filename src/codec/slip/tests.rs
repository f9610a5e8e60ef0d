//! Slips of the fixtures: the same bytes each time, their text and their QR code read by other programs.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Fonts, Slip};
use crate::codec::sj1;
use crate::prescription::document::Prescription;
use crate::prescription::registered::{DocumentVersion, Registered};
use crate::prescription::state::{Kind, Life, Shown, Terms};

const GENERAL: &str = include_str!("../../../fixtures/documents/general-internal.sj1.csv");
const REFILL: &str = include_str!("../../../fixtures/documents/refill.sj1.csv");
const SPLIT: &str = include_str!("../../../fixtures/documents/split.sj1.csv");

/// The fonts of the configuration's default; `None`, said plainly, when they are not installed.
fn fonts() -> Option<Fonts> {
    let (fonts, errors) = Fonts::find(&crate::config::Config::default().slip_fonts);
    if !errors.is_empty() {
        eprintln!("skipped: not all fonts of slips are installed (fonts-ipaexfont-gothic, fonts-noto-cjk)");
        return None;
    }
    fonts
}

fn prescription(text: &str) -> Prescription {
    sj1::read(text.as_bytes()).unwrap().value
}

fn registered(prescription: &Prescription) -> Registered {
    let at = "2026-11-20T03:00:00Z".parse().unwrap();
    let terms = Terms {
        valid_until: prescription.valid_until(),
        first_due: None,
        uses_allowed: prescription.uses_allowed(),
    };
    Registered {
        id: "01924a1c-7d00-8abc-9def-0123456789ab".parse().unwrap(),
        version: 1,
        clinic: prescription.institution.code.clone(),
        clinic_name: prescription.institution.name.clone(),
        exchange_number: None,
        issued_on: prescription.issued_on,
        registered_at: at,
        changed_at: at,
        life: Life::issued(Kind::Electronic, terms),
        document: DocumentVersion { number: 1, at },
    }
}

fn pdf(prescription: &Prescription, shown: Shown, fonts: &Fonts) -> Vec<u8> {
    let number = "123456".parse().unwrap();
    Slip { prescription, registered: &registered(prescription), number: &number, shown }.pdf(fonts).unwrap()
}

/// What `program` makes of a PDF; `None`, said plainly, when it is not installed.
fn through(program: &str, arguments: &[&str], pdf: &[u8], output: &str) -> Option<Vec<u8>> {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| -> PathBuf { directory.path().join(name) };
    std::fs::write(path("slip.pdf"), pdf).unwrap();
    let run = Command::new(program)
        .args(arguments)
        .arg(path("slip.pdf"))
        .arg(path(output.trim_end_matches(".pgm")))
        .output();
    let Ok(done) = run else {
        eprintln!("skipped: {program} (poppler-utils) is not installed");
        return None;
    };
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    Some(std::fs::read(path(output)).unwrap())
}

/// The text of a PDF without its spaces, which tell of the layout.
fn text_of(pdf: &[u8]) -> Option<String> {
    let text = String::from_utf8(through("pdftotext", &["-layout"], pdf, "slip.txt")?).unwrap();
    Some(without_spaces(&text))
}

fn without_spaces(text: &str) -> String {
    text.chars().filter(|character| !character.is_whitespace()).collect()
}

/// A rendered page's grey values, from the portable graymap that pdftoppm writes.
fn page_of(pdf: &[u8]) -> Option<(usize, usize, Vec<u8>)> {
    let image = through("pdftoppm", &["-gray", "-r", "200", "-singlefile"], pdf, "page.pgm")?;
    let mut parts = image.splitn(4, u8::is_ascii_whitespace);
    let mut number = || std::str::from_utf8(parts.next().unwrap()).unwrap().parse::<usize>();
    let _ = number();
    let (width, height) = (number().unwrap(), number().unwrap());
    Some((width, height, image[image.len() - width * height..].to_vec()))
}

#[test]
fn the_same_slip_is_the_same_bytes() {
    let Some(fonts) = fonts() else { return };
    let prescription = prescription(GENERAL);
    let first = pdf(&prescription, Shown::Issued, &fonts);
    assert!(first.starts_with(b"%PDF-") && first.len() < 200_000, "{}", first.len());
    assert_eq!(pdf(&prescription, Shown::Issued, &fonts), first);
}

#[test]
fn its_text_can_be_taken_from_it() {
    let Some(fonts) = fonts() else { return };
    let Some(text) = text_of(&pdf(&prescription(GENERAL), Shown::Issued, &fonts)) else { return };
    for said in [
        "処方内容（控え）",
        "引換番号",
        "2026年11月23日（月）まで",
        "試験　花子 様",
        "見本内科クリニック",
        "ノルバスク錠５ｍｇ",
        "１日１回朝食後　服用",
        "28日分",
        "後発品変更不可",
        "Exchange number",
        "123456",
        "1日1錠",
    ] {
        assert!(text.contains(&without_spaces(said)), "{said}\n{text}");
    }
}

#[test]
fn what_matters_of_refill_split_and_state_is_said() {
    let Some(fonts) = fonts() else { return };
    for (document, shown, said) in [
        (REFILL, Shown::Issued, "総使用回数 3 回のうち 1 回目"),
        (REFILL, Shown::Issued, "次回調剤予定日の前後７日以内"),
        (SPLIT, Shown::Issued, "3 回のうち 1 回目"),
        (SPLIT, Shown::Issued, "14日分（全42）"),
        (GENERAL, Shown::Cancelled, "取り消されました / Cancelled"),
        (GENERAL, Shown::Expired, "使用期限が過ぎました / Expired"),
    ] {
        let Some(text) = text_of(&pdf(&prescription(document), shown, &fonts)) else { return };
        assert!(text.contains(&without_spaces(said)), "{said}\n{text}");
    }
}

#[test]
fn its_qr_code_decodes_from_the_rendered_page() {
    let Some(fonts) = fonts() else { return };
    let prescription = prescription(GENERAL);
    let registered = registered(&prescription);
    let number = "123456".parse().unwrap();
    let slip =
        Slip { prescription: &prescription, registered: &registered, number: &number, shown: Shown::Issued };
    assert_eq!(slip.qr_text(), "06138762,１２３,４５６７,00,19560412,123456");
    let Some((width, height, grey)) = page_of(&slip.pdf(&fonts).unwrap()) else { return };
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(width, height, |x, y| grey[y * width + x]);
    let mut bytes = Vec::new();
    image.detect_grids()[0].decode_to(&mut bytes).unwrap();
    assert_eq!(encoding_rs::SHIFT_JIS.decode(&bytes).0, slip.qr_text());
}

#[test]
fn rare_characters_print_or_are_seen_to_be_missing() {
    let Some(fonts) = fonts() else { return };
    let mut prescription = prescription(GENERAL);
    prescription.patient.name = Some("𠮷田　試代".to_owned());
    let Some(text) = text_of(&pdf(&prescription, Shown::Issued, &fonts)) else { return };
    assert!(text.contains("𠮷田試代様") && !text.contains('〓'), "{text}");
    // An unassigned code point: no font will ever have it.
    prescription.patient.name = Some("\u{2ffff}田　試代".to_owned());
    let text = text_of(&pdf(&prescription, Shown::Issued, &fonts)).unwrap();
    assert!(text.contains("〓田試代様") && text.contains("〓=U+2FFFF"), "{text}");
}

#[test]
fn a_long_list_flows_to_further_pages() {
    let Some(fonts) = fonts() else { return };
    let mut prescription = prescription(GENERAL);
    let group = prescription.groups[0].clone();
    prescription.groups =
        (1..=20).map(|number| crate::prescription::line::RpGroup { number, ..group.clone() }).collect();
    let Some(text) = text_of(&pdf(&prescription, Shown::Issued, &fonts)) else { return };
    assert_eq!(text.matches("ノルバスク錠５ｍｇ").count(), 20);
    assert!(text.contains("1/4") && text.contains("4/4"), "{text}");
}

#[test]
fn a_font_that_is_none_is_told() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let (fonts, errors) = Fonts::find(&[file, PathBuf::from("/nowhere/font.ttf")]);
    assert!(fonts.is_none());
    assert!(errors[0].to_string().contains("Cargo.toml: ") && errors[1].to_string().contains("font.ttf: "));
}

#[test]
fn a_font_that_has_gone_since_prints_nothing() {
    let Some(_) = fonts() else { return };
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("font.ttf");
    std::fs::copy(&crate::config::Config::default().slip_fonts[0], &file).unwrap();
    let (fonts, errors) = Fonts::find(std::slice::from_ref(&file));
    assert!(errors.is_empty());
    std::fs::remove_file(&file).unwrap();
    assert!(!fonts.unwrap().usable());
}
