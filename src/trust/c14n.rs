//! Canonicalisation of one element and what is below it: Canonical XML 1.0 and Exclusive XML Canonicalization,
//! both without comments. Knows no signature.
//!
//! The tree it reads has no processing instructions, CDATA sections or entities (see [`crate::trust::xml`]), so
//! only elements, attributes, namespaces and text are left to write.

use std::borrow::Cow;
use std::collections::BTreeMap;

use roxmltree::Node;

use crate::trust::xml::Xml;

const XML_NAMESPACE: &str = "http://www.w3.org/XML/1998/namespace";

/// How an element is canonicalised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Method {
    /// Canonical XML 1.0: every namespace in scope is written.
    Inclusive,
    /// Exclusive: only namespaces that are used, and those whose prefixes are listed (`""` for the default one).
    Exclusive(Vec<String>),
}

impl Method {
    /// Identifier of [`Method::Inclusive`].
    pub const INCLUSIVE: &str = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315";
    /// Identifier of [`Method::Exclusive`].
    pub const EXCLUSIVE: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";

    /// The method that a `CanonicalizationMethod` or `Transform` element names; `None` for anything else.
    pub fn of(element: Node<'_, '_>) -> Option<Self> {
        let children: Vec<_> = element.children().filter(Node::is_element).collect();
        match (element.attribute("Algorithm")?, children.as_slice()) {
            (Self::INCLUSIVE, []) => Some(Self::Inclusive),
            (Self::EXCLUSIVE, []) => Some(Self::Exclusive(Vec::new())),
            (Self::EXCLUSIVE, [list])
                if list.tag_name().namespace() == Some(Self::EXCLUSIVE)
                    && list.tag_name().name() == "InclusiveNamespaces" =>
            {
                let prefixes = list.attribute("PrefixList")?.split_ascii_whitespace();
                let name =
                    |prefix: &str| if prefix == "#default" { String::new() } else { prefix.to_owned() };
                Some(Self::Exclusive(prefixes.map(name).collect()))
            }
            _ => None,
        }
    }
}

/// The canonical octets of `element` within its document.
pub fn canonicalise(xml: &Xml<'_>, element: Node<'_, '_>, method: &Method) -> Vec<u8> {
    let mut out = String::new();
    let writer = Writer { xml, method };
    let mut inherited = Vec::new();
    if *method == Method::Inclusive {
        inherited = xml_attributes_inherited(element);
    }
    writer.element(element, &inherited, &BTreeMap::new(), &mut out);
    out.into_bytes()
}

/// Canonical XML 1.0 §2.4: the apex also carries the nearest `xml:*` attributes of its ancestors.
fn xml_attributes_inherited<'a>(element: Node<'a, '_>) -> Vec<(&'a str, &'a str)> {
    let mut found: Vec<(&str, &str)> = Vec::new();
    let own = |name: &str| element.has_attribute((XML_NAMESPACE, name));
    for ancestor in element.ancestors().skip(1) {
        for attribute in ancestor.attributes().filter(|a| a.namespace() == Some(XML_NAMESPACE)) {
            if !own(attribute.name()) && !found.iter().any(|(name, _)| *name == attribute.name()) {
                found.push((attribute.name(), attribute.value()));
            }
        }
    }
    found
}

struct Writer<'a, 'x> {
    xml: &'a Xml<'x>,
    method: &'a Method,
}

impl Writer<'_, '_> {
    /// Writes an element. `rendered` maps the prefixes its written ancestors declared to their namespaces. The depth
    /// of recursion is bounded by the reader.
    fn element<'n>(
        &self,
        element: Node<'n, '_>,
        inherited: &[(&str, &str)],
        rendered: &BTreeMap<&'n str, &'n str>,
        out: &mut String,
    ) {
        let name = self.xml.qualified_name(element);
        let mut scope = Cow::Borrowed(rendered);
        out.push('<');
        out.push_str(name);
        for (prefix, namespace) in self.namespaces(element, name) {
            if scope.get(prefix).copied().unwrap_or_default() == namespace {
                continue;
            }
            out.push_str(if prefix.is_empty() { " xmlns" } else { " xmlns:" });
            out.push_str(prefix);
            attribute_value(namespace, out);
            scope.to_mut().insert(prefix, namespace);
        }
        self.attributes(element, inherited, out);
        out.push('>');
        for child in element.children() {
            if child.is_element() {
                self.element(child, &[], &scope, out);
            } else if child.is_text() {
                text(child.text().unwrap_or_default(), out);
            }
        }
        out.push_str("</");
        out.push_str(name);
        out.push('>');
    }

    /// The namespaces to write at this element unless already written, by prefix. The default namespace is always
    /// considered, as the empty one when none is in scope, so that leaving it is written too.
    fn namespaces<'n>(&self, element: Node<'n, '_>, name: &str) -> Vec<(&'n str, &'n str)> {
        let used = |prefix: &str| match self.method {
            Method::Inclusive => true,
            Method::Exclusive(listed) => {
                prefix == prefix_of(name)
                    || (!prefix.is_empty()
                        && element.attributes().any(|a| self.prefix_of_attribute(&a) == prefix))
                    || listed.iter().any(|l| l == prefix)
            }
        };
        let mut scope: Vec<_> = element
            .namespaces()
            .map(|namespace| (namespace.name().unwrap_or_default(), namespace.uri()))
            .filter(|(prefix, _)| *prefix != "xml" && used(prefix))
            .collect();
        if used("") && !scope.iter().any(|(prefix, _)| prefix.is_empty()) {
            scope.push(("", ""));
        }
        scope.sort_unstable();
        scope
    }

    fn attributes(&self, element: Node<'_, '_>, inherited: &[(&str, &str)], out: &mut String) {
        let mut attributes: Vec<_> = element
            .attributes()
            .map(|a| {
                ((a.namespace().unwrap_or_default(), a.name()), self.written(a.range_qname()), a.value())
            })
            .collect();
        let inherited: Vec<_> =
            inherited.iter().map(|(name, value)| (*name, format!("xml:{name}"), *value)).collect();
        attributes
            .extend(inherited.iter().map(|(name, q, value)| ((XML_NAMESPACE, *name), q.as_str(), *value)));
        attributes.sort_unstable_by_key(|(key, _, _)| *key);
        for (_, name, value) in attributes {
            out.push(' ');
            out.push_str(name);
            attribute_value(value, out);
        }
    }

    fn prefix_of_attribute(&self, attribute: &roxmltree::Attribute<'_, '_>) -> &str {
        prefix_of(self.written(attribute.range_qname()))
    }

    fn written(&self, range: std::ops::Range<usize>) -> &str {
        self.xml.text().get(range).unwrap_or_default()
    }
}

fn prefix_of(name: &str) -> &str {
    name.split_once(':').map_or("", |(prefix, _)| prefix)
}

fn attribute_value(value: &str, out: &mut String) {
    out.push_str("=\"");
    escaped(value, out, |byte| match byte {
        b'&' => Some("&amp;"),
        b'<' => Some("&lt;"),
        b'"' => Some("&quot;"),
        b'\t' => Some("&#x9;"),
        b'\n' => Some("&#xA;"),
        b'\r' => Some("&#xD;"),
        _ => None,
    });
    out.push('"');
}

fn text(value: &str, out: &mut String) {
    escaped(value, out, |byte| match byte {
        b'&' => Some("&amp;"),
        b'<' => Some("&lt;"),
        b'>' => Some("&gt;"),
        b'\r' => Some("&#xD;"),
        _ => None,
    });
}

/// Copies what stands for itself in whole runs. What does not is ASCII, so that every run begins and ends at a character.
fn escaped(value: &str, out: &mut String, reference: impl Fn(u8) -> Option<&'static str>) {
    let mut begun = 0;
    for (at, byte) in value.bytes().enumerate() {
        if let Some(reference) = reference(byte) {
            out.push_str(&value[begun..at]);
            out.push_str(reference);
            begun = at + 1;
        }
    }
    out.push_str(&value[begun..]);
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use base64::prelude::{BASE64_STANDARD, Engine as _};
    use proptest::strategy::{Strategy, ValueTree};
    use proptest::test_runner::TestRunner;

    use super::*;

    fn canonical(text: &str, id: &str, method: &Method) -> String {
        let xml = Xml::parse(text.as_bytes()).unwrap();
        String::from_utf8(canonicalise(&xml, xml.element_by_id(id).unwrap(), method)).unwrap()
    }

    #[test]
    fn a_subtree_keeps_the_context_its_method_wants() {
        let text = r#"<r xmlns="d" xmlns:x="X" xmlns:y="Y" xml:lang="ja" xml:space="preserve"><a id="i" xml:lang="en" y:b='1' a="2"><x:c/></a></r>"#;
        assert_eq!(
            canonical(text, "i", &Method::Inclusive),
            r#"<a xmlns="d" xmlns:x="X" xmlns:y="Y" a="2" id="i" y:b="1" xml:lang="en" xml:space="preserve"><x:c></x:c></a>"#
        );
        assert_eq!(
            canonical(text, "i", &Method::Exclusive(vec![])),
            r#"<a xmlns="d" xmlns:y="Y" a="2" id="i" y:b="1" xml:lang="en"><x:c xmlns:x="X"></x:c></a>"#
        );
        assert_eq!(
            canonical(text, "i", &Method::Exclusive(vec!["x".into()])),
            r#"<a xmlns="d" xmlns:x="X" xmlns:y="Y" a="2" id="i" y:b="1" xml:lang="en"><x:c></x:c></a>"#
        );
    }

    #[test]
    fn characters_are_escaped_and_the_default_namespace_is_left() {
        let text = "<a id='i' xmlns='d' t='&#9;&#10;&#13;\t&lt;&gt;&amp;&quot;'>&#13;&lt;&gt;&amp;\"\r\n<!-- gone --><b xmlns=''/></a>";
        assert_eq!(
            canonical(text, "i", &Method::Inclusive),
            "<a xmlns=\"d\" id=\"i\" t=\"&#x9;&#xA;&#xD; &lt;>&amp;&quot;\">&#xD;&lt;&gt;&amp;\"\n<b xmlns=\"\"></b></a>"
        );
    }

    #[test]
    fn only_the_two_pinned_methods_are_known() {
        let method = |text: &str| Method::of(Xml::parse(text.as_bytes()).unwrap().root());
        let named = |uri: &str| method(&format!("<m Algorithm='{uri}'/>"));
        assert_eq!(named(Method::INCLUSIVE), Some(Method::Inclusive));
        assert_eq!(named(Method::EXCLUSIVE), Some(Method::Exclusive(vec![])));
        assert_eq!(named("http://www.w3.org/TR/2001/REC-xml-c14n-20010315#WithComments"), None);
        assert_eq!(named("http://www.w3.org/TR/1999/REC-xpath-19991116"), None);
        let listed = "<m xmlns:e='http://www.w3.org/2001/10/xml-exc-c14n#' Algorithm='http://www.w3.org/2001/10/xml-exc-c14n#'><e:InclusiveNamespaces PrefixList='a #default'/></m>";
        assert_eq!(method(listed), Some(Method::Exclusive(vec!["a".into(), String::new()])));
    }

    /// Random documents: prefixes rebound and dropped, attributes with and without, awkward characters.
    fn tree() -> impl Strategy<Value = String> {
        let attribute =
            ("[pq]?", "[ab]", "(&#13;|&#10;|&#9;|&lt;|&amp;|&quot;|\t|\n|\r\n|x|>|\u{85}|\u{3042}){0,4}");
        let declaration = ("[pq]?", "[UV]");
        let leaf = "(&#13;|&lt;|&gt;|&amp;|\r\n|\n|\"|\u{3042}|<!-- c -->){0,4}";
        let node = (declaration, prop::option::of(attribute), "[pq]?");
        let open = |((prefix, uri), attribute, name): (_, Option<(String, String, String)>, String)| {
            let colon = |prefix: &str| if prefix.is_empty() { String::new() } else { format!("{prefix}:") };
            let declare: String = prefix;
            let declare = if declare.is_empty() { "xmlns".to_owned() } else { format!("xmlns:{declare}") };
            let uri: String = uri;
            let mut tag = format!("{}e {declare}='urn:{uri}'", colon(&name));
            if let Some((prefix, name, value)) = attribute {
                let _ = write!(tag, " {}{name}='{value}'", colon(&prefix));
            }
            tag
        };
        let element = node.prop_map(open);
        leaf.prop_map(|text| text).prop_recursive(4, 24, 4, move |inner| {
            (element.clone(), prop::collection::vec(inner, 0..4)).prop_map(|(tag, children)| {
                let name = tag.split(' ').next().unwrap_or_default().to_owned();
                format!("<{tag}>{}</{name}>", children.concat())
            })
        })
    }
    use proptest::prelude::{any, prop};

    #[test]
    fn agrees_with_libxml2_where_it_is_installed() {
        let mut runner = TestRunner::deterministic();
        let (trees, undeclare) = (tree(), any::<bool>());
        let mut input = String::new();
        let mut ours = Vec::new();
        for _ in 0..300 {
            let inner = trees.new_tree(&mut runner).unwrap().current();
            let bare = if undeclare.new_tree(&mut runner).unwrap().current() { "<n xmlns=''/>" } else { "" };
            let text = format!(
                "<r xmlns:p='urn:P' xmlns:q='urn:Q' xmlns='urn:D' xmlns:unused='urn:N'>{bare}<z id='i' xml:lang='ja'>{inner}</z></r>"
            );
            let xml = Xml::parse(text.as_bytes()).unwrap();
            let apex = xml.element_by_id("i").unwrap();
            let listed = Method::Exclusive(vec!["q".into()]);
            ours.push(canonicalise(&xml, xml.root(), &Method::Inclusive));
            ours.push(canonicalise(&xml, xml.root(), &listed));
            ours.push(canonicalise(&xml, apex, &Method::Exclusive(vec![])));
            let _ = writeln!(input, "{}", BASE64_STANDARD.encode(text));
        }
        let script = "import sys,base64\nfrom lxml import etree\nfor l in sys.stdin:\n r=etree.fromstring(base64.b64decode(l))\n for e,x,n in ((r,False,None),(r,True,['q']),(r.find('.//*[@id=\"i\"]'),True,None)):\n  print(base64.b64encode(etree.tostring(e,method='c14n',exclusive=x,with_comments=False,inclusive_ns_prefixes=n)).decode())\n";
        let run = |python: &str| {
            let mut child = Command::new(python)
                .args(["-c", script])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .ok()?;
            let mut stdin = child.stdin.take()?;
            let input = input.clone();
            let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
            let output = child.wait_with_output().ok()?;
            drop(writer.join());
            output.status.success().then_some(output.stdout)
        };
        let Some(theirs) = ["python3", "/usr/bin/python3"].into_iter().find_map(run) else {
            eprintln!("skipped: no python3 with lxml here to compare canonical forms with");
            return;
        };
        let theirs: Vec<_> =
            String::from_utf8(theirs).unwrap().lines().map(|l| BASE64_STANDARD.decode(l).unwrap()).collect();
        assert_eq!(ours.len(), theirs.len());
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert_eq!(String::from_utf8_lossy(ours), String::from_utf8_lossy(theirs));
        }
    }
}
