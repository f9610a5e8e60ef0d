//! Between the bytes of a CSV document and its text: encoding, line ends, the end-of-file mark. The forms of the
//! national service are UTF-8 with LF; those of JAHIS are MS-DOS text, Shift_JIS with CR LF. Knows no record.

use std::borrow::Cow;

use encoding_rs::SHIFT_JIS;

use super::log::Log;

/// The longest document read, in bytes. Real ones are a few kilobytes.
const MAX_BYTES: usize = 512 * 1024;
/// EOF of MS-DOS text.
const END_OF_FILE: u8 = 0x1a;
/// Stands where a character cannot be written (外字, JAHIS10 3.2.4).
const GAIJI: char = '■';

/// How the bytes of a document say its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TextForm {
    pub encoding: Encoding,
    /// CR LF at the end of a line, not LF alone.
    pub carriage_returns: bool,
    /// Whether the last line is ended like the others.
    pub last_line_ended: bool,
    /// Whether an EOF follows the last line.
    pub end_of_file: bool,
}

/// A character encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Utf8,
    ShiftJis,
}

impl TextForm {
    /// As the national service has it.
    pub const NATIONAL: Self = Self {
        encoding: Encoding::Utf8,
        carriage_returns: false,
        last_line_ended: false,
        end_of_file: false,
    };
    /// As JAHIS has it: MS-DOS text, here without the EOF.
    pub const DOS: Self = Self {
        encoding: Encoding::ShiftJis,
        carriage_returns: true,
        last_line_ended: true,
        end_of_file: false,
    };
}

/// The text of a document of the national service. `None` when it has none; then a fault says why.
pub(super) fn national<'a>(bytes: &'a [u8], log: &mut Log) -> Option<(&'a str, TextForm)> {
    bounded(bytes, log)?;
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            log.fault_at(Some(line_of(bytes, error.valid_up_to())), None, "expected UTF-8");
            return None;
        }
    };
    let text = match text.strip_prefix('\u{feff}') {
        Some(rest) => {
            log.fault_at(Some(1), None, "expected no byte order mark");
            rest
        }
        None => text,
    };
    let (text, last_line_ended) = text.strip_suffix('\n').map_or((text, false), |rest| (rest, true));
    Some((text, TextForm { last_line_ended, ..TextForm::NATIONAL }))
}

/// The text of a document of JAHIS, its lines ended by LF alone. Telephones pass such documents on as UTF-8 and
/// without the CR; these are read too. `None` when there is no text; then a fault says why.
pub(super) fn dos(bytes: &[u8], log: &mut Log) -> Option<(String, TextForm)> {
    bounded(bytes, log)?;
    let (bytes, end_of_file) = bytes.strip_suffix(&[END_OF_FILE]).map_or((bytes, false), |rest| (rest, true));
    let (text, encoding) = match std::str::from_utf8(bytes) {
        Ok(text) if is_plainly_utf8(text) => (Cow::Borrowed(text), Encoding::Utf8),
        _ => (shift_jis(bytes, log)?, Encoding::ShiftJis),
    };
    let carriage_returns = text.contains("\r\n") || encoding == Encoding::ShiftJis && !text.contains('\n');
    let text = if carriage_returns {
        if text.matches('\n').count() != text.matches("\r\n").count() {
            let line = text.split('\n').position(|line| !line.ends_with('\r')).map(|index| index + 1);
            log.fault_at(line, None, "expected every line to end in CR LF");
        }
        text.replace("\r\n", "\n")
    } else {
        text.into_owned()
    };
    let (text, last_line_ended) = match text.strip_suffix('\n') {
        Some(rest) => (rest.to_owned(), true),
        None => (text, false),
    };
    Some((text, TextForm { encoding, carriage_returns, last_line_ended, end_of_file }))
}

fn bounded(bytes: &[u8], log: &mut Log) -> Option<()> {
    if bytes.len() > MAX_BYTES {
        log.fault_at(None, None, format!("expected at most {MAX_BYTES} bytes"));
    } else if bytes.is_empty() {
        log.fault_at(None, None, "expected a header and records, found nothing");
    } else {
        return Some(());
    }
    None
}

/// Japanese text in UTF-8 has three bytes a character; Shift_JIS that happens to be UTF-8 (half-width katakana in
/// pairs) would be made of two.
fn is_plainly_utf8(text: &str) -> bool {
    !text.is_ascii() && text.chars().all(|character| character.is_ascii() || character >= '\u{800}')
}

fn shift_jis<'a>(bytes: &'a [u8], log: &mut Log) -> Option<Cow<'a, str>> {
    let Some(text) = SHIFT_JIS.decode_without_bom_handling_and_without_replacement(bytes) else {
        let lines = bytes.split(|byte| *byte == b'\n');
        let refused =
            |line: &[u8]| SHIFT_JIS.decode_without_bom_handling_and_without_replacement(line).is_none();
        log.fault_at(
            lines.map(refused).position(|refused| refused).map(|index| index + 1),
            None,
            "expected Shift_JIS",
        );
        return None;
    };
    // 外字 have no meaning outside the system that made them, and some characters have two codes of which only one
    // would be written back.
    let again = SHIFT_JIS.encode(&text).0;
    if again != bytes {
        let place = again.iter().zip(bytes).take_while(|(again, byte)| again == byte).count();
        let message = "expected Shift_JIS without user-defined characters, of two codes the IBM one";
        log.fault_at(Some(line_of(bytes, place)), None, message);
        return None;
    }
    Some(text)
}

fn line_of(bytes: &[u8], place: usize) -> usize {
    bytes[..place].split(|byte| *byte == b'\n').count()
}

/// The bytes of a text whose lines end in LF, the last one in nothing.
pub(super) fn encode(text: &str, form: TextForm) -> Vec<u8> {
    let mut text = text.to_owned();
    if form.last_line_ended {
        text.push('\n');
    }
    if form.carriage_returns {
        text = text.replace('\n', "\r\n");
    }
    let mut bytes = match form.encoding {
        Encoding::Utf8 => text.into_bytes(),
        Encoding::ShiftJis => SHIFT_JIS.encode(&in_shift_jis(&text)).0.into_owned(),
    };
    if form.end_of_file {
        bytes.push(END_OF_FILE);
    }
    bytes
}

/// The text with every character that Shift_JIS has not replaced: by the one that looks the same, else by ■.
pub fn in_shift_jis(text: &str) -> String {
    text.chars()
        .map(|character| {
            // Where JIS and Windows disagree about the Unicode of a sign.
            let same = match character {
                '\u{301c}' => '～',
                '\u{2016}' => '∥',
                '\u{2014}' => '―',
                '\u{a2}' => '￠',
                '\u{a3}' => '￡',
                '\u{ac}' => '￢',
                other => other,
            };
            if SHIFT_JIS.encode(same.encode_utf8(&mut [0; 4])).2 { GAIJI } else { same }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(bytes: &[u8]) -> Result<String, String> {
        let mut log = Log::new("X");
        match dos(bytes, &mut log) {
            Some((text, form)) if log.is_clean() => {
                assert_eq!(encode(&text, form), bytes);
                Ok(text)
            }
            _ => Err(log.into_faults()[0].to_string()),
        }
    }

    #[test]
    fn both_encodings_and_every_ending_come_back() {
        let text = "1,山田\n2,ｶﾅ";
        for encoding in [Encoding::Utf8, Encoding::ShiftJis] {
            for (carriage_returns, last_line_ended, end_of_file) in
                [(false, false, false), (true, true, true), (true, false, true), (false, true, false)]
            {
                let form = TextForm { encoding, carriage_returns, last_line_ended, end_of_file };
                let bytes = encode(text, form);
                let mut log = Log::new("X");
                assert_eq!(dos(&bytes, &mut log), Some((text.to_owned(), form)));
                assert_eq!(round(&bytes).unwrap(), text);
            }
        }
    }

    #[test]
    fn half_width_katakana_are_not_taken_for_utf8() {
        // ﾐｷ ﾂｶ is well-formed UTF-8 too.
        assert_eq!(round(b"\xd0\xb7 \xc2\xb6").unwrap(), "ﾐｷ ﾂｶ");
    }

    #[test]
    fn what_cannot_be_written_back_is_refused_with_its_line() {
        assert_eq!(round(b"1\r\n\x83").unwrap_err(), "X[line 2]: expected Shift_JIS");
        // A user-defined character, and 髙 by its other code.
        for bytes in [b"1\r\n2\r\n\xf0\x40", b"1\r\n2\r\n\xee\xe0"] {
            assert!(round(bytes).unwrap_err().starts_with("X[line 3]: "));
        }
        assert!(round(b"1\r\n2\n3\r\n").unwrap_err().starts_with("X[line 2]: "));
        assert!(round(b"").is_err());
    }

    #[test]
    fn characters_outside_shift_jis_are_seen_to_be_missing() {
        assert_eq!(in_shift_jis("𠮷田\u{301c}髙"), "■田～髙");
    }
}
