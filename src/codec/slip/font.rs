//! The fonts a slip is printed with: the first that has a character prints it, and one that none has is seen to be
//! missing. Knows nothing of pages.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use krilla::text::Font;
use skrifa::instance::{LocationRef, Size};
use skrifa::{FontRef, MetadataProvider};

/// 〓, printed where no font has the character.
const MISSING: char = '〓';
/// Stands for a face's own last resort; every Japanese font has it.
const SPACE: char = '\u{3000}';
/// The list of tables stands before this many bytes, of a collection too.
const HEAD: u64 = 4096;

/// Why a font cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}", path.display())]
pub struct FontError {
    path: PathBuf,
    reason: String,
}

/// Fonts in the order they are asked. A font is megabytes, and the later ones print a rare name now and then: each is
/// read when the first slip asks for it.
#[derive(Clone)]
pub struct Fonts(Arc<[Face]>);

struct Face {
    path: PathBuf,
    /// `None` when the file is no longer the font it was.
    read: OnceLock<Option<Read>>,
}

struct Read {
    font: Font,
    data: Arc<Vec<u8>>,
}

/// Text of one font.
#[derive(Clone)]
pub(super) struct Run {
    pub font: Font,
    pub text: String,
    /// In units of the font size.
    pub width: f32,
}

impl std::fmt::Debug for Fonts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Fonts({})", self.0.len())
    }
}

impl Fonts {
    /// The fonts in these files, of a collection the first. Answers those that can be used, `None` of none, and what is
    /// wrong with the others.
    pub fn find(paths: &[PathBuf]) -> (Option<Self>, Vec<FontError>) {
        let (mut faces, mut errors) = (Vec::new(), Vec::new());
        for path in paths {
            match Face::find(path) {
                Ok(face) => faces.push(face),
                Err(reason) => errors.push(FontError { path: path.clone(), reason }),
            }
        }
        ((!faces.is_empty()).then(|| Self(faces.into())), errors)
    }

    /// The fonts that can be read.
    fn faces(&self) -> impl Iterator<Item = &Read> {
        self.0.iter().filter_map(Face::read)
    }

    /// Whether anything can be printed at all: a file may have gone since it was found.
    pub fn usable(&self) -> bool {
        self.faces().next().is_some()
    }

    /// The first font that has the character.
    fn having(&self, character: char) -> Option<&Read> {
        self.faces().find(|face| face.has(character))
    }

    /// The text in runs of one font each. Characters that no font has are printed as 〓 and put into `missing`.
    pub(super) fn runs(&self, text: &str, missing: &mut BTreeSet<char>) -> Vec<Run> {
        let mut runs: Vec<(&Read, String)> = Vec::new();
        for character in text.chars() {
            // A selector of a variant goes with the character before.
            if is_selector(character)
                && let Some((_, run)) = runs.last_mut()
            {
                run.push(character);
                continue;
            }
            let printed = self.having(character).map(|face| (face, character)).or_else(|| {
                missing.insert(character);
                let missing = self.having(MISSING).map(|face| (face, MISSING));
                missing.or_else(|| self.faces().next().map(|face| (face, SPACE)))
            });
            let Some((face, printed)) = printed else { continue };
            match runs.last_mut() {
                Some((last, run)) if std::ptr::eq(*last, face) => run.push(printed),
                _ => runs.push((face, printed.to_string())),
            }
        }
        let run =
            |(face, text): (&Read, String)| Run { font: face.font.clone(), width: face.width(&text), text };
        runs.into_iter().map(run).collect()
    }

    /// Width of a text in units of the font size.
    pub(super) fn width(&self, text: &str) -> f32 {
        self.runs(text, &mut BTreeSet::new()).iter().map(|run| run.width).sum()
    }
}

/// Variation selectors, with which registers of names tell forms of a character apart (IVS).
fn is_selector(character: char) -> bool {
    matches!(character, '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}

impl Face {
    /// Looks at the head of the file, which names the tables of the font.
    fn find(path: &Path) -> Result<Self, String> {
        let mut head = Vec::new();
        let reading = File::open(path).and_then(|file| file.take(HEAD).read_to_end(&mut head));
        reading.map_err(|error| error.to_string())?;
        FontRef::from_index(&head, 0).map_err(|error| error.to_string())?;
        Ok(Self { path: path.to_owned(), read: OnceLock::new() })
    }

    fn read(&self) -> Option<&Read> {
        let read = self.read.get_or_init(|| {
            let read = Read::from(&self.path);
            read.map_err(
                |reason| tracing::error!(path = %self.path.display(), reason, "a font cannot be used"),
            )
            .ok()
        });
        read.as_ref()
    }
}

impl Read {
    fn from(path: &Path) -> Result<Self, String> {
        let data = Arc::new(std::fs::read(path).map_err(|error| error.to_string())?);
        let shared: Arc<dyn AsRef<[u8]> + Send + Sync> = data.clone();
        let font = Font::new(shared.into(), 0).ok_or("not a font this program can read")?;
        Ok(Self { font, data })
    }

    fn parsed(&self) -> Option<FontRef<'_>> {
        FontRef::from_index(&self.data, 0).ok()
    }

    fn has(&self, character: char) -> bool {
        self.parsed().and_then(|font| font.charmap().map(character)).is_some()
    }

    fn width(&self, text: &str) -> f32 {
        let Some(font) = self.parsed() else { return 0.0 };
        let (charmap, metrics) = (font.charmap(), font.glyph_metrics(Size::new(1.0), LocationRef::default()));
        let advance = |character| metrics.advance_width(charmap.map(character)?);
        text.chars().filter(|character| !is_selector(*character)).filter_map(advance).sum()
    }
}
