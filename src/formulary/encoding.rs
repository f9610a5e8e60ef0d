//! 文字コード: tells UTF-8 (with or without byte order mark) from Shift_JIS and refuses what is neither. Knows
//! nothing of tables.

use std::borrow::Cow;

use encoding_rs::SHIFT_JIS;
use serde::Serialize;

/// The encoding a file was read in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Encoding {
    /// UTF-8, as the program writes and the price list is converted to.
    #[serde(rename = "UTF-8")]
    Utf8,
    /// Shift_JIS (Windows-31J), as most masters are published.
    #[serde(rename = "Shift_JIS")]
    ShiftJis,
}

const MARK: &[u8] = "\u{feff}".as_bytes();

/// The text of a file without its byte order mark.
///
/// # Errors
/// The line of the first byte that is in neither encoding. A file that begins as UTF-8 beyond ASCII must stay it:
/// read as Shift_JIS, its rest would be letters that nobody wrote.
pub(super) fn decode(bytes: &[u8]) -> Result<(Cow<'_, str>, Encoding), u64> {
    let content = bytes.strip_prefix(MARK).unwrap_or(bytes);
    let broken = match std::str::from_utf8(content) {
        Ok(text) => return Ok((Cow::Borrowed(text), Encoding::Utf8)),
        Err(error) => error.valid_up_to(),
    };
    let begun = content.get(..broken).unwrap_or_default();
    if content.len() < bytes.len() || !begun.is_ascii() {
        return Err(line_of(begun));
    }
    match SHIFT_JIS.decode_without_bom_handling_and_without_replacement(content) {
        Some(text) => Ok((text, Encoding::ShiftJis)),
        None => Err(content
            .split_inclusive(|byte| *byte == b'\n')
            .zip(1..)
            .find(|(line, _)| SHIFT_JIS.decode_without_bom_handling_and_without_replacement(line).is_none())
            .map_or(1, |(_, number)| number)),
    }
}

/// The line that comes after these bytes.
fn line_of(begun: &[u8]) -> u64 {
    begun.split(|byte| *byte == b'\n').zip(1..).last().map_or(1, |(_, number)| number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_encodings_are_told_apart() {
        let text = "成分名,規格\nアムロジピン,５ｍｇ\n";
        assert_eq!(decode(text.as_bytes()), Ok((Cow::Borrowed(text), Encoding::Utf8)));
        let marked = format!("\u{feff}{text}");
        assert_eq!(decode(marked.as_bytes()), Ok((Cow::Borrowed(text), Encoding::Utf8)));
        let (sjis, _, _) = SHIFT_JIS.encode(text);
        assert_eq!(decode(&sjis), Ok((Cow::Borrowed(text), Encoding::ShiftJis)));
    }

    #[test]
    fn broken_bytes_are_told_with_their_line() {
        let text = "成分名\nア\n".as_bytes();
        assert_eq!(decode(&[text, b"\xff\n"].concat()), Err(3));
        let (sjis, _, _) = SHIFT_JIS.encode("成分名\nア\n");
        assert_eq!(decode(&[&sjis, b"\n\x81\xff\n".as_slice()].concat()), Err(4));
        assert_eq!(decode(&["\u{feff}a\n".as_bytes(), b"\x83\x6d"].concat()), Err(2));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }
    }
}
