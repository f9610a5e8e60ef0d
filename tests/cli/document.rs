//! `sign`, `verify` and `convert`, one after another on the same documents.

#![expect(clippy::unwrap_used, reason = "a document that cannot be put down fails its test")]

use std::fs;
use std::path::{Path, PathBuf};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use hikikae::codec::eps_xml::EpsPrescription;
use hikikae::trust::Certificate;
use tempfile::TempDir;
use uuid::Uuid;

use crate::program::{Run, hikikae, project, words};
use crate::signer::SIGNERS;

const SJ1: &str = "fixtures/documents/general-internal.sj1.csv";
const CJ1: &str = "fixtures/documents/general-internal-as-prescribed.cj1.csv";
/// The prescription that the CJ1 answers.
const ID: Uuid = Uuid::from_u128(0x0190_b6f0_0000_8000_8000_0000_0000_0001);

fn sign(what: &str, who: &str, more: &[&str], input: &Path) -> Run {
    let mut args = words("sign");
    args.push(what.to_owned());
    args.extend(SIGNERS.options(who));
    args.extend(more.iter().map(ToString::to_string));
    args.push(input.display().to_string());
    hikikae(args)
}

fn verify(more: &[&str], file: &Path) -> Run {
    let trust = SIGNERS.path("trust");
    let options = ["verify".as_ref(), "--trust".as_ref(), trust.as_os_str()];
    hikikae(options.into_iter().chain(more.iter().map(AsRef::as_ref)).chain([file.as_os_str()]))
}

fn convert(to: &str, file: &Path) -> Run {
    hikikae(["convert".as_ref(), "--to".as_ref(), to.as_ref(), file.as_os_str()])
}

fn put(directory: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = directory.path().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn a_prescription_is_signed_verified_and_turned_back() {
    let directory = tempfile::tempdir().unwrap();
    let signed = sign("prescription", "physician", &[], &project(SJ1)).done();
    let file = put(&directory, "signed.xml", &signed.out);

    let told = verify(&[], &file).done();
    assert!(told.text().contains("passed          path") && told.text().ends_with("\nvalid\n"), "{told:?}");
    let json = verify(&["--json"], &file).done().json();
    assert_eq!((&json["document"], &json["valid"]), (&"prescription".into(), &true.into()));
    assert_eq!(json["signatures"][0]["level"], "BES");
    assert_eq!(json["signatures"][0]["signer"]["roles"][0], "Medical Doctor");

    let back = convert("sj1", &file).done();
    assert_eq!(back.out, fs::read(project(SJ1)).unwrap());
    assert!(back.err.contains("not a signed original"));
    assert_eq!(convert("sj1", &project(SJ1)).done().out, back.out);
    assert_eq!(convert("cj1", &file).code, 2);
    let bundle = put(&directory, "bundle.json", &convert("fhir", &file).done().out);
    assert_eq!(convert("sj1", &bundle).done().out, back.out);
    assert_eq!(convert("cj1", &bundle).code, 2);
    let long = fs::read_to_string(&bundle).unwrap().replace("試験　花子", &"長".repeat(21));
    let long = convert("sj1", &put(&directory, "long.json", long.as_bytes()));
    assert!(long.code == 1 && long.err.contains("not said: SJ1[line 7].11.2"), "{long:?}");
}

#[test]
fn a_dispensing_result_bears_two_signatures() {
    let directory = tempfile::tempdir().unwrap();
    let original = sign("prescription", "physician", &[], &project(SJ1)).done().out;
    let delivered = EpsPrescription::read(&original).unwrap().delivered(ID, &[]).unwrap();
    let original = put(&directory, "original.xml", &original);
    let delivered = put(&directory, "delivered.xml", &delivered);
    let with = |prescription: &Path| {
        sign(
            "dispensing",
            "pharmacist",
            &["--prescription", &prescription.display().to_string()],
            &project(CJ1),
        )
    };
    let file = put(&directory, "result.xml", &with(&delivered).done().out);

    let told = verify(&[], &file).done();
    assert!(told.text().contains(&ID.to_string()) && told.text().ends_with("both valid\n"), "{told:?}");
    let json = verify(&["--json"], &file).done().json();
    assert_eq!(json["signatures"][0]["signer"]["roles"][0], "Pharmacist");
    assert_eq!(json["signatures"][1]["signature"], "prescription");
    assert_eq!(convert("cj1", &file).done().out, fs::read(project(CJ1)).unwrap());
    assert_eq!(convert("sj1", &file).done().out, fs::read(project(SJ1)).unwrap());
    let (current, before) = (convert("notebook", &file).done().out, convert("notebook-07", &file).done().out);
    assert!(current.starts_with(b"JAHISTC08,1\r\n") && before.starts_with(b"JAHISTC07,1\r\n"));
    assert_eq!(current["JAHISTC08".len()..], before["JAHISTC07".len()..]);

    let refused = with(&original);
    assert!(refused.code == 2 && refused.err.contains("without a PrescriptionId"), "{refused:?}");
    let refused = with(&file);
    assert!(refused.code == 2 && refused.err.contains("a dispensing result, where"), "{refused:?}");
    let other = fs::read(&delivered).unwrap();
    let other = String::from_utf8(other).unwrap().replace(&ID.to_string(), &Uuid::from_u128(9).to_string());
    let refused = with(&put(&directory, "other.xml", other.as_bytes()));
    assert!(refused.code == 2 && refused.err.contains("the CJ1 answers prescription"), "{refused:?}");

    let wrong =
        sign("dispensing", "physician", &["--prescription", &delivered.display().to_string()], &project(CJ1));
    let told = verify(&[], &put(&directory, "wrong.xml", &wrong.done().out));
    assert!(told.code == 1 && told.text().contains("FAILED          role: signer-role"), "{told:?}");
}

#[test]
fn a_bundle_is_signed_answered_verified_and_turned_back() {
    let directory = tempfile::tempdir().unwrap();
    let jose = |what, who, more: &[&str], input: &Path| {
        sign(what, who, &[&["--form", "jose"], more].concat(), input)
    };
    let bundle = put(&directory, "bundle.json", &convert("fhir", &project(SJ1)).done().out);
    let signed = put(&directory, "signed.jws", &jose("prescription", "physician", &[], &bundle).done().out);
    assert!(verify(&[], &signed).done().text().ends_with("\nvalid\n"));
    let json = verify(&["--json"], &signed).done().json();
    assert_eq!((&json["document"], &json["valid"]), (&"prescription".into(), &true.into()));
    assert_eq!(convert("sj1", &signed).done().out, fs::read(project(SJ1)).unwrap());

    let xml = sign("prescription", "physician", &[], &project(SJ1)).done().out;
    let xml = EpsPrescription::read(&xml).unwrap().delivered(ID, &[]).unwrap();
    let xml = put(&directory, "delivered.xml", &xml);
    let (signed, xml) = (signed.display().to_string(), xml.display().to_string());
    for (form, delivered) in [("jose", &signed), ("jose", &xml), ("xml", &signed)] {
        let options = ["--form", form, "--prescription", delivered];
        let result = sign("dispensing", "pharmacist", &options, &project(CJ1)).done().out;
        let file = put(&directory, "result", &result);
        let told = verify(&[], &file).done();
        assert!(told.text().ends_with("both valid\n"), "{form} over {delivered}: {told:?}");
        let json = verify(&["--json"], &file).done().json();
        assert_eq!(json["signatures"][0]["signer"]["roles"][0], "Pharmacist");
        assert_eq!(json["signatures"][1]["signer"]["roles"][0], "Medical Doctor");
        assert_eq!(convert("cj1", &file).done().out, fs::read(project(CJ1)).unwrap());
        assert_eq!(convert("sj1", &file).done().out, fs::read(project(SJ1)).unwrap());
        let result = put(&directory, "result.json", &convert("fhir", &file).done().out);
        assert_eq!(convert("cj1", &result).done().out, fs::read(project(CJ1)).unwrap());
        assert_eq!(convert("sj1", &result).code, 2, "a rendering holds no prescription");
        let again = jose("dispensing", "pharmacist", &["--prescription", delivered], &result).done();
        assert!(again.err.contains("holds the prescription"), "{again:?}");
        let checked = hikikae(["check".as_ref(), "--json".as_ref(), file.as_os_str()]).json();
        assert_eq!((&checked["document"], &checked["lines"]), (&"dispensing".into(), &3.into()));
    }

    let wrong = jose("dispensing", "physician", &["--prescription", &signed], &project(CJ1)).done();
    let told = verify(&[], &put(&directory, "wrong.jws", &wrong.out));
    assert!(told.code == 1 && told.text().contains("FAILED          role: signer-role"), "{told:?}");
    let flipped = fs::read_to_string(&signed).unwrap().replacen(".eyJ", ".eyI", 1);
    let told = verify(&[], &put(&directory, "flipped.jws", flipped.as_bytes()));
    assert!(told.code == 1 && told.text().contains("signature-invalid"), "{told:?}");
    let cut = signed.replace("signed.jws", "cut.jws");
    fs::write(&cut, "eyJhbGciOiJub25lIn0..").unwrap();
    let told = verify(&[], Path::new(&cut));
    assert!(told.code == 2 && told.err.contains("JWS.header.alg: expected RS256"), "{told:?}");
}

#[test]
fn what_cannot_be_signed_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let mixed = hikikae(["sign", "prescription", "--cert"].map(Into::into).into_iter().chain([
        SIGNERS.path("physician.pem"),
        "--key".into(),
        SIGNERS.path("pharmacist.key"),
        project(SJ1),
    ]));
    assert!(mixed.code == 2 && mixed.err.contains("does not belong to the certificate"), "{mixed:?}");
    let faulty = put(&directory, "faulty.csv", b"SJ1\n1,1,12,13,x\n999\n");
    let faulty = sign("prescription", "physician", &[], &faulty);
    assert!(
        faulty.code == 2 && faulty.out.is_empty() && faulty.err.contains("SJ1[line 2].1.2"),
        "{faulty:?}"
    );
    assert!(faulty.err.lines().count() > 2, "all faults at once: {faulty:?}");
    let bundle = put(&directory, "bundle.json", b"{\"resourceType\":\"Bundle\"}");
    let bundle = sign("prescription", "physician", &[], &bundle);
    assert!(bundle.code == 2 && bundle.err.contains("FHIR"), "{bundle:?}");
    let jose = sign("prescription", "physician", &["--form", "jose"], &project(SJ1));
    assert!(jose.code == 2 && jose.err.contains("hikikae convert --to fhir"), "{jose:?}");
    let swapped = sign("prescription", "physician", &[], &project(CJ1));
    assert_eq!(swapped.code, 2, "{swapped:?}");
}

#[test]
fn a_document_that_does_not_hold_names_the_check() {
    let directory = tempfile::tempdir().unwrap();
    let signed = sign("prescription", "physician", &[], &project(SJ1)).done().out;
    let signed = String::from_utf8(signed).unwrap();
    let file = put(&directory, "signed.xml", signed.as_bytes());

    let nobody = hikikae(["verify".as_ref(), file.as_os_str()]);
    assert!(nobody.code == 1 && nobody.text().contains("use --trust DIR"), "{nobody:?}");
    let past = verify(&["--at", "2001-01-01T00:00:00Z"], &file);
    assert!(past.code == 1 && past.text().contains("certificate-expired"), "{past:?}");

    let start = signed.find("id=\"PrescriptionDocument\">").unwrap() + 40;
    let swap = if &signed[start..=start] == "A" { "B" } else { "A" };
    let flipped = format!("{}{swap}{}", &signed[..start], &signed[start + 1..]);
    let told = verify(&[], &put(&directory, "flipped.xml", flipped.as_bytes()));
    assert!(
        told.code == 1 && told.text().contains("FAILED          reference #PrescriptionDocument"),
        "{told:?}"
    );
    let broken = format!("{}!{}", &signed[..start], &signed[start + 1..]);
    let told = verify(&[], &put(&directory, "broken.xml", broken.as_bytes()));
    assert!(
        told.code == 1 && told.text().contains("FAILED          structure /Document/Prescription"),
        "{told:?}"
    );

    for (name, text) in
        [("a", "SJ1\n"), ("b", "<Document>"), ("c", "<!DOCTYPE x><Document/>"), ("d", "<x/>"), ("e", "")]
    {
        assert_eq!(verify(&[], &put(&directory, name, text.as_bytes())).code, 2, "{text}");
    }
    assert_eq!(verify(&[], Path::new("absent.xml")).code, 2);
    let nowhere = hikikae(["verify".as_ref(), "--trust".as_ref(), "absent".as_ref(), file.as_os_str()]);
    assert!(nowhere.code == 2 && nowhere.err.contains("no such directory"), "{nowhere:?}");
}

#[test]
fn the_field_sample_is_valid_under_its_own_roots() {
    let sample = project("../shared/samples/Prescription-004_01.xml");
    let Ok(text) = fs::read_to_string(&sample) else {
        eprintln!("skipped: the field sample is not here");
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    for kind in ["hpki", "tsa"] {
        fs::create_dir(directory.path().join(kind)).unwrap();
    }
    let certificates = text.split("EncapsulatedX509Certificate").filter_map(|part| part.split_once('>'));
    for (index, (_, content)) in certificates.enumerate() {
        let base64: String = content.split('<').next().unwrap().split_whitespace().collect();
        let certificate =
            BASE64_STANDARD.decode(base64).ok().and_then(|der| Certificate::from_der(&der).ok());
        if let Some(certificate) = certificate.filter(Certificate::is_self_issued) {
            let stamps = certificate.subject().common_name().is_some_and(|name| name.contains("TimeStamp"));
            let kind = if stamps { "tsa" } else { "hpki" };
            put(&directory, &format!("{kind}/{index}.pem"), certificate.to_pem().as_bytes());
        }
    }
    let verify = |more: &[&str]| {
        let options = ["verify".as_ref(), "--trust".as_ref(), directory.path().as_os_str()];
        hikikae(options.into_iter().chain(more.iter().map(AsRef::as_ref)).chain([sample.as_os_str()]))
    };
    let told = verify(&[]).done();
    assert!(told.text().contains("level           XL\nvalid\n"), "{told:?}");
    assert_eq!(verify(&["--json"]).done().json()["signatures"][0]["level"], "XL");
    assert!(convert("sj1", &sample).out.starts_with(b"SJ1\n"));
}
