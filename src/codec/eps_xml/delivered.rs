//! The delivered form: the original with the service's unsigned additions spliced in, every signed byte untouched.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::envelope::EpsPrescription;
use crate::codec::fault::Fault;

/// One drug line in the two codes that every receiver can match (医薬品コード変換): whole lines of the payload's
/// form with code kind, code and name replaced.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Conversion {
    /// The line with the receipt code (レセプト電算コード), kind 2.
    pub receipt: Option<String>,
    /// The line with the YJ code, kind 4; with the price code, kind 3, where a product listed under a common name
    /// (統一名収載) has no YJ code known to the service.
    pub yj: Option<String>,
}

impl Conversion {
    /// The conversion of one SJ1 201 line, given the code and name of each kind as far as they are known.
    ///
    /// `None` when the line is not a 201 record with a name (201,RP,連番,情報区分,コード種別,コード,名称,…).
    pub fn of_line(
        line: &str,
        receipt: Option<(&str, &str)>,
        yj: Option<(&str, &str)>,
        price: Option<(&str, &str)>,
    ) -> Option<Self> {
        let fields: Vec<_> = line.trim_end_matches(['\r', '\n']).split(',').collect();
        if fields.len() < 7 || fields[0] != "201" {
            return None;
        }
        let with = |kind: &str, (code, name): (&str, &str)| {
            [&fields[..4], &[kind, code, name], &fields[7..]].concat().join(",")
        };
        let yj = yj.map(|y| with("4", y)).or_else(|| price.map(|p| with("3", p)));
        Some(Self { receipt: receipt.map(|r| with("2", r)), yj })
    }
}

impl EpsPrescription<'_> {
    /// The delivered form of this original: `PrescriptionId` after the version, and the converted drug lines after
    /// the signed document.
    ///
    /// # Errors
    /// One fault for each addition that is already there.
    pub fn delivered(
        &self,
        prescription_id: Uuid,
        conversions: &[Conversion],
    ) -> Result<Vec<u8>, Vec<Fault>> {
        let faults = self.additions();
        if !faults.is_empty() {
            return Err(faults);
        }
        let text = self.xml.text();
        let (first, second) = (self.parts.version.end, self.parts.document.end);
        let mut out = String::with_capacity(text.len() + 512);
        out.push_str(&text[..first]);
        out.push_str("<PrescriptionId Value=\"");
        out.push_str(&prescription_id.hyphenated().to_string());
        out.push_str("\"/>");
        out.push_str(&text[first..second]);
        out.push_str("<AdditionalPrescriptionInformation id=\"AdditionalPrescriptionInformation\">");
        for conversion in conversions {
            out.push_str("<ConversionPharmaceuticalCode>");
            line_write("ConversionREcode", conversion.receipt.as_deref(), &mut out);
            line_write("ConversionYJcode", conversion.yj.as_deref(), &mut out);
            out.push_str("</ConversionPharmaceuticalCode>");
        }
        out.push_str("</AdditionalPrescriptionInformation>");
        out.push_str(&text[second..]);
        Ok(out.into_bytes())
    }
}

fn line_write(name: &str, line: Option<&str>, out: &mut String) {
    let Some(line) = line else { return };
    out.push('<');
    out.push_str(name);
    out.push('>');
    for c in line.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // XML 1.0 §2.2: these cannot be written at all; line ends and tabs have no place in one line.
            '\u{FFFE}' | '\u{FFFF}' => {}
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out.push_str("</");
    out.push_str(name);
    out.push('>');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::test_document::{ID, delivered, original, sample, trust};
    use super::*;
    use crate::trust::test_pki::PKI;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn whatever_is_spliced_the_signature_holds(receipt in any::<Option<String>>(), yj in "[<>&'\"\\]\r\n\t\u{FFFF}a]{0,12}") {
            static ORIGINAL: std::sync::LazyLock<String> = std::sync::LazyLock::new(original);
            let read = EpsPrescription::read_original(ORIGINAL.as_bytes()).unwrap();
            let written = Conversion { receipt, yj: Some(yj) };
            let bytes = read.delivered(ID, std::slice::from_ref(&written)).unwrap();
            let delivered = EpsPrescription::read(&bytes).unwrap();
            let clean = |line: &Option<String>| {
                line.as_ref().map(|l| l.replace(|c: char| c.is_control() || matches!(c, '\u{FFFE}' | '\u{FFFF}'), ""))
            };
            prop_assert_eq!(&delivered.conversions()[0].receipt, &clean(&written.receipt));
            prop_assert_eq!(&delivered.conversions()[0].yj, &clean(&written.yj));
            prop_assert!(delivered.verify(&trust(), PKI.now).is_valid());
        }
    }

    #[test]
    fn additions_are_spliced_and_read_back() {
        let original = original();
        let delivered = delivered(&original);
        let read = EpsPrescription::read(delivered.as_bytes()).unwrap();
        assert_eq!(read.prescription_id(), Some(ID));
        assert_eq!(
            read.conversions(),
            [Conversion {
                receipt: Some("201,1,1,1,2,622688101,試験錠,2,1,錠".to_owned()),
                yj: Some("201,1,1,1,4,2419001F4022,試験&錠,2,1,錠".to_owned()),
            }]
        );
        let without = delivered.replace(&format!("<PrescriptionId Value=\"{ID}\"/>"), "");
        let start = without.find("<AdditionalPrescriptionInformation").unwrap();
        let end = without.find("<PrescriptionSign>").unwrap();
        assert_eq!(format!("{}{}", &without[..start], &without[end..]), original, "nothing else changed");
    }

    #[test]
    fn what_the_service_adds_is_refused_when_it_is_there() {
        let delivered = delivered(&original());
        let read = EpsPrescription::read(delivered.as_bytes()).unwrap();
        assert_eq!(read.delivered(ID, &[]).unwrap_err().len(), 2);
        let faults = EpsPrescription::read_original(delivered.as_bytes()).unwrap_err();
        assert_eq!(faults[0].place, "/Document/Prescription/PrescriptionManagement/PrescriptionId");
        assert_eq!(faults[1].place, "/Document/Prescription/AdditionalPrescriptionInformation");
    }

    #[test]
    fn conversions_are_those_of_the_field_sample() {
        let Some(text) = sample() else { return };
        let read = EpsPrescription::read(text.as_bytes()).unwrap();
        let payload = std::str::from_utf8(read.payload()).unwrap();
        let lines: Vec<_> = payload.lines().filter(|line| line.starts_with("201,")).collect();
        let names = [
            (("622688101", "ミニリンメルトＯＤ錠２５μｇ"), ("2419001F4022", "ミニリンメルトＯＤ錠２５μｇ")),
            (("662640683", "アルメタ軟膏　０．１％"), ("2646727M1022", "アルメタ軟膏")),
        ];
        let ours: Vec<_> = lines
            .iter()
            .zip(names)
            .map(|(line, (receipt, yj))| Conversion::of_line(line, Some(receipt), Some(yj), None).unwrap())
            .collect();
        assert_eq!(ours, read.conversions());
    }

    #[test]
    fn only_drug_lines_are_converted() {
        assert_eq!(Conversion::of_line("101,1,1,,14", None, None, None), None);
        assert_eq!(Conversion::of_line("201,1,1", None, None, None), None);
        assert_eq!(
            Conversion::of_line("201,1,1,1,2,6,x,1,1,錠", None, None, None),
            Some(Conversion::default())
        );
    }
}
