//! Documents that others wrote, through the server: Bundles in the shape of the JP ePrescription guide, signed with a
//! sandbox key after only identifiers, dates and references were brought into shape.

#![expect(clippy::unwrap_used, reason = "a document that cannot be read fails its test")]

use std::fs;
use std::path::Path;

use chrono::SecondsFormat;
use hikikae::clock::japanese_date;
use hikikae::codec::jose::sign;
use hikikae::store::directory::Eligibility;
use hikikae::trust::Algorithm;
use hikikae::trust::jws::JwsSignatory;
use reqwest::StatusCode;
use ring::rand::SystemRandom;
use serde_json::{Value, json};

use crate::door::{Door, answer};
use crate::world::{CLINIC, PKI};

const OWN: &str = include_str!("../../fixtures/documents/general.fhir.json");

/// Those whom the documents are about: 東京　太郎 of the guide, 試験　花子 of our own.
const INSURED: &str = "\
person,name,kana,birth_date,sex,insurer_number,symbol,number,branch_number,valid_from,valid_until,card_sha256,deceased_on
1,東京　太郎,トウキョウ　タロウ,1920-02-11,male,06123456,12345,６７８９０,01,2018-04-01,,,
2,試験　花子,ｼｹﾝ ﾊﾅｺ,1956-04-12,female,06138762,１２３,４５６７,00,2020-04-01,,,
";

/// Brings a document into shape: issued today, with numbers and references as the guide's own tables ask for.
fn shaped(door: &Door, text: &str) -> Value {
    let numbers = [
        (r#""34875506""#, r#""1311234567-2020-00123456""#),
        (r#""94733""#, r#""54136023""#),
        (r#""subscriberId": "12345678""#, r#""subscriberId": "1234566""#),
    ];
    let text = numbers.iter().fold(text.to_owned(), |text, (old, new)| text.replace(old, new));
    let mut document: Value = serde_json::from_str(&text).unwrap();
    let (now, today) = (door.world.now(), japanese_date(door.world.now()));
    let full_url = |kind: &str| {
        let entries = document["entry"].as_array().unwrap();
        let entry = entries.iter().find(|entry| entry["resource"]["type"][0]["coding"][0]["code"] == kind);
        entry.map(|entry| entry["fullUrl"].clone()).unwrap_or_default()
    };
    let (issuer, public_payer) = (full_url("prov"), full_url("other"));
    let instant = json!(now.to_rfc3339_opts(SecondsFormat::Secs, true));
    document["timestamp"] = instant.clone();
    for entry in document["entry"].as_array_mut().unwrap() {
        let resource = &mut entry["resource"];
        for (pointer, value) in [
            ("/date", &instant),
            ("/authoredOn", &instant),
            ("/event/0/period/start", &json!(today)),
            ("/event/0/period/end", &json!(today + chrono::Days::new(3))),
            ("/partOf/reference", &issuer),
        ] {
            if let Some(place) = resource.pointer_mut(pointer) {
                *place = value.clone();
            }
        }
        for instruction in list(resource, "dosageInstruction") {
            for extension in list(instruction, "extension") {
                if let Some(start) = extension.pointer_mut("/valuePeriod/start") {
                    *start = json!(today);
                }
            }
        }
        if resource["resourceType"] == "Coverage" && resource["period"]["end"].is_string() {
            resource["period"]["end"] = json!(today + chrono::Days::new(30));
        }
        // 03 names the insurer where it means the public payer.
        for named in
            resource.pointer_mut("/section/0/entry").and_then(Value::as_array_mut).into_iter().flatten()
        {
            if named["display"] == "公費負担者Organaization" {
                named["reference"] = public_payer.clone();
            }
        }
    }
    document
}

fn list<'v>(value: &'v mut Value, name: &str) -> impl Iterator<Item = &'v mut Value> {
    value.get_mut(name).and_then(Value::as_array_mut).into_iter().flatten()
}

/// Signs a document as the physician and registers it; what was sent must come back byte for byte.
async fn registered(text: &str) -> (StatusCode, Value) {
    let door = Door::open().await;
    let insured = Eligibility::parse(INSURED.as_bytes()).unwrap();
    door.world.exchange.store().eligibility_import(&insured, &|_, _| {}).await.unwrap();
    let (physician, random) = (&PKI.people[0], SystemRandom::new());
    let chain: Vec<_> = [&physician.certificate].into_iter().chain(&physician.chain).cloned().collect();
    let signatory = JwsSignatory {
        chain: &chain,
        key: &physician.key,
        algorithm: Algorithm::Rs256,
        time: door.world.now(),
        random: &random,
    };
    let document = sign(shaped(&door, text).to_string().as_bytes(), &signatory).unwrap();
    let document = String::from_utf8(document).unwrap();
    let token = door.token(CLINIC).await;
    let (status, told) =
        answer(door.post("/fhir/Task/$register", &token, "application/jose", document.clone())).await;
    if status == StatusCode::CREATED {
        let path = format!("{}/fhir/Task/{}/$document", door.base_url, told["id"].as_str().unwrap());
        let original = door.client.get(path).bearer_auth(&token).send().await.unwrap();
        assert_eq!(original.headers()["content-type"], "application/jose");
        assert_eq!(original.text().await.unwrap(), document);
    }
    (status, told)
}

#[tokio::test]
async fn our_own_complete_example_registers() {
    let (status, told) = registered(OWN).await;
    assert_eq!(status, StatusCode::CREATED, "{told}");
    assert_eq!(told["businessStatus"]["coding"][0]["code"], "issued");
}

#[tokio::test]
async fn the_published_examples_register() {
    let Ok(directory) = std::env::var("HIKIKAE_JP_EXAMPLES") else {
        eprintln!("skipped: HIKIKAE_JP_EXAMPLES names no directory of the guide's examples");
        return;
    };
    let mut files: Vec<_> =
        fs::read_dir(Path::new(&directory)).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{directory} is empty");
    let mut refused = Vec::new();
    for file in files {
        let (status, told) = registered(&fs::read_to_string(&file).unwrap()).await;
        eprintln!("{}: {status}", file.display());
        if status != StatusCode::CREATED {
            refused.push(format!("{}: {status} {told:#}", file.display()));
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}
