//! QR codes (JIS X 0510) of bytes as they are, and their drawing as SVG. Knows no document.

use std::fmt::Write;

use qrcode::bits::Bits;
use qrcode::{Color, EcLevel, QrCode, Version};

/// The most bytes put into one symbol that people scan with a telephone: what version 25 holds at level M.
pub const HANDY_BYTES: usize = 997;
/// Modules of white around a symbol.
const QUIET: usize = 4;
/// Width of a module in an SVG, in millimetres: a symbol of version 25 is 6 cm wide.
const MODULE: f64 = 0.48;
/// Height of a line below a symbol, in modules.
const CAPTION: usize = 6;

/// There is no symbol for that many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the content does not fit into a QR code")]
pub struct TooLarge;

/// A symbol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbol {
    width: usize,
    dark: Vec<bool>,
}

impl Symbol {
    /// The smallest symbol that holds `bytes` at error correction level M, all of them in byte mode: what is
    /// Shift_JIS inside is read as the bytes it is.
    ///
    /// # Errors
    /// [`TooLarge`]
    pub fn of(bytes: &[u8]) -> Result<Self, TooLarge> {
        let code = (1..=40).find_map(|version| {
            let mut bits = Bits::new(Version::Normal(version));
            bits.push_byte_data(bytes).ok()?;
            bits.push_terminator(EcLevel::M).ok()?;
            QrCode::with_bits(bits, EcLevel::M).ok()
        });
        let code = code.ok_or(TooLarge)?;
        let dark = code.to_colors().into_iter().map(|color| color == Color::Dark).collect();
        Ok(Self { width: code.width(), dark })
    }

    /// Modules from side to side, without the white around.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The dark runs, row by row: column, row, length.
    pub fn runs(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        self.dark.chunks(self.width).enumerate().flat_map(|(row, modules)| {
            let mut column = 0;
            modules.chunk_by(|left, right| left == right).filter_map(move |run| {
                let start = column;
                column += run.len();
                run[0].then_some((start, row, run.len()))
            })
        })
    }
}

/// Symbols below one another, each with its number and how many there are when there are several.
pub fn svg(symbols: &[Symbol]) -> String {
    let side = |symbol: &Symbol| symbol.width + 2 * QUIET;
    let caption = if symbols.len() > 1 { CAPTION } else { 0 };
    let width = symbols.iter().map(side).max().unwrap_or_default();
    let height: usize = symbols.iter().map(|symbol| side(symbol) + caption).sum();
    #[expect(clippy::cast_precision_loss, reason = "a few thousand modules")]
    let millimetres = |modules: usize| modules as f64 * MODULE;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{:.2}mm\" height=\"{:.2}mm\" viewBox=\"0 0 {width} {height}\" \
         shape-rendering=\"crispEdges\"><rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>",
        millimetres(width),
        millimetres(height),
    );
    let mut top = 0;
    for (number, symbol) in (1..).zip(symbols) {
        let _ = write!(svg, "<path id=\"part-{number}\" d=\"");
        for (column, row, length) in symbol.runs() {
            let _ = write!(svg, "M{} {}h{length}v1h-{length}z", column + QUIET, top + row + QUIET);
        }
        svg.push_str("\"/>");
        top += side(symbol) + caption;
        if caption > 0 {
            let (middle, total) = (side(symbol) / 2, symbols.len());
            let _ = write!(
                svg,
                "<text x=\"{middle}\" y=\"{}\" font-size=\"4\" text-anchor=\"middle\">{number}/{total}</text>",
                top - caption + 2,
            );
        }
    }
    svg.push_str("</svg>\n");
    svg
}

/// What an independent decoder reads from a symbol.
#[cfg(test)]
pub(crate) fn decoded(symbol: &Symbol) -> Vec<u8> {
    const SCALE: usize = 4;
    let side = (symbol.width + 2 * QUIET) * SCALE;
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(side, side, |x, y| {
        let module = |place: usize| (place / SCALE).checked_sub(QUIET).filter(|place| *place < symbol.width);
        match (module(x), module(y)) {
            (Some(column), Some(row)) if symbol.dark[row * symbol.width + column] => 0,
            _ => 255,
        }
    });
    let grids = image.detect_grids();
    assert_eq!(grids.len(), 1);
    let mut bytes = Vec::new();
    grids[0].decode_to(&mut bytes).unwrap();
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_independent_decoder_reads_the_same_bytes() {
        let japanese = encoding_rs::SHIFT_JIS.encode("１日３回毎食後　服用,ｶﾅ\r\n").0;
        for bytes in
            [b"06138762,\x8f\x97,1,00,19600606,123456".to_vec(), japanese.repeat(30), vec![0x93; HANDY_BYTES]]
        {
            assert_eq!(decoded(&Symbol::of(&bytes).unwrap()), bytes);
        }
    }

    #[test]
    fn handy_is_version_25_and_there_is_an_end() {
        assert_eq!(Symbol::of(&[0x93; HANDY_BYTES]).unwrap().width(), 17 + 4 * 25);
        assert_eq!(Symbol::of(&[0x93; HANDY_BYTES + 1]).unwrap().width(), 17 + 4 * 26);
        assert_eq!(Symbol::of(&[0; 2332]), Err(TooLarge));
    }

    #[test]
    fn an_image_holds_every_symbol_with_its_number() {
        let symbol = Symbol::of(b"1").unwrap();
        let one = svg(std::slice::from_ref(&symbol));
        assert!(one.contains("viewBox=\"0 0 29 29\"") && !one.contains("<text"));
        let two = svg(&[symbol.clone(), symbol]);
        assert!(
            two.contains("viewBox=\"0 0 29 70\"") && two.contains(">2/2<") && two.contains("id=\"part-2\"")
        );
    }
}
