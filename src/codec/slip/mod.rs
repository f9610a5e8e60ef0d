//! 処方内容（控え）: the paper a patient takes home, A5, with the exchange number (引換番号) large and as a QR code. It is
//! no prescription, and says so. The same input gives the same bytes.

mod font;
mod page;
#[cfg(test)]
mod tests;

use chrono::{Datelike, NaiveDate};

pub use font::{FontError, Fonts};
use page::{BLACK, GREY, LEFT, PALE, Pages, RIGHT};

use super::qr::Symbol;
use super::text::in_shift_jis;
use crate::prescription::document::Prescription;
use crate::prescription::line::{DosageKind, Line, RpGroup};
use crate::prescription::registered::{ExchangeNumber, Registered};
use crate::prescription::state::{DUE_WINDOW, Shown, State};

/// The slip cannot be made: its content does not fit into a symbol, or the PDF is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the slip cannot be made")]
pub struct SlipError;

/// What a slip says.
#[derive(Clone, Debug)]
pub struct Slip<'a> {
    /// The prescription as it was registered.
    pub prescription: &'a Prescription,
    /// What the exchange knows of it.
    pub registered: &'a Registered,
    /// 引換番号.
    pub number: &'a ExchangeNumber,
    /// What is shown of it now.
    pub shown: Shown,
}

/// A group is kept on one page when it has no more rows than fit there with ease.
const HEIGHT_OF_ROW: f32 = 14.0;
const MOST_ROWS: f32 = 25.0;

/// How to use it, Japanese and English.
const STEPS: [(&str, &str); 4] = [
    (
        "１　使用期限までに、電子処方箋に対応した薬局へお越しください。",
        "Go to a pharmacy that takes e-prescriptions before the date above.",
    ),
    (
        "２　マイナンバーカードで受付するか、資格確認書とこの引換番号を示してください。",
        "Check in with your My Number Card, or show your certificate and this number.",
    ),
    (
        "３　薬剤師の説明を受けて、お薬を受け取ってください。",
        "The pharmacist explains and hands you your medicines.",
    ),
    (
        "４　引換番号は他の人に知らせないでください。分からないことは医療機関か薬局へ。",
        "Keep the number to yourself. Questions: ask the clinic or the pharmacy.",
    ),
];

impl Slip<'_> {
    /// What the QR code says: `保険者番号,記号,番号,枝番,生年月日,引換番号`.
    pub fn qr_text(&self) -> String {
        let identity = &self.prescription.insurance.identity;
        let text = |part: &Option<String>| part.clone().unwrap_or_default();
        [
            text(&identity.insurer_number),
            text(&identity.symbol),
            text(&identity.number),
            text(&identity.branch_number),
            self.prescription.patient.birth_date.format("%Y%m%d").to_string(),
            self.number.as_str().to_owned(),
        ]
        .join(",")
    }

    /// The PDF.
    ///
    /// # Errors
    /// [`SlipError`]
    pub fn pdf(&self, fonts: &Fonts) -> Result<Vec<u8>, SlipError> {
        let text = in_shift_jis(&self.qr_text());
        let symbol = Symbol::of(&encoding_rs::SHIFT_JIS.encode(&text).0).map_err(|_| SlipError)?;
        let mut pages = Pages::new(fonts);
        self.head(&mut pages);
        self.number(&mut pages, symbol);
        self.parties(&mut pages);
        self.medicines(&mut pages);
        Self::steps(&mut pages);
        let foot = format!("処方箋ID / Prescription ID  {}", self.registered.id);
        pages.finish("処方内容（控え）", &foot)
    }

    fn head(&self, pages: &mut Pages<'_>) {
        pages.y += 18.0;
        pages.text(LEFT, pages.y, 18.0, BLACK, "処方内容（控え）");
        let issued = format!("交付年月日 Issued  {}", japanese(self.registered.issued_on));
        pages.text_to(RIGHT, pages.y - 6.0, 8.0, BLACK, &issued);
        pages.y += 12.0;
        let note = "この用紙は処方箋ではありません。 / Copy for the patient. Not a prescription.";
        pages.text(LEFT, pages.y, 7.5, GREY, note);
        pages.y += 8.0;
        if let Some((japanese, english)) = banner(self.shown) {
            pages.fill(LEFT, pages.y, RIGHT, pages.y + 18.0, BLACK);
            pages.text(LEFT + 8.0, pages.y + 13.0, 10.0, 255, &format!("{japanese} / {english}"));
            pages.y += 24.0;
        }
    }

    /// The number, the symbol, and until when.
    fn number(&self, pages: &mut Pages<'_>, symbol: Symbol) {
        const SIDE: f32 = 92.0;
        let (top, bottom) = (pages.y, pages.y + SIDE + 24.0);
        pages.frame(LEFT, top, RIGHT, bottom);
        let left = LEFT + 12.0;
        pages.text(left, top + 20.0, 10.0, BLACK, "引換番号");
        pages.text(left + 46.0, top + 20.0, 8.0, GREY, "Exchange number");
        let mut x = left;
        for digit in self.number.as_str().chars() {
            let digit = digit.to_string();
            pages.text(x, top + 62.0, 42.0, BLACK, &digit);
            x += pages.width(&digit, 42.0) + 6.0;
        }
        pages.text(left, top + 82.0, 10.0, BLACK, "使用期限");
        pages.text(left + 46.0, top + 82.0, 8.0, GREY, "Valid");
        let (from, until) = self.valid();
        let from = from.map(|from| format!("{} ～ ", japanese(from))).unwrap_or_default();
        let until = format!("{from}{}まで", japanese(until));
        let size = if from.is_empty() { 15.0 } else { 9.5 };
        pages.text(left, top + 101.0, size, BLACK, &until);
        pages.symbol(RIGHT - SIDE - 12.0, top + 12.0, SIDE, symbol);
        pages.y = bottom + 8.0;
    }

    /// From when, if not from now, and until when a pharmacy takes it.
    fn valid(&self) -> (Option<NaiveDate>, NaiveDate) {
        let life = &self.registered.life;
        let from = life.due().filter(|_| life.state == State::Issued).map(|due| due - DUE_WINDOW);
        (from, life.acceptable_until())
    }

    fn parties(&self, pages: &mut Pages<'_>) {
        let Prescription { patient, institution, prescriber, department, insurance, .. } = self.prescription;
        let name = patient.name.as_ref().or(patient.kana.as_ref()).map_or("", String::as_str);
        let kana = patient.kana.as_ref().filter(|_| patient.name.is_some()).map(|kana| format!("（{kana}）"));
        row(pages, "患者氏名", "Patient", &format!("{name} 様{}", kana.unwrap_or_default()), 12.0);
        row(pages, "生年月日", "Birth date", &japanese(patient.birth_date), 9.0);
        let identity = &insurance.identity;
        let parts = [&identity.insurer_number, &identity.symbol, &identity.number, &identity.branch_number];
        if parts.iter().any(|part| part.is_some()) {
            let text: Vec<&str> = parts.iter().map(|part| part.as_deref().unwrap_or("－")).collect();
            let text = format!("{}　記号 {}　番号 {}　枝番 {}", text[0], text[1], text[2], text[3]);
            row(pages, "保険者番号", "Insurance", &text, 9.0);
        }
        let clinic = institution.name.as_deref().unwrap_or("－");
        row(pages, "医療機関", "Clinic", clinic, 10.0);
        let contact: Vec<&str> =
            [&institution.address, &institution.phone].into_iter().flatten().map(String::as_str).collect();
        if !contact.is_empty() {
            row(pages, "", "", &contact.join("　"), 8.0);
        }
        let department =
            department.as_ref().and_then(|department| department.name.as_deref()).unwrap_or_default();
        row(
            pages,
            "処方医",
            "Doctor",
            format!("{department}　{}", prescriber.name).trim_start_matches('　'),
            9.0,
        );
        if let Some(refill) = self.prescription.refill {
            let next = self.registered.life.results.uses_done() + 1;
            let text =
                format!("リフィル処方箋　総使用回数 {} 回のうち {} 回目", refill.uses, next.min(refill.uses));
            row(pages, "リフィル", "Refill", &text, 9.0);
            row(pages, "", "", "２回目からは次回調剤予定日の前後７日以内に同じ引換番号で", 8.0);
            row(pages, "", "", "Later uses: within 7 days of the due date, same number", 7.0);
        }
        if let Some(split) = self.prescription.split {
            let text = format!("分割調剤　{} 回のうち {} 回目", split.parts, split.part);
            row(pages, "分割", "In parts", &text, 9.0);
        }
        pages.y += 6.0;
    }

    fn medicines(&self, pages: &mut Pages<'_>) {
        pages.need(60.0);
        heading(pages, "お薬", "Medicines");
        for group in &self.prescription.groups {
            let rows = 1
                + group.supplements.len()
                + group.lines.iter().map(|line| 1 + line.supplements.len()).sum::<usize>();
            pages.need(HEIGHT_OF_ROW * f32::from(u16::try_from(rows).unwrap_or(u16::MAX)).min(MOST_ROWS));
            let size = 9.5;
            let quantity = quantity(group);
            let reserved = pages.width(&quantity, size) + 12.0;
            let before = pages.y;
            let usage = format!("{}　{}", group.number, group.usage.name);
            pages.lines(LEFT + 4.0, RIGHT - reserved, size, BLACK, &usage);
            let baseline = if pages.y > before { before } else { pages.y - size * 1.4 } + size;
            pages.text_to(RIGHT - 4.0, baseline, size, BLACK, &quantity);
            for supplement in &group.supplements {
                pages.lines(LEFT + 20.0, RIGHT, 8.0, GREY, &supplement.text);
            }
            for line in &group.lines {
                medicine(pages, group.kind, line);
            }
            pages.y += 4.0;
            pages.rule(0.4, 190);
            pages.y += 2.0;
        }
        pages.y += 6.0;
    }

    fn steps(pages: &mut Pages<'_>) {
        pages.need(110.0);
        heading(pages, "使い方", "How to use it");
        for (japanese, english) in STEPS {
            pages.lines(LEFT + 4.0, RIGHT, 8.5, BLACK, japanese);
            pages.lines(LEFT + 16.0, RIGHT, 7.0, GREY, english);
        }
    }
}

/// What a patient has to know before anything else; nothing while the prescription waits.
fn banner(shown: Shown) -> Option<(&'static str, &'static str)> {
    Some(match shown {
        Shown::Issued | Shown::AwaitingNextUse => return None,
        Shown::Accepted | Shown::PartlyDispensed => ("薬局で受付済みです", "A pharmacy has accepted it"),
        Shown::Dispensed => ("調剤済みです", "Dispensed"),
        Shown::Cancelled => ("取り消されました", "Cancelled"),
        Shown::Collected => ("薬局で回収されました", "Collected by a pharmacy"),
        Shown::Expired => ("使用期限が過ぎました", "Expired"),
    })
}

fn heading(pages: &mut Pages<'_>, japanese: &str, english: &str) {
    pages.fill(LEFT, pages.y, RIGHT, pages.y + 16.0, PALE);
    pages.text(LEFT + 4.0, pages.y + 11.5, 9.5, BLACK, japanese);
    let x = LEFT + 12.0 + pages.width(japanese, 9.5);
    pages.text(x, pages.y + 11.5, 7.5, GREY, english);
    pages.y += 20.0;
}

/// A line of the particulars: heading in both languages, then the text.
fn row(pages: &mut Pages<'_>, japanese: &str, english: &str, text: &str, size: f32) {
    const TEXT: f32 = LEFT + 96.0;
    pages.need(size * 1.4);
    let baseline = pages.y + size;
    pages.text(LEFT + 4.0, baseline, 8.5, BLACK, japanese);
    pages.text(LEFT + 52.0, baseline, 7.0, GREY, english);
    pages.lines(TEXT, RIGHT, size, BLACK, text);
    pages.y += 1.5;
}

/// 調剤数量 in words; of a split prescription that of this part.
fn quantity(group: &RpGroup) -> String {
    let unit = match group.kind {
        DosageKind::Internal => "日分",
        DosageKind::AsNeeded => "回分",
        DosageKind::External
        | DosageKind::InternalDrops
        | DosageKind::Injection
        | DosageKind::Material
        | DosageKind::Unknown => "調剤",
    };
    match group.split_quantity {
        Some(part) => format!("{part}{unit}（全{}）", group.quantity),
        None => format!("{}{unit}", group.quantity),
    }
}

fn medicine(pages: &mut Pages<'_>, kind: DosageKind, line: &Line) {
    pages.need(14.0);
    let size = 9.5;
    // 用量 of an internal medicine is that of a day (表3-39).
    let a_day = if matches!(kind, DosageKind::Internal) { "1日 " } else { "" };
    let amount = format!("{a_day}{}{}", line.amount, line.unit);
    let reserved = pages.width(&amount, size) + 12.0;
    let name = match (&line.name, &line.code) {
        (Some(name), _) => name.clone(),
        (None, Some(code)) => format!("レセプト電算コード {}", code.as_str()),
        (None, None) => String::new(),
    };
    let before = pages.y;
    pages.lines(LEFT + 20.0, RIGHT - reserved, size, BLACK, &name);
    let baseline = if pages.y > before { before } else { pages.y - size * 1.4 } + size;
    pages.text_to(RIGHT - 4.0, baseline, size, BLACK, &amount);
    for supplement in &line.supplements {
        pages.lines(LEFT + 32.0, RIGHT, 8.0, GREY, &supplement.text);
    }
}

/// A date as it is read: year, month, day, day of the week.
fn japanese(date: NaiveDate) -> String {
    const DAYS: [&str; 7] = ["月", "火", "水", "木", "金", "土", "日"];
    let day = DAYS[date.weekday().num_days_from_monday() as usize];
    format!("{}年{}月{}日（{day}）", date.year(), date.month(), date.day())
}
