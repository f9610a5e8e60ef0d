//! The rules of any FHIR JSON, each broken once, and references among entries.

use super::*;

/// The places of the faults of a resource that has a `status`, names, a choice, an extension and a part.
fn places(text: &str) -> Vec<String> {
    let read = read(text.as_bytes(), "Thing", |thing| {
        let status = thing.required("status", primitive::one_of(&[("on", true), ("off", false)]));
        let names = thing.many("name", 0..=2, primitive::string);
        let value = thing.optional(choice("value", "Integer"), primitive::integer);
        let part = thing.each("part", 0..=usize::MAX, |part| {
            part.one("code", |element| {
                concept(element, System(&["urn:oid:1.2.3", "http://example.org/a"]), primitive::code)
            })
        });
        let extension = thing.extension("http://example.org/x", |extension| {
            extension.required(choice("value", "String"), primitive::string)
        });
        Some((status?, names, value, part, extension))
    });
    read.err().unwrap_or_default().into_iter().map(|fault| fault.place).collect()
}

#[test]
fn what_is_allowed_is_read() {
    for text in [
        r#"{"resourceType":"Thing","status":"on"}"#,
        r#"{"resourceType":"Thing","id":"a","meta":{"profile":["http://example.org"]},"status":"on","name":["a","b"],
            "text":{"status":"generated","div":"<div/>"},"valueInteger":1,
            "part":[{"id":"1","code":{"coding":[{"system":"http://example.org/a","code":"x","display":"y"}]}}],
            "extension":[{"url":"http://example.org/x","valueString":"z"}]}"#,
    ] {
        assert_eq!(places(text), [""; 0], "{text}");
    }
}

#[test]
fn every_rule_names_its_place() {
    for (members, expected) in [
        (r#""status":"on","status":"off""#, &["Thing.status"][..]),
        (r#""status":"on","status":"on""#, &["Thing.status"]),
        (r#""status":"ON""#, &["Thing.status"]),
        (r#""status":null"#, &["Thing.status"]),
        (r#""status":"""#, &["Thing.status"]),
        (r#""status":["on"]"#, &["Thing.status"]),
        (r#""name":["a"]"#, &["Thing.status"]),
        (r#""status":"on","name":[]"#, &["Thing.name"]),
        (r#""status":"on","name":"a""#, &["Thing.name"]),
        (r#""status":"on","name":["a",null]"#, &["Thing.name[1]"]),
        (r#""status":"on","name":["a",""]"#, &["Thing.name[1]"]),
        (r#""status":"on","name":["a","b","c"]"#, &["Thing.name"]),
        (r#""status":"on","name":["a",null],"_name":[null,{"id":"x"}]"#, &["Thing.name[1]", "Thing._name"]),
        (
            r#""status":"on","name":["a",null],"_name":[null,null]"#,
            &["Thing.name[1]", "Thing._name[1]", "Thing._name"],
        ),
        (r#""status":"on","_status":{"id":"x"}"#, &["Thing._status"]),
        (r#""status":"on","part":[{}]"#, &["Thing.part[0]"]),
        (r#""status":"on","part":{"code":{}}"#, &["Thing.part.code", "Thing.part"]),
        (r#""status":"on","part":[[]]"#, &["Thing.part[0]"]),
        (r#""status":"on","other":1"#, &["Thing.other"]),
        (r#""status":"on","a b\n<":1"#, &["Thing.ab"]),
        (
            r#""status":"on","modifierExtension":[{"url":"http://example.org/x"}]"#,
            &["Thing.modifierExtension"],
        ),
        (
            r#""status":"on","part":[{"modifierExtension":[{"url":"x"}],"code":{"coding":[{"system":"urn:oid:1.2.3","code":"x"}]}}]"#,
            &["Thing.part[0].modifierExtension"],
        ),
        (r#""status":"on","implicitRules":"http://example.org""#, &["Thing.implicitRules"]),
        (r#""status":"on","contained":[{"resourceType":"Thing"}]"#, &["Thing.contained"]),
        (r#""status":"on","meta":{"tag":[{"code":"HTEST"}]}"#, &["Thing.meta.tag"]),
        (r#""status":"on","text":{"status":"additional","div":"<div/>"}"#, &["Thing.text.status"]),
        (r#""status":"on","valueInteger":1,"valueString":"a""#, &["Thing.value"]),
        (r#""status":"on","valueString":"a""#, &["Thing.value"]),
        (r#""status":"on","valueInteger":1.0"#, &["Thing.value"]),
        (r#""status":"on","valuable":1"#, &["Thing.valuable"]),
        (
            r#""status":"on","extension":[{"url":"http://example.org/y","valueString":"z"}]"#,
            &["Thing.extension[0]"],
        ),
        (
            r#""status":"on","extension":{"url":"http://example.org/x","valueString":"z"}"#,
            &["Thing.extension"],
        ),
        (
            r#""status":"on","extension":[{"url":"http://example.org/x","valueString":"z"},{"url":"http://example.org/x","valueString":"z"}]"#,
            &["Thing.extension[1]"],
        ),
        (r#""status":"on","extension":[{"url":"http://example.org/x"}]"#, &["Thing.extension[0].value"]),
        (
            r#""status":"on","extension":[{"url":"http://example.org/x","valueCode":"z"}]"#,
            &["Thing.extension[0].value"],
        ),
        (r#""status":"on","part":[{"code":{"text":"x"}}]"#, &["Thing.part[0].code.coding"]),
        (
            r#""status":"on","part":[{"code":{"coding":[{"system":"urn:oid:1.2.4","code":"x"}]}}]"#,
            &["Thing.part[0].code.coding[0].system"],
        ),
        (
            r#""status":"on","part":[{"code":{"coding":[{"system":"urn:oid:1.2.3","code":" "}]}}]"#,
            &["Thing.part[0].code.coding[0].code"],
        ),
    ] {
        let text = format!(r#"{{"resourceType":"Thing",{members}}}"#);
        assert_eq!(places(&text), expected, "{text}");
    }
    assert_eq!(places(r#"{"status":"on"}"#), ["Thing.resourceType"]);
    assert_eq!(places(r#"{"resourceType":"Other","status":"on"}"#), ["Thing.resourceType"]);
    assert_eq!(places("[]"), ["Thing"]);
    assert_eq!(places("{"), ["Thing"]);
}

#[test]
fn faults_are_bounded_and_repeat_nothing() {
    let members: Vec<String> = (0..300).map(|number| format!(",\"x{number}\":\"秘密\"")).collect();
    let members = members.concat();
    let text = format!(r#"{{"resourceType":"Thing","status":"秘密"{members}}}"#);
    let faults = read(text.as_bytes(), "Thing", |thing| thing.required("status", primitive::exactly("on")))
        .unwrap_err();
    assert_eq!(faults.len(), 201);
    assert!(faults.iter().all(|fault| !fault.to_string().contains("秘密")));
}

/// The places of the faults of a Bundle whose first entry refers to another.
fn bundle_places(entries: &str) -> Vec<String> {
    let text = format!(r#"{{"resourceType":"Bundle","entry":[{entries}]}}"#);
    let read = read(text.as_bytes(), "Bundle", |bundle| {
        let entries = Entries::of(bundle);
        let target = entries.read(entries.first("One")?, "One", |one| entries.reference(one, "to", &["Two"]));
        target.and_then(|target| entries.read(target, "Two", |_| Some(())));
        entries.finish();
        Some(())
    });
    read.err().unwrap_or_default().into_iter().map(|fault| fault.place).collect()
}

#[test]
fn references_lead_to_entries_and_all_entries_are_led_to() {
    let url = |number: u8| format!("urn:uuid:0d9e0f00-0000-4000-8000-00000000000{number}");
    let entry =
        |number: u8, resource: &str| format!(r#"{{"fullUrl":"{}","resource":{resource}}}"#, url(number));
    let one = |to: &str| entry(1, &format!(r#"{{"resourceType":"One","to":{{"reference":"{to}"}}}}"#));
    let two = entry(2, r#"{"resourceType":"Two"}"#);
    let three = entry(3, r#"{"resourceType":"Three"}"#);
    let both = |first: &str, second: &str| format!("{first},{second}");
    assert_eq!(bundle_places(&both(&one(&url(2)), &two)), [""; 0]);
    for (entries, expected) in [
        (both(&two, &one(&url(2))), &["Bundle.entry[0].resource.resourceType"][..]),
        (both(&one(&url(4)), &two), &["Bundle.entry[0].resource.to.reference", "Bundle.entry[1].resource"]),
        (both(&one("Two/2"), &two), &["Bundle.entry[0].resource.to.reference", "Bundle.entry[1].resource"]),
        (both(&one(&url(3)), &three), &["Bundle.entry[0].resource.to.reference"]),
        (both(&both(&one(&url(2)), &two), &three), &["Bundle.entry[2].resource"]),
        (both(&both(&one(&url(2)), &two), &two), &["Bundle.entry[2].fullUrl", "Bundle.entry[2].resource"]),
        (
            both(&one(&url(2)), r#"{"fullUrl":"x"}"#),
            &["Bundle.entry[1].fullUrl", "Bundle.entry[1].resource", "Bundle.entry[0].resource.to.reference"],
        ),
        (
            both(&one(&url(2)), &two.replacen('{', r#"{"search":{"mode":"match"},"#, 1)),
            &["Bundle.entry[1].search"],
        ),
    ] {
        assert_eq!(bundle_places(&entries), expected, "{entries}");
    }
}
