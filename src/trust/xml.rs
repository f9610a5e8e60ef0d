//! Reading signed XML without trusting it: owns the limits, the identifiers and the names as written. Knows no
//! signature and no envelope.
//!
//! What a signed document never needs is refused before a tree is built: document types (and with them every
//! entity), processing instructions, CDATA sections, lone carriage returns, deep nesting, crowded tags.

use std::collections::HashMap;

use roxmltree::{Document, Node, NodeId, ParsingOptions};

/// The longest document read, in bytes.
pub const MAX_BYTES: usize = 2 * 1024 * 1024;
const MAX_DEPTH: usize = 64;
const MAX_NODES: u32 = 20_000;
const MAX_ATTRIBUTES: usize = 32;
/// The parser copies the namespaces in scope for every element that declares one; this keeps the copies few.
const MAX_NAMESPACES: usize = 64;

/// Why the bytes are not read as XML. Says where and what, never repeats the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    /// Longer than [`MAX_BYTES`].
    #[error("the document is longer than 2 MiB")]
    TooLarge,
    /// Not UTF-8, or declared to be something else.
    #[error("the document is not UTF-8")]
    NotUtf8,
    /// An XML declaration other than that of XML 1.0.
    #[error("the XML declaration is not one of XML 1.0")]
    Declaration,
    /// A `<!DOCTYPE …>` or another declaration.
    #[error("document type declarations are refused")]
    DocumentType,
    /// A processing instruction other than the XML declaration.
    #[error("processing instructions are refused")]
    Instruction,
    /// A CDATA section.
    #[error("CDATA sections are refused")]
    CdataSection,
    /// A carriage return that no line feed follows.
    #[error("a carriage return without a line feed is refused")]
    LoneCarriageReturn,
    /// Too deep, too many nodes, attributes or namespace declarations.
    #[error("the document exceeds the limit on {0}")]
    Limit(&'static str),
    /// Not well-formed.
    #[error("not well-formed at line {line}, column {column}")]
    Malformed {
        /// Line, from 1.
        line: u32,
        /// Column, from 1.
        column: u32,
    },
    /// Two attributes `id` or `Id` with one value.
    #[error("an identifier occurs twice, the second time at line {line}, column {column}")]
    DuplicateId {
        /// Line, from 1.
        line: u32,
        /// Column, from 1.
        column: u32,
    },
}

/// A document that kept the limits, with its identifiers resolved.
#[derive(Debug)]
pub struct Xml<'a> {
    text: &'a str,
    tree: Document<'a>,
    ids: HashMap<String, NodeId>,
}

impl<'a> Xml<'a> {
    /// Parses the whole of `bytes`.
    ///
    /// # Errors
    /// The first reason of [`XmlError`] that applies.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, XmlError> {
        if bytes.len() > MAX_BYTES {
            return Err(XmlError::TooLarge);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| XmlError::NotUtf8)?;
        scan(bytes)?;
        let options = ParsingOptions { nodes_limit: MAX_NODES, ..ParsingOptions::default() };
        let tree = Document::parse_with_options(text, options).map_err(|error| match error {
            roxmltree::Error::NodesLimitReached => XmlError::Limit("nodes"),
            other => XmlError::Malformed { line: other.pos().row, column: other.pos().col },
        })?;
        let ids = ids_collect(&tree)?;
        Ok(Self { text, tree, ids })
    }

    /// The document element.
    pub fn root(&self) -> Node<'_, 'a> {
        self.tree.root_element()
    }

    /// Every node of the document.
    pub fn nodes(&self) -> impl Iterator<Item = Node<'_, 'a>> {
        self.tree.root().descendants()
    }

    /// The one element whose `id` or `Id` is this.
    pub fn element_by_id(&self, id: &str) -> Option<Node<'_, 'a>> {
        self.ids.get(id).and_then(|node| self.tree.get_node(*node))
    }

    /// The node that was given this identity while reading this document.
    pub fn node(&self, id: NodeId) -> Option<Node<'_, 'a>> {
        self.tree.get_node(id)
    }

    /// The document as it was read.
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// The name of an element with its prefix, as written.
    pub fn qualified_name(&self, element: Node<'_, '_>) -> &'a str {
        let tag = self.text.get(element.range().start + 1..).unwrap_or_default();
        let end = tag.find(|c: char| c.is_ascii_whitespace() || c == '/' || c == '>').unwrap_or(tag.len());
        &tag[..end]
    }

    /// The bytes of an element, from its `<` to its last `>`, as they stand in the document.
    pub fn source(&self, element: Node<'_, '_>) -> &'a str {
        self.text.get(element.range()).unwrap_or_default()
    }
}

/// The elements among a node's children.
pub fn elements<'n, 'a: 'n>(node: Node<'n, 'a>) -> impl Iterator<Item = Node<'n, 'a>> {
    node.children().filter(Node::is_element)
}

/// All text directly within an element, joined over comments so that a comment hides nothing.
pub fn text_of(element: Node<'_, '_>) -> String {
    element.children().filter(Node::is_text).filter_map(|node| node.text()).collect()
}

/// Where an element stands, such as `/Document/Prescription`, with local names.
pub fn path_of(element: Node<'_, '_>) -> String {
    let mut names: Vec<_> =
        element.ancestors().filter(Node::is_element).map(|node| node.tag_name().name()).collect();
    names.reverse();
    format!("/{}", names.join("/"))
}

fn ids_collect(tree: &Document<'_>) -> Result<HashMap<String, NodeId>, XmlError> {
    let mut ids = HashMap::new();
    for node in tree.root().descendants() {
        for attribute in node.attributes().filter(|a| a.namespace().is_none()) {
            let is_id = matches!(attribute.name(), "id" | "Id");
            if is_id && ids.insert(attribute.value().to_owned(), node.id()).is_some() {
                let at = tree.text_pos_at(attribute.range().start);
                return Err(XmlError::DuplicateId { line: at.row, column: at.col });
            }
        }
    }
    Ok(ids)
}

/// Walks the markup once, before any memory is spent on it.
fn scan(bytes: &[u8]) -> Result<(), XmlError> {
    let lone_return = |(at, byte): (usize, &u8)| *byte == b'\r' && bytes.get(at + 1) != Some(&b'\n');
    if bytes.iter().enumerate().any(lone_return) {
        return Err(XmlError::LoneCarriageReturn);
    }
    let body = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let mut rest = declaration_skip(body)?;
    let (mut depth, mut namespaces) = (0_usize, 0_usize);
    while let Some(open) = rest.iter().position(|byte| *byte == b'<') {
        rest = &rest[open..];
        if rest.starts_with(b"<!--") {
            rest = after(rest, b"-->");
        } else if rest.starts_with(b"<![CDATA[") {
            return Err(XmlError::CdataSection);
        } else if rest.starts_with(b"<!") {
            return Err(XmlError::DocumentType);
        } else if rest.starts_with(b"<?") {
            return Err(XmlError::Instruction);
        } else {
            let tag = tag_of(rest)?;
            namespaces += tag.windows(5).filter(|window| window == b"xmlns").count();
            if namespaces > MAX_NAMESPACES {
                return Err(XmlError::Limit("namespace declarations"));
            }
            if tag.starts_with(b"</") {
                depth = depth.saturating_sub(1);
            } else if !tag.ends_with(b"/>") {
                depth += 1;
            }
            if depth > MAX_DEPTH {
                return Err(XmlError::Limit("nesting"));
            }
            rest = &rest[tag.len()..];
        }
    }
    Ok(())
}

/// The tag at the start of `bytes`, to its unquoted `>`; to the end when there is none, which the parser refuses.
fn tag_of(bytes: &[u8]) -> Result<&[u8], XmlError> {
    let (mut quote, mut values) = (None, 0_usize);
    for (at, byte) in bytes.iter().enumerate() {
        match (quote, *byte) {
            (None, b'>') => return Ok(&bytes[..=at]),
            (None, b'"' | b'\'') => {
                quote = Some(*byte);
                values += 1;
                if values > MAX_ATTRIBUTES {
                    return Err(XmlError::Limit("attributes"));
                }
            }
            (Some(open), byte) if open == byte => quote = None,
            _ => {}
        }
    }
    Ok(bytes)
}

fn declaration_skip(bytes: &[u8]) -> Result<&[u8], XmlError> {
    let is_declaration =
        bytes.strip_prefix(b"<?xml").is_some_and(|rest| rest.first().is_some_and(u8::is_ascii_whitespace));
    if !is_declaration {
        return Ok(bytes);
    }
    let rest = after(bytes, b"?>");
    let declaration = bytes[5..bytes.len() - rest.len()].strip_suffix(b"?>").unwrap_or_default();
    let mut values = declaration.split(u8::is_ascii_whitespace).filter(|value| !value.is_empty());
    if !values.next().is_some_and(|value| is_declared(value, b"version", &[b"1.0"])) {
        return Err(XmlError::Declaration);
    }
    let mut value = values.next();
    if value.is_some_and(|value| value.starts_with(b"encoding")) {
        if !value.is_some_and(|value| is_declared(value, b"encoding", &[b"utf-8"])) {
            return Err(XmlError::NotUtf8);
        }
        value = values.next();
    }
    let standalone = value.is_none_or(|value| is_declared(value, b"standalone", &[b"yes", b"no"]));
    if standalone && values.next().is_none() { Ok(rest) } else { Err(XmlError::Declaration) }
}

/// Whether `text` is `name="value"` with one of these values, in either kind of quotes (XML 1.0 2.8).
fn is_declared(text: &[u8], name: &[u8], values: &[&[u8]]) -> bool {
    let Some(quoted) = text.strip_prefix(name).and_then(|rest| rest.strip_prefix(b"=")) else { return false };
    [b'"', b'\''].into_iter().any(|quote| match quoted {
        [open, value @ .., close] if *open == quote && *close == quote => {
            values.iter().any(|known| value.eq_ignore_ascii_case(known))
        }
        _ => false,
    })
}

fn after<'b>(bytes: &'b [u8], mark: &[u8]) -> &'b [u8] {
    let found = bytes.windows(mark.len()).position(|window| window == mark);
    found.map_or(&[], |at| &bytes[at + mark.len()..])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refused(text: &str) -> XmlError {
        Xml::parse(text.as_bytes()).unwrap_err()
    }

    #[test]
    fn what_signed_documents_never_need_is_refused() {
        assert_eq!(refused("<!DOCTYPE a><a/>"), XmlError::DocumentType);
        let bomb = r#"<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;&b;">]><a>&c;</a>"#;
        assert_eq!(refused(bomb), XmlError::DocumentType);
        assert_eq!(refused("<a><?pi x?></a>"), XmlError::Instruction);
        assert_eq!(refused("<a><![CDATA[x]]></a>"), XmlError::CdataSection);
        assert_eq!(refused("<a>\rx</a>"), XmlError::LoneCarriageReturn);
        assert_eq!(refused(r#"<?xml version="1.0" encoding="Shift_JIS"?><a/>"#), XmlError::NotUtf8);
        for declaration in
            ["", "version=\"1.1\"", "version=\"EPS1.0\"", "version=\"1.0\" x", "version='1.0\""]
        {
            assert_eq!(
                refused(&format!("<?xml {declaration}?><a/>")),
                XmlError::Declaration,
                "{declaration}"
            );
        }
        assert!(Xml::parse(b"<?xml version='1.0' encoding='UTF-8' standalone='yes'?><a/>").is_ok());
        assert!(matches!(refused("<a>&unknown;</a>"), XmlError::Malformed { .. }));
        assert!(matches!(refused("<a b='1' b='2'/>"), XmlError::Malformed { .. }));
        assert!(matches!(refused("<a/><a/>"), XmlError::Malformed { .. }));
        assert_eq!(Xml::parse(b"<a>\xff</a>").unwrap_err(), XmlError::NotUtf8);
        assert_eq!(Xml::parse(&vec![b' '; MAX_BYTES + 1]).unwrap_err(), XmlError::TooLarge);
    }

    #[test]
    fn limits_hold_before_the_tree_is_built() {
        assert_eq!(refused(&"<a>".repeat(100_000)), XmlError::Limit("nesting"));
        let crowded: String = (0..100).fold(String::from("<a"), |tag, n| format!("{tag} a{n}='>'"));
        assert_eq!(refused(&format!("{crowded}/>")), XmlError::Limit("attributes"));
        let many = format!("<a>{}</a>", "<b xmlns='u'/>".repeat(300));
        assert_eq!(refused(&many), XmlError::Limit("namespace declarations"));
        assert_eq!(refused(&format!("<a>{}</a>", "<b/>".repeat(30_000))), XmlError::Limit("nodes"));
    }

    #[test]
    fn an_identifier_is_unique_whichever_attribute_holds_it() {
        for text in ["<a><b id='x'/><c id='x'/></a>", "<a id='x'><c Id='x'/></a>", "<a id='x' Id='x'/>"] {
            assert!(matches!(refused(text), XmlError::DuplicateId { .. }), "{text}");
        }
        let xml = Xml::parse(b"<a><p:b  xmlns:p='u' Id='x'>t<!-- c -->u</p:b></a>").unwrap();
        let element = xml.element_by_id("x").unwrap();
        assert_eq!(xml.qualified_name(element), "p:b");
        assert_eq!(text_of(element), "tu");
        assert_eq!(path_of(element), "/a/b");
        assert!(xml.element_by_id("y").is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn no_input_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "[<>/?!a&;'\"= \\[\\]CDAT\\-]{0,60}") {
            let _ = Xml::parse(&bytes).map(|xml| xml.text().len());
            let _ = Xml::parse(text.as_bytes()).map(|xml| xml.text().len());
        }
    }
}
