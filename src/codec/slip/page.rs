//! Pages of A5 being filled from top to bottom: text, lines, symbols. Knows no prescription.

use std::collections::BTreeSet;

use krilla::Document;
use krilla::SerializeSettings;
use krilla::color::rgb;
use krilla::geom::{PathBuilder, Point, Rect};
use krilla::metadata::Metadata;
use krilla::page::PageSettings;
use krilla::paint::Fill;
use krilla::surface::Surface;
use krilla::text::TextDirection;

use super::SlipError;
use super::font::{Fonts, Run};
use crate::codec::qr::Symbol;

/// A5 in points.
const WIDTH: f32 = 419.53;
const HEIGHT: f32 = 595.28;
/// Nothing is printed nearer to the edge: 10 mm.
pub(super) const LEFT: f32 = 28.35;
pub(super) const RIGHT: f32 = WIDTH - LEFT;
const TOP: f32 = 28.35;
/// Below it stands the foot of the page.
const BOTTOM: f32 = HEIGHT - 52.0;
/// Lines are so many times their font size apart.
const LEADING: f32 = 1.4;

pub(super) const BLACK: u8 = 0;
pub(super) const GREY: u8 = 95;
pub(super) const PALE: u8 = 236;

/// What is to be drawn on a page.
enum Mark {
    Text { x: f32, baseline: f32, size: f32, grey: u8, runs: Vec<Run> },
    Box { area: Rect, grey: u8 },
    Symbol { x: f32, y: f32, module: f32, symbol: Symbol },
}

/// The pages so far.
pub(super) struct Pages<'f> {
    fonts: &'f Fonts,
    marks: Vec<Vec<Mark>>,
    /// How far down the page under way is filled.
    pub y: f32,
    missing: BTreeSet<char>,
}

impl<'f> Pages<'f> {
    pub fn new(fonts: &'f Fonts) -> Self {
        Self { fonts, marks: vec![Vec::new()], y: TOP, missing: BTreeSet::new() }
    }

    fn mark(&mut self, mark: Mark) {
        if let Some(page) = self.marks.last_mut() {
            page.push(mark);
        }
    }

    /// Goes on to the next page unless `height` is left on this one.
    pub fn need(&mut self, height: f32) {
        if self.y + height > BOTTOM {
            self.marks.push(Vec::new());
            self.y = TOP;
        }
    }

    pub fn text(&mut self, x: f32, baseline: f32, size: f32, grey: u8, text: &str) {
        let runs = self.fonts.runs(text, &mut self.missing);
        self.mark(Mark::Text { x, baseline, size, grey, runs });
    }

    /// Text that ends at `right`.
    pub fn text_to(&mut self, right: f32, baseline: f32, size: f32, grey: u8, text: &str) {
        self.text(right - self.width(text, size), baseline, size, grey, text);
    }

    pub fn width(&self, text: &str, size: f32) -> f32 {
        self.fonts.width(text) * size
    }

    /// Lines of text from `x` to `right` at the present place, which moves below them.
    pub fn lines(&mut self, x: f32, right: f32, size: f32, grey: u8, text: &str) {
        for line in self.broken(text, right - x, size) {
            self.need(size * LEADING);
            self.y += size * LEADING;
            self.text(x, self.y - size * (LEADING - 1.0), size, grey, &line);
        }
    }

    /// The text in lines of at most `width`. Japanese breaks anywhere but before what ends a phrase; words in Latin
    /// letters are short here and break too.
    fn broken(&self, text: &str, width: f32, size: f32) -> Vec<String> {
        let mut lines = vec![String::new()];
        let mut filled = 0.0;
        for character in text.chars() {
            let advance = self.width(character.encode_utf8(&mut [0; 4]), size);
            let ends_phrase = "、。，．）」』】〕・ー,.)".contains(character);
            if filled + advance > width && filled > 0.0 && !ends_phrase {
                lines.push(String::new());
                filled = 0.0;
            }
            if let Some(line) = lines.last_mut() {
                line.push(character);
            }
            filled += advance;
        }
        lines
    }

    pub fn fill(&mut self, left: f32, top: f32, right: f32, bottom: f32, grey: u8) {
        if let Some(area) = Rect::from_ltrb(left, top, right, bottom) {
            self.mark(Mark::Box { area, grey });
        }
    }

    /// A line across the page at the present place.
    pub fn rule(&mut self, weight: f32, grey: u8) {
        self.fill(LEFT, self.y, RIGHT, self.y + weight, grey);
        self.y += weight;
    }

    /// A frame of a box.
    pub fn frame(&mut self, left: f32, top: f32, right: f32, bottom: f32) {
        self.fill(left, top, right, bottom, BLACK);
        self.fill(left + 1.2, top + 1.2, right - 1.2, bottom - 1.2, 255);
    }

    pub fn symbol(&mut self, x: f32, y: f32, side: f32, symbol: Symbol) {
        #[expect(clippy::cast_precision_loss, reason = "at most 177 modules")]
        let module = side / symbol.width() as f32;
        self.mark(Mark::Symbol { x, y, module, symbol });
    }

    /// The document, with `foot` below every page, and below it what could not be printed.
    pub fn finish(mut self, title: &str, foot: &str) -> Result<Vec<u8>, SlipError> {
        let total = self.marks.len();
        let codes: Vec<String> =
            self.missing.iter().map(|character| format!("U+{:04X}", u32::from(*character))).collect();
        let settings = SerializeSettings { enable_tagging: false, ..SerializeSettings::default() };
        let mut document = Document::new_with(settings);
        document.set_metadata(Metadata::new().title(title.to_owned()).language("ja".to_owned()));
        for (number, marks) in (1..).zip(std::mem::take(&mut self.marks)) {
            self.marks.push(marks);
            self.foot(foot, &codes, number, total);
            let settings = PageSettings::from_wh(WIDTH, HEIGHT).ok_or(SlipError)?;
            let mut page = document.start_page_with(settings);
            let mut surface = page.surface();
            for mark in self.marks.pop().unwrap_or_default() {
                draw(&mut surface, mark);
            }
            surface.finish();
            page.finish();
        }
        document.finish().map_err(|_| SlipError)
    }

    fn foot(&mut self, foot: &str, codes: &[String], number: usize, total: usize) {
        let y = HEIGHT - 30.0;
        if !codes.is_empty() {
            let note = format!("〓 = {}（印刷できない文字 / could not be printed）", codes.join(", "));
            self.text(LEFT, y - 10.0, 6.5, BLACK, &note);
        }
        self.fill(LEFT, y - 6.5, RIGHT, y - 6.0, GREY);
        self.text(LEFT, y + 3.0, 6.5, GREY, foot);
        self.text_to(RIGHT, y + 3.0, 6.5, GREY, &format!("{number} / {total}"));
    }
}

fn paint(surface: &mut Surface<'_>, grey: u8) {
    surface.set_fill(Some(Fill { paint: rgb::Color::new(grey, grey, grey).into(), ..Fill::default() }));
}

fn draw(surface: &mut Surface<'_>, mark: Mark) {
    match mark {
        Mark::Text { mut x, baseline, size, grey, runs } => {
            paint(surface, grey);
            for run in runs {
                let start = Point::from_xy(x, baseline);
                surface.draw_text(start, run.font, size, &run.text, false, TextDirection::LeftToRight);
                x += run.width * size;
            }
        }
        Mark::Box { area, grey } => {
            paint(surface, grey);
            fill(surface, [area]);
        }
        Mark::Symbol { x, y, module, symbol } => {
            paint(surface, BLACK);
            #[expect(clippy::cast_precision_loss, reason = "at most 177 modules")]
            let place = |modules: usize| modules as f32 * module;
            fill(
                surface,
                symbol.runs().filter_map(|(column, row, length)| {
                    Rect::from_xywh(x + place(column), y + place(row), place(length), module)
                }),
            );
        }
    }
}

fn fill(surface: &mut Surface<'_>, areas: impl IntoIterator<Item = Rect>) {
    let mut path = PathBuilder::new();
    for area in areas {
        path.push_rect(area);
    }
    if let Some(path) = path.finish() {
        surface.draw_path(&path);
    }
}
