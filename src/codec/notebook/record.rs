//! The records of the notebook (JAHIS 24-104 Ver.2.6): which items each has, of which shape, and which of them must
//! be there. A row is judged alone; which rows belong together is not for this table.

use super::Class;
use crate::codec::cj1::code as dispensed;
use crate::codec::coding::{
    DISPENSED_CODE_KIND, InstitutionItems, SEX, STANDARD_USAGE_CODE_KIND, drug_code, institution_code,
    usage_code,
};
use crate::codec::items::Items;
use crate::codec::log::Log;
use crate::codec::row::{Row, record_number};
use crate::prescription::amount::Amount;
use crate::prescription::dispensing::DispensedForm;
use crate::prescription::identifier::DrugCode;

/// A record of the notebook.
pub(super) struct Record {
    pub number: u16,
    /// The version of the header that brought it; 1 for those that are older than the versions we know.
    since: u8,
    items: &'static [Item],
    /// How many of the last items came with JAHISTC08.
    new_items: usize,
}

/// One item: its shape, and whether it must be there.
struct Item(Shape, Need);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    Optional,
    Always,
}

/// What an item may hold.
#[derive(Clone, Copy)]
enum Shape {
    Name,
    Note,
    Sex,
    Date,
    PostalCode,
    Phone,
    Weight,
    /// レコード作成者.
    Creator,
    /// One of these codes.
    Code(&'static [(u16, ())]),
    /// Digits, from so many to so many.
    Digits(usize, usize),
    Ascii(usize),
    /// RP番号, and other numbers from 1 of at most three digits.
    Number,
    Amount,
    Unit,
    SupplyUnit,
    Form,
    /// 薬品コード種別 with the code in the next item.
    DrugCode,
    /// 用法コード種別 with the code in the next item.
    UsageCode,
    /// 一般名コード種別 with the code in the next item.
    GenericCode,
    /// 都道府県, with fee table and code in the two next items; who dispensed or who prescribed.
    Dispenser,
    Prescriber,
    /// Judged with an item before.
    Judged,
}

const CREATOR: Item = Item(Shape::Creator, Need::Optional);
const NAME: Item = Item(Shape::Name, Need::Always);
const NOTE: Item = Item(Shape::Note, Need::Always);
const RP: Item = Item(Shape::Number, Need::Always);
const DATE: Item = Item(Shape::Date, Need::Always);
const JUDGED: Item = Item(Shape::Judged, Need::Optional);

const fn optional(shape: Shape) -> Item {
    Item(shape, Need::Optional)
}

const fn record(number: u16, items: &'static [Item]) -> Record {
    Record { number, since: 1, items, new_items: 0 }
}

/// 患者情報.
pub(super) const PATIENT: u16 = 1;
/// 要指導医薬品・一般用医薬品服用.
pub(super) const OVER_THE_COUNTER: u16 = 3;
/// 要指導医薬品・一般用医薬品成分.
pub(super) const INGREDIENT: u16 = 31;
/// 調剤等年月日: begins a dispensing.
pub(super) const DISPENSED_ON: u16 = 5;
/// 薬品.
pub(super) const DRUG: u16 = 201;
/// 用法.
pub(super) const USAGE: u16 = 301;
/// 分割制御.
pub(super) const SPLIT: u16 = 911;

const REMARK_KINDS: &[(u16, ())] = &[(1, ()), (2, ()), (3, ()), (9, ())];
const GENERIC_KINDS: &[(u16, ())] = &[(1, ()), (2, ())];
/// The version of the header that brought record 31, what ties a record 3 to it, and the generic name.
const SINCE_GENERIC: u8 = 8;

static RECORDS: [Record; 23] = [
    record(
        PATIENT,
        &[
            NAME,
            Item(Shape::Sex, Need::Always),
            DATE,
            optional(Shape::PostalCode),
            optional(Shape::Name),
            optional(Shape::Phone),
            optional(Shape::Name),
            optional(Shape::Unit),
            optional(Shape::Weight),
            optional(Shape::Name),
        ],
    ),
    record(2, &[Item(Shape::Code(REMARK_KINDS), Need::Always), NOTE, CREATOR]),
    Record {
        new_items: 2,
        ..record(
            OVER_THE_COUNTER,
            &[
                NAME,
                optional(Shape::Date),
                optional(Shape::Date),
                CREATOR,
                optional(Shape::Number),
                optional(Shape::Digits(8, 13)),
            ],
        )
    },
    Record {
        since: SINCE_GENERIC,
        ..record(INGREDIENT, &[RP, NAME, optional(Shape::Digits(1, 1)), optional(Shape::Ascii(13)), CREATOR])
    },
    record(4, &[NOTE, optional(Shape::Date), CREATOR]),
    record(DISPENSED_ON, &[DATE, CREATOR]),
    record(
        11,
        &[
            NAME,
            optional(Shape::Dispenser),
            JUDGED,
            JUDGED,
            optional(Shape::PostalCode),
            optional(Shape::Name),
            optional(Shape::Phone),
            CREATOR,
        ],
    ),
    record(15, &[NAME, optional(Shape::Name), CREATOR]),
    record(51, &[NAME, optional(Shape::Prescriber), JUDGED, JUDGED, CREATOR]),
    record(55, &[NAME, optional(Shape::Name), CREATOR]),
    Record {
        new_items: 3,
        ..record(
            DRUG,
            &[
                RP,
                NAME,
                Item(Shape::Amount, Need::Always),
                Item(Shape::Unit, Need::Always),
                Item(Shape::DrugCode, Need::Always),
                JUDGED,
                CREATOR,
                optional(Shape::Name),
                optional(Shape::GenericCode),
                JUDGED,
            ],
        )
    },
    record(281, &[RP, NOTE, CREATOR]),
    record(291, &[RP, NOTE, CREATOR]),
    record(
        USAGE,
        &[
            RP,
            optional(Shape::Name),
            Item(Shape::Number, Need::Always),
            Item(Shape::SupplyUnit, Need::Always),
            Item(Shape::Form, Need::Always),
            Item(Shape::UsageCode, Need::Always),
            JUDGED,
            CREATOR,
        ],
    ),
    record(311, &[RP, NOTE, CREATOR]),
    record(391, &[RP, NOTE, CREATOR]),
    record(401, &[NOTE, CREATOR]),
    record(411, &[NOTE, Item(Shape::Code(&[(30, ()), (31, ()), (99, ())]), Need::Always), CREATOR]),
    Record { since: 7, ..record(421, &[NOTE, CREATOR]) },
    record(501, &[NOTE, CREATOR]),
    record(601, &[NOTE, optional(Shape::Date)]),
    record(
        701,
        &[
            NAME,
            optional(Shape::Name),
            optional(Shape::Phone),
            optional(Shape::Date),
            optional(Shape::Date),
            CREATOR,
        ],
    ),
    record(
        SPLIT,
        &[
            Item(Shape::Digits(14, 14), Need::Always),
            Item(Shape::Number, Need::Always),
            Item(Shape::Number, Need::Always),
        ],
    ),
];

impl Record {
    /// The record a row is of.
    pub fn of(row: &Row<'_>) -> Option<&'static Self> {
        Self::numbered(row.record())
    }

    /// The record of a number as it is written.
    pub fn numbered(written: &str) -> Option<&'static Self> {
        let number = record_number(written)?;
        RECORDS.iter().find(|record| record.number == number)
    }

    /// How many items it has.
    pub fn width(&self) -> usize {
        self.items.len()
    }

    /// Where the creator (作成者) stands, if it has one.
    pub fn creator(&self) -> Option<usize> {
        self.items.iter().position(|Item(shape, _)| matches!(shape, Shape::Creator)).map(|index| index + 1)
    }

    /// Judges every item of a row.
    pub fn check(&self, row: &Row<'_>, version: u8, class: Class, log: &mut Log) {
        let mut items = Items::of(row, log);
        if self.since > version {
            items.row_warn(format!("this record is of JAHISTC{:02}", self.since));
        }
        let old = self.width() - self.new_items;
        if version < SINCE_GENERIC && (old + 1..=self.width()).any(|item| !row.item(item).is_empty()) {
            items.row_warn(format!("the items after {old} are of JAHISTC{SINCE_GENERIC:02}"));
        }
        let surplus = self.width() + 1;
        // One empty item too many is let pass: rows ending in a comma are common.
        if row.cells.len() > surplus + 1 || !row.item(surplus).is_empty() {
            items.fault(surplus, format!("expected at most {} items", self.width()));
        }
        for (number, Item(shape, need)) in (1..).zip(self.items) {
            if *need == Need::Always {
                items.require(number);
            }
            shape.check(&mut items, number, class);
        }
        if self.number == USAGE && class == Class::ToPatient && !matches!(items.raw(5), "9" | "10") {
            items.require(2);
        }
    }
}

impl Shape {
    fn check(self, items: &mut Items<'_, '_, '_>, item: usize, class: Class) {
        match self {
            Self::Name => drop(items.text(item, dispensed::NAME_WIDTH)),
            Self::Note => drop(items.text(item, dispensed::TEXT_WIDTH)),
            Self::Sex => drop(items.code(item, 1, SEX)),
            Self::Date => drop(items.date(item)),
            Self::PostalCode => drop(items.postal_code(item)),
            Self::Phone => drop(items.phone(item)),
            Self::Weight => drop(items.parsed(item, dispensed::weight)),
            Self::Creator => drop(items.code(item, 1, dispensed::CREATOR)),
            Self::Code(codes) => drop(items.code(item, 2, codes)),
            Self::Digits(least, most) => drop(items.digits(item, least..=most)),
            Self::Ascii(length) => drop(items.ascii(item, length)),
            Self::Number => drop(items.number(item, 3, 1..=999)),
            Self::Amount => drop(items.parsed(item, str::parse::<Amount>)),
            Self::Unit => drop(items.text(item, 20)),
            Self::SupplyUnit => drop(items.parsed(item, dispensed::supply_unit)),
            Self::Form => drop::<Option<DispensedForm>>(items.code(item, 2, dispensed::FORM)),
            Self::DrugCode => {
                let kind = items.code(item, 1, DISPENSED_CODE_KIND);
                drop(kind.and_then(|kind| drug_code(items, kind, item + 1)));
            }
            Self::UsageCode => {
                let kind = items.code(item, 1, STANDARD_USAGE_CODE_KIND);
                drop(kind.and_then(|kind| usage_code(items, kind, item + 1)));
            }
            Self::GenericCode => match items.code(item, 1, GENERIC_KINDS) {
                Some(()) if items.raw(item) == "2" => {
                    drop(items.required_parsed(item + 1, DrugCode::generic));
                }
                _ => items.refuse(item + 1, "the code kind says that there is no code"),
            },
            Self::Dispenser => institution(items, item, dispensed::DISPENSER_FEE_TABLE, class),
            Self::Prescriber => institution(items, item, dispensed::PRESCRIBER_FEE_TABLE, class),
            Self::Judged => {}
        }
    }
}

/// An institution's code in three items; a patient need not know it.
fn institution(items: &mut Items<'_, '_, '_>, item: usize, fee_tables: &[(u16, &str)], class: Class) {
    if class == Class::FromPatient && (item..item + 3).all(|item| items.is_empty(item)) {
        return;
    }
    let fee_table = items.required_code(item + 1, 1, fee_tables);
    institution_code(items, fee_table, &InstitutionItems { prefecture: item, institution: item + 2 });
}
