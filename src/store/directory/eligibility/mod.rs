//! The eligibility file (資格情報): a CSV of persons and their insurances, read strictly. Pure; knows no SQL.
//!
//! UTF-8 (with or without byte order mark) or Shift_JIS, comma, quotes as usual in CSV, first line exactly
//!
//! ```text
//! person,name,kana,birth_date,sex,insurer_number,symbol,number,branch_number,valid_from,valid_until,card_sha256,deceased_on
//! ```
//!
//! One line is one insurance of one person. `person` ties the lines of a person together (several insurers,
//! several cards) and means nothing outside the file; the lines of one person agree in name, kana, birth date,
//! sex and date of death. A line may repeat an insurance only to add a card. Dates are `YYYY-MM-DD` or `YYYYMMDD`; `sex` is `male`, `female`, `unknown` or 1, 2, 3 as insurers code it;
//! `card_sha256` is the SHA-256 fingerprint, in hexadecimal, of the card's user authentication certificate.
//! May be empty: kana, symbol, branch_number, valid_until (open), card_sha256, deceased_on.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use chrono::NaiveDate;

use super::Particulars;
use super::insured::InsuredIdentity;

mod row;

use row::{Faults, ReadRow, RowReader};

/// The columns, in order.
pub const COLUMNS: [&str; 13] = [
    "person",
    "name",
    "kana",
    "birth_date",
    "sex",
    "insurer_number",
    "symbol",
    "number",
    "branch_number",
    "valid_from",
    "valid_until",
    "card_sha256",
    "deceased_on",
];

/// A fault of the file, or of the claims file beside it. Its text quotes nothing of the file but line numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EligibilityFault {
    /// The line, from 1; 0 for the file as a whole.
    pub line: u64,
    /// The column, or empty.
    pub column: &'static str,
    /// What is wrong.
    pub fault: String,
}

impl EligibilityFault {
    pub(super) fn new(line: u64, column: &'static str, fault: impl Into<String>) -> Self {
        Self { line, column, fault: fault.into() }
    }
}

impl fmt::Display for EligibilityFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.line)?;
        if !self.column.is_empty() {
            write!(f, ", {}", self.column)?;
        }
        write!(f, ": {}", self.fault)
    }
}

/// A file without faults.
pub struct Eligibility {
    pub(super) persons: Vec<EligiblePerson>,
}

/// A person of the file.
pub(super) struct EligiblePerson {
    /// The first line of the person.
    pub line: u64,
    pub particulars: Particulars,
    pub insurances: Vec<Insurance>,
    /// Fingerprints with their line.
    pub cards: Vec<(u64, [u8; 32])>,
}

/// An insurance of a person.
pub(super) struct Insurance {
    pub line: u64,
    pub identity: InsuredIdentity,
    pub valid_from: NaiveDate,
    pub valid_until: Option<NaiveDate>,
}

impl Insurance {
    /// Whether both are one insurance from one day on, whatever they say of the branch number.
    fn is_same(&self, other: &Self) -> bool {
        let parts = |insurance: &Self| {
            let identity = &insurance.identity;
            [identity.insurer_number(), identity.symbol(), identity.number()].map(str::to_owned)
        };
        self.valid_from == other.valid_from && parts(self) == parts(other)
    }
}

impl Eligibility {
    /// Reads a file.
    ///
    /// # Errors
    /// All faults of the file (the first thousand), in the order of its lines.
    pub fn parse(bytes: &[u8]) -> Result<Self, Vec<EligibilityFault>> {
        let text = decode(bytes).map_err(|fault| vec![EligibilityFault::new(0, "", fault)])?;
        let mut reader =
            csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
        let mut faults = Faults::default();
        let mut persons = Persons::default();
        let mut header = false;
        for record in reader.records() {
            let Ok(record) = record else {
                faults.add(0, "", "not CSV");
                break;
            };
            let line = record.position().map_or(0, csv::Position::line);
            if !header {
                header = true;
                if !record.iter().eq(COLUMNS) {
                    faults.add(line, "", format!("expected the header {}", COLUMNS.join(",")));
                    break;
                }
            } else if record.len() == COLUMNS.len() {
                let row = RowReader { line, record: &record };
                if let Some(read) = row.read(&mut faults) {
                    persons.add(read, &mut faults);
                }
            } else {
                faults.add(line, "", format!("expected {} fields, found {}", COLUMNS.len(), record.len()));
            }
        }
        if !header {
            faults.add(0, "", "the file is empty");
        }
        if faults.list.is_empty() { Ok(Self { persons: persons.list }) } else { Err(faults.list) }
    }

    /// How many persons the file has.
    pub fn len(&self) -> usize {
        self.persons.len()
    }

    /// Whether the file has no person.
    pub fn is_empty(&self) -> bool {
        self.persons.is_empty()
    }
}

pub(super) fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, &'static str> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Ok(Cow::Borrowed(text));
    }
    encoding_rs::SHIFT_JIS
        .decode_without_bom_handling_and_without_replacement(bytes)
        .ok_or("neither UTF-8 nor Shift_JIS")
}

/// Ties the lines of a person together, and finds what two persons claim.
#[derive(Default)]
struct Persons {
    list: Vec<EligiblePerson>,
    by_key: BTreeMap<String, usize>,
    /// Insurance, branch and birth date with its first day: person and line.
    insurances: BTreeMap<(String, NaiveDate), (usize, u64)>,
    cards: BTreeMap<[u8; 32], (usize, u64)>,
}

impl Persons {
    fn add(&mut self, row: ReadRow, faults: &mut Faults) {
        let line = row.insurance.line;
        let at = match self.by_key.entry(row.person) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(free) => {
                free.insert(self.list.len());
                self.list.push(EligiblePerson {
                    line,
                    particulars: row.particulars.clone(),
                    insurances: Vec::new(),
                    cards: Vec::new(),
                });
                self.list.len() - 1
            }
        };
        let Some(person) = self.list.get_mut(at) else { return };
        if person.particulars != row.particulars {
            let fault =
                format!("other name, kana, birth date, sex or date of death than line {}", person.line);
            faults.add(line, "person", fault);
        }
        let insurance = row.insurance;
        let identity = &insurance.identity;
        let key = [
            identity.insurer_number(),
            identity.symbol(),
            identity.number(),
            identity.branch_number().unwrap_or("-"),
            &row.particulars.birth_date.to_string(),
        ]
        .join("\n");
        // The same insurance of one person may have several periods, of two persons none.
        let others = self.insurances.range((key.clone(), NaiveDate::MIN)..=(key.clone(), NaiveDate::MAX));
        if let Some((_, (_, other))) = others.clone().find(|(_, (owner, _))| *owner != at) {
            faults.add(line, "number", format!("the insurance is another person's on line {other}"));
        }
        match person.insurances.iter().find(|known| known.is_same(&insurance)) {
            // A further card of the person stands on a line that repeats the insurance.
            Some(known) if row.card.is_some() && known.valid_until == insurance.valid_until => {}
            Some(known) => faults.add(line, "valid_from", format!("repeats line {}", known.line)),
            None => {
                self.insurances.entry((key, insurance.valid_from)).or_insert((at, line));
                person.insurances.push(insurance);
            }
        }
        if let Some(card) = row.card {
            match self.cards.entry(card) {
                Entry::Occupied(known) if known.get().0 == at => {}
                Entry::Occupied(known) => {
                    let fault = format!("the card is another person's on line {}", known.get().1);
                    faults.add(line, "card_sha256", fault);
                }
                Entry::Vacant(free) => {
                    free.insert((at, line));
                    person.cards.push((line, card));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(lines: &[&str]) -> String {
        let mut text = COLUMNS.join(",");
        for line in lines {
            text.push('\n');
            text.push_str(line);
        }
        text
    }

    fn faults(text: &str) -> Vec<(u64, &'static str)> {
        let Err(faults) = Eligibility::parse(text.as_bytes()) else { panic!("accepted") };
        faults.iter().map(|fault| (fault.line, fault.column)).collect()
    }

    const HANAKO: &str =
        "a,引換 花子,ヒキカエ ハナコ,1950-01-01,female,06000004,12,345,01,2020-04-01,2024-03-31,,";
    const HANAKO_LATER: &str = "a,引換 花子,ヒキカエ ハナコ,19500101,2,138016,,9,,20240401,,,";

    #[test]
    fn lines_of_a_person_are_one_person() {
        let read = Eligibility::parse(file(&[HANAKO, HANAKO_LATER]).as_bytes()).unwrap();
        assert_eq!(read.len(), 1);
        let person = &read.persons[0];
        assert_eq!(person.insurances.len(), 2);
        assert_eq!(person.insurances[1].identity.insurer_number(), "00138016");
        assert_eq!(person.insurances[1].valid_until, None);
    }

    #[test]
    fn shift_jis_and_utf_8_with_a_mark_are_read_alike() {
        let text = file(&[HANAKO]);
        let (shift_jis, _, _) = encoding_rs::SHIFT_JIS.encode(&text);
        let marked = [b"\xef\xbb\xbf".as_slice(), text.as_bytes()].concat();
        for bytes in [shift_jis.as_ref(), marked.as_slice()] {
            let read = Eligibility::parse(bytes).unwrap();
            assert_eq!(read.persons[0].particulars.name, "引換 花子");
        }
        assert!(Eligibility::parse(b"\xff\xff").is_err());
    }

    #[test]
    fn all_faults_are_told_at_once_with_their_lines_and_without_their_values() {
        let text = file(&[
            ",,,1950-02-30,x,123456789,,,,2020-04-01,2020-03-31,zz,",
            "b,引換 次郎,,1960-01-01,male,06000004,12,346,,,2020-03-31,,1959-12-31",
            "c,short",
            HANAKO,
            "a,引換 花江,,1950-01-01,female,06000004,12,345,02,2020-04-01,,,",
            "d,引換 三郎,,1950-01-01,male,06000004,12,345,01,2021-04-01,,,",
            HANAKO,
        ]);
        assert_eq!(
            faults(&text),
            [
                (2, "person"),
                (2, "name"),
                (2, "birth_date"),
                (2, "sex"),
                (2, "card_sha256"),
                (2, "insurer_number"),
                (2, "number"),
                (2, "valid_until"),
                (3, "valid_from"),
                (3, "deceased_on"),
                (4, ""),
                (6, "person"),
                (6, "valid_from"),
                (7, "number"),
                (8, "number"),
                (8, "valid_from"),
            ]
        );
        let Err(told) = Eligibility::parse(text.as_bytes()) else { panic!("accepted") };
        assert!(told.iter().all(|fault| !fault.to_string().contains("引換")));
    }

    #[test]
    fn a_card_belongs_to_one_person() {
        let card = "ab".repeat(32);
        let one = format!("a,甲,,1950-01-01,1,06000004,1,1,,2020-04-01,,{card},");
        let other = format!("b,乙,,1951-01-01,1,06000004,1,2,,2020-04-01,,{card},");
        assert_eq!(faults(&file(&[&one, &other])), [(3, "card_sha256")]);
        let second = one.replace(&card, &"cd".repeat(32));
        let read = Eligibility::parse(file(&[&one, &second]).as_bytes()).unwrap();
        assert_eq!((read.persons[0].cards.len(), read.persons[0].insurances.len()), (2, 1));
    }

    #[test]
    fn other_headers_and_empty_files_are_refused() {
        assert_eq!(faults(""), [(0, "")]);
        assert_eq!(faults("person,name\n"), [(1, "")]);
        assert_eq!(faults(&COLUMNS.join(";")), [(1, "")]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn noise_is_refused_not_panicked_on(
            noise in proptest::collection::vec(any::<u8>(), 0..200),
            fields in proptest::collection::vec("[0-9a-zあ, \"-]{0,12}", 0..20),
        ) {
            let _ = Eligibility::parse(&noise);
            let _ = Eligibility::parse(file(&[&fields.join(",")]).as_bytes());
        }
    }
}
