//! A page of the documentation and the examples in it. Knows Markdown's fences and nothing of what they hold.

use std::fmt;
use std::fs;
use std::path::Path;

/// README.md, or a page of docs/.
pub struct Page {
    pub blocks: Vec<Block>,
}

/// What stands between two fences.
pub struct Block {
    /// Where the fence is: file and line.
    place: String,
    /// The first word behind the fence; empty when there is none.
    pub kind: String,
    /// The second word, where it is no `no-run:`.
    pub name: Option<String>,
    /// Why it is not run.
    pub not_run: Option<String>,
    pub text: String,
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.place, self.kind)
    }
}

/// All of them, README.md first.
pub fn pages() -> Vec<Page> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = vec![project.join("README.md")];
    for directory in [project.join("docs"), project.join("docs/decisions")] {
        let listed = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
        files.extend(listed.filter(|path| path.extension().is_some_and(|extension| extension == "md")));
    }
    files.iter().map(|file| read(file)).collect()
}

/// The block that bears a name.
pub fn named(name: &str) -> String {
    let mut blocks = pages().into_iter().flat_map(|page| page.blocks);
    blocks.find(|block| block.name.as_deref() == Some(name)).unwrap().text
}

fn read(file: &Path) -> Page {
    let text = fs::read_to_string(file).unwrap();
    let name = file.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().display();
    let (mut blocks, mut open) = (Vec::new(), None::<Block>);
    for (number, line) in (1..).zip(text.lines()) {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(words)) => open = Some(begin(format!("{name}:{number}"), words)),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(block), None) => {
                block.text += line;
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{name}: a fence is not closed");
    Page { blocks }
}

fn begin(place: String, words: &str) -> Block {
    let (kind, rest) = words.split_once(' ').unwrap_or((words, ""));
    let not_run = rest.strip_prefix("no-run: ").map(str::to_owned);
    let name = (!rest.is_empty() && not_run.is_none()).then(|| rest.to_owned());
    Block { place, kind: kind.to_owned(), name, not_run, text: String::new() }
}
