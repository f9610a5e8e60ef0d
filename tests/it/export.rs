//! The patient's whole record as one archive: complete, byte for byte, recorded, and for nobody else.

#![expect(clippy::unwrap_used, reason = "an archive that cannot be read fails its tests")]

use std::collections::BTreeMap;
use std::io::{Cursor, Read as _};

use serde_json::Value;
use zip::ZipArchive;

use crate::door::{Door, answer, code};
use crate::world::{CLINIC, PHARMACY, ROSUVASTATIN, Rx, name};

async fn exported(door: &Door, token: &str) -> BTreeMap<String, Vec<u8>> {
    let call = door.client.get(format!("{}/fhir/Patient/$export", door.base_url)).bearer_auth(token);
    let response = call.send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/zip");
    let bytes = response.bytes().await.unwrap();
    let mut archive = ZipArchive::new(Cursor::new(bytes)).unwrap();
    let mut files = BTreeMap::new();
    for place in 0..archive.len() {
        let mut file = archive.by_index(place).unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        assert!(files.insert(file.name().unwrap().into_owned(), bytes).is_none());
    }
    files
}

fn json(files: &BTreeMap<String, Vec<u8>>, path: &str) -> Value {
    serde_json::from_slice(&files[path]).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[tokio::test]
async fn the_archive_holds_the_whole_record_byte_for_byte() {
    let door = Door::open().await;
    let world = &door.world;
    let rx = world.rx(1);
    let document = world.sign(&rx);
    let request = crate::world::request();
    let task = world.register_as(&rx, document.clone(), &request).await.unwrap().outcome.task;
    let accepted = world.accept(PHARMACY, 1, &task).await.unwrap().outcome;
    let result = world.dispensing(PHARMACY, &rx, &accepted);
    world.dispense(PHARMACY, &accepted, result.clone()).await.unwrap();
    let waiting = world.register(&Rx { drug: ROSUVASTATIN, ..rx }).await.unwrap().outcome.task;
    world.register(&world.rx(2)).await.unwrap();
    door.decide(1, "medication-history", false, CLINIC).await;

    let token = door.patient_token(1).await;
    let files = exported(&door, &token).await;
    let folder = format!("prescriptions/{}", task.id);
    assert_eq!(files[&format!("{folder}/prescription-1.xml")], document);
    assert_eq!(files[&format!("{folder}/dispensing-1.xml")], result);
    let states = json(&files, &format!("{folder}/states.json"));
    let states: Vec<&str> = states["entry"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["resource"]["businessStatus"]["coding"][0]["code"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["issued", "accepted", "dispensed"]);
    assert!(files.contains_key(&format!("prescriptions/{}/prescription-1.xml", waiting.id)));
    let folders = files.keys().filter(|path| path.ends_with("states.json")).count();
    assert_eq!(folders, 2, "and nobody else's");
    assert_eq!(json(&files, "patient.json")["entry"][0]["resource"]["name"][0]["text"], name(1));
    assert_eq!(json(&files, "consents.json")["entry"][0]["resource"]["provision"]["type"], "deny");
    let accesses = json(&files, "accesses.json").to_string();
    for act in ["register", "accept", "dispense", "consent-put", "export"] {
        assert!(accesses.contains(&format!("\"code\":\"{act}\"")), "{act}");
    }
    let readme = String::from_utf8(files["README.txt"].clone()).unwrap();
    for path in files.keys().filter(|path| !path.contains('/') && *path != "README.txt") {
        assert!(readme.contains(path.as_str()), "{path} is not explained");
    }
    assert_eq!(world.recorded(1).await.iter().filter(|row| row.act == "export").count(), 1);
}

#[tokio::test]
async fn nobody_else_takes_the_archive() {
    let door = Door::open().await;
    for token in [door.token(CLINIC).await, door.staffed(PHARMACY).await] {
        let call = door.client.get(format!("{}/fhir/Patient/$export", door.base_url)).bearer_auth(token);
        let (status, body) = answer(call).await;
        assert_eq!((status.as_u16(), code(&body)), (403, "not-permitted"));
    }
}
