//! The layouts that are known, told apart by their headers, and the cutting of a file into rows of one. Knows columns,
//! not what stands in them.

use super::report::Faults;

/// The kinds of file that are known, told apart by header. The order is that of loading: usages and forbidden pairs
/// after the products they refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Layout {
    Products,
    PriceList,
    ReceiptMaster,
    GenericExceptions,
    GenericNames,
    Usages,
    UsageMaster,
    Contraindications,
    HotMaster,
}

const PRODUCTS: [&str; 11] = [
    "receipt_code",
    "yj_code",
    "price_code",
    "generic_code",
    "generic_name",
    "name",
    "unit",
    "route",
    "systemic",
    "ingredients",
    "class",
];

const USAGES: [&str; 10] = [
    "usage_code",
    "name",
    "valid_from",
    "valid_to",
    "guide",
    "condition",
    "timing",
    "time",
    "interval",
    "site",
];

pub(super) const CONTRAINDICATIONS: [&str; 16] = [
    "rule",
    "a",
    "a_routes",
    "a_codes",
    "a_washout_days",
    "b",
    "b_routes",
    "b_codes",
    "b_washout_days",
    "consequence",
    "condition",
    "washout",
    "confidence",
    "basis",
    "valid_from",
    "valid_to",
];

const PRICE_LIST: [&str; 5] =
    ["薬価基準収載医薬品コード", "成分名", "規格", "品名", "経過措置による使用期限"];

const RECEIPT_MASTER: [&str; 8] = [
    "医薬品コード",
    "医薬品名・規格名漢字名称",
    "単位漢字名称",
    "廃止年月日",
    "薬価基準収載医薬品コード",
    "経過措置年月日又は商品名医薬品コード使用期限",
    "一般名コード",
    "一般名処方の標準的な記載",
];

const GENERIC_EXCEPTIONS: [&str; 5] =
    ["一般名コード", "一般名処方の標準的な記載", "成分名", "規格", "薬価基準収載医薬品コード"];

const GENERIC_NAMES: [&str; 5] = ["一般名コード", "一般名処方の標準的な記載", "成分名", "規格", "例外コード"];

const USAGE_MASTER: [&str; 10] = [
    "usage_code",
    "name",
    "start",
    "end",
    "code_kind",
    "sup_asneeded_condition",
    "sup_timing",
    "sup_time",
    "sup_interval",
    "sup_site",
];

/// 医薬品HOTコードマスター of MEDIS, the file by package (HOT13) and the file by product (HOT9) alike.
const HOT_MASTER: [&str; 7] = [
    "基準番号（ＨＯＴコード）",
    "処方用番号（ＨＯＴ７）",
    "会社識別用番号",
    "薬価基準収載医薬品コード",
    "個別医薬品コード",
    "レセプト電算処理システムコード（１）",
    "レセプト電算処理システムコード（２）",
];

impl Layout {
    /// Where one header holds the columns of two layouts, the first of these is meant.
    const ALL: [Self; 9] = [
        Self::Products,
        Self::Usages,
        Self::Contraindications,
        Self::HotMaster,
        Self::UsageMaster,
        Self::ReceiptMaster,
        Self::GenericExceptions,
        Self::GenericNames,
        Self::PriceList,
    ];

    /// The columns that are read, and that a header must have.
    fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Products => &PRODUCTS,
            Self::PriceList => &PRICE_LIST,
            Self::ReceiptMaster => &RECEIPT_MASTER,
            Self::GenericExceptions => &GENERIC_EXCEPTIONS,
            Self::GenericNames => &GENERIC_NAMES,
            Self::Usages => &USAGES,
            Self::UsageMaster => &USAGE_MASTER,
            Self::Contraindications => &CONTRAINDICATIONS,
            Self::HotMaster => &HOT_MASTER,
        }
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Products => "product table",
            Self::PriceList => "price list (薬価基準)",
            Self::ReceiptMaster => "receipt master (医薬品マスター)",
            Self::GenericExceptions => "generic-name exceptions (一般名処方マスタ 例外コード品目)",
            Self::GenericNames => "generic-name master (一般名処方マスタ)",
            Self::Usages => "usage table",
            Self::UsageMaster => "usage master (電子処方箋用法マスタ)",
            Self::Contraindications => "contraindication table",
            Self::HotMaster => "HOT master (医薬品HOTコードマスター)",
        }
    }

    /// Whether the file comes from an authority: then a row with a fault is left out and reported. In the project's
    /// own layouts, which someone wrote for this program, a fault refuses the whole.
    pub(super) fn is_official(self) -> bool {
        !matches!(self, Self::Products | Self::Usages | Self::Contraindications)
    }
}

/// What a header says.
enum Header {
    /// The layout and where its columns stand.
    Known(Layout, Vec<usize>),
    /// At least half the columns of a layout, and not these.
    Wrong(Layout, Vec<&'static str>),
    Other,
}

fn header_read(header: &csv::StringRecord) -> Header {
    let mut wrong: Option<(Layout, Vec<&'static str>)> = None;
    for layout in Layout::ALL {
        let columns = layout.columns();
        // Of columns with one name the first.
        let places: Vec<Option<usize>> =
            columns.iter().map(|column| header.iter().position(|cell| cell.trim() == *column)).collect();
        let missing: Vec<&str> = columns
            .iter()
            .zip(&places)
            .filter(|(_, place)| place.is_none())
            .map(|(column, _)| *column)
            .collect();
        if missing.is_empty() && (layout.is_official() || header.len() == columns.len()) {
            return Header::Known(layout, places.into_iter().flatten().collect());
        }
        let nearer = wrong.as_ref().is_none_or(|(_, other)| missing.len() < other.len());
        if missing.len() * 2 <= columns.len() && nearer {
            wrong = Some((layout, missing));
        }
    }
    wrong.map_or(Header::Other, |(layout, missing)| Header::Wrong(layout, missing))
}

/// A file cut into rows, each with the cells its layout reads, in its order.
pub(super) struct Table {
    pub(super) layout: Layout,
    pub(super) rows: Vec<(u64, csv::StringRecord)>,
    /// Rows in the file, those without the right number of cells included.
    pub(super) count: usize,
}

impl Table {
    /// Cuts a file into rows. `fatal` takes what refuses the whole load, `left_out` the rows of official files that
    /// are left out. `None` for a file of another kind, or one whose header is wrong.
    pub(super) fn read(name: &str, text: &str, fatal: &mut Faults, left_out: &mut Faults) -> Option<Self> {
        let mut reader =
            csv::ReaderBuilder::new().flexible(true).has_headers(true).from_reader(text.as_bytes());
        let header = reader.headers().ok()?;
        let cells = header.len();
        let (layout, places) = match header_read(header) {
            Header::Known(layout, places) => (layout, places),
            Header::Wrong(layout, missing) => {
                let problem = if missing.is_empty() {
                    format!("header of the {} with further columns", layout.as_str())
                } else {
                    format!("header of the {} without {}", layout.as_str(), missing.join(", "))
                };
                fatal.row(name, 1, problem);
                return None;
            }
            Header::Other => return None,
        };
        let faults = if layout.is_official() { left_out } else { fatal };
        let mut rows = Vec::new();
        let mut count = 0;
        for row in reader.records() {
            count += 1;
            match row {
                Ok(record) => {
                    let line = record.position().map_or(0, csv::Position::line);
                    if record.len() == cells {
                        let cells = || places.iter().filter_map(|place| record.get(*place));
                        let mut picked =
                            csv::StringRecord::with_capacity(cells().map(str::len).sum(), places.len());
                        picked.extend(cells());
                        rows.push((line, picked));
                    } else {
                        faults.row(
                            name,
                            line,
                            format!("{} cells where the header has {cells}", record.len()),
                        );
                    }
                }
                Err(error) => {
                    faults.row(name, error.position().map_or(0, csv::Position::line), "not readable");
                }
            }
        }
        Some(Self { layout, rows, count })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Option<Layout>, Vec<String>) {
        let (mut fatal, mut left_out) = (Faults::default(), Faults::default());
        let table = Table::read("f", text, &mut fatal, &mut left_out);
        let told = fatal.into_parts().0.iter().map(ToString::to_string).collect();
        (table.map(|table| table.layout), told)
    }

    #[test]
    fn every_layout_is_recognised_by_its_columns() {
        for layout in Layout::ALL {
            let header = layout.columns().join(",");
            assert_eq!(read(&header), (Some(layout), vec![]), "{layout:?}");
            let more = format!("x,{header},y");
            assert_eq!(read(&more).0.is_some(), layout.is_official(), "{layout:?}");
        }
        assert_eq!(read("a,b\n1,2\n"), (None, vec![]));
        assert_eq!(read(""), (None, vec![]));
    }

    #[test]
    fn nearly_right_headers_are_refused() {
        let header = Layout::UsageMaster.columns().join(",").replace("sup_site", "site");
        assert_eq!(
            read(&header).1,
            ["f[line 1]: header of the usage master (電子処方箋用法マスタ) without sup_site"]
        );
    }

    #[test]
    fn columns_are_read_in_their_own_order() {
        let (mut fatal, mut left_out) = (Faults::default(), Faults::default());
        let text = "規格,品名,x,経過措置による使用期限,成分名,薬価基準収載医薬品コード\n5,b,0,,i,c\nshort\n";
        let table = Table::read("f", text, &mut fatal, &mut left_out).unwrap();
        assert_eq!((table.layout, table.count), (Layout::PriceList, 2));
        assert_eq!(table.rows[0].1.iter().collect::<Vec<_>>(), ["c", "i", "5", "b", ""]);
        assert_eq!((table.rows.len(), left_out.rows_of("f")), (1, 1));
    }
}
