//! `/fhir/Patient/$export`: the whole record of a patient as one archive.

use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use warp::Filter;

use super::App;
use super::answer;
use super::call::{Call, call, respond};
use super::endpoint::{By, Described, Endpoint, Form, route};
use super::task::query;
use super::{consent, mandate, patient};
use crate::check::HistoryEntry;
use crate::codec::archive::{self, Entry, MEDIA_TYPE};
use crate::codec::fhir::audit_event::audit_event;
use crate::codec::fhir::reported::reported;
use crate::codec::fhir::task::task;
use crate::exchange::error::ExchangeError;
use crate::exchange::export::{Decided, ExportedPrescription, MOST_LINES, WholeRecord};
use crate::prescription::access::AccessAct;
use crate::prescription::registered::Viewer;
use crate::prescription::reported::Content;
use crate::store::app::Grant;
use crate::store::document::Part;
use crate::store::whole::KeptFinding;

const README: &str = "\
この書庫には、電子処方箋の交換所「引換（Hikikae）」にあるあなたの記録のすべてが入っています。終わった同意や、以前の保険も含みます。

patient.json            あなたの氏名・生年月日・性別と、これまでのすべての被保険者資格とその期間
directory.json          マイナンバーカードの登録日時と、記録の統合（名寄せ）
prescriptions/ID/       処方箋ひとつにつき、ひとつのフォルダー
  prescription-N.*      医療機関が送った処方箋そのもの（Nは版の番号）。署名は、このバイト列のまま検証できます
  dispensing-N.*        薬局が送った調剤結果そのもの
  states.json           処方箋の状態の移り変わり（FHIR Task）
  findings.json         重複投薬・併用禁忌などの指摘と、その理由
findings.json           登録中の処方箋に結びつかない点検の指摘
history.json            点検のために処方箋と調剤結果から取り出した、お薬とその期間
consents.json           同意と拒否
mandates.json           代理（本人が書き出したときだけ）
reported.json           アレルギーと、ご自分で記録したお薬
claims.json             診療報酬の請求に由来するお薬
apps.json               記録を読むことを許したアプリ
accesses.json           誰がいつ何のために記録を見たか（新しい順）

入っていないのは、照合用のハッシュ値、ログイン中のトークン、再送に備えて短い時間だけ残す回答の写しです。
この書庫には、お薬と病気についてのことが書かれています。人に渡すときはご注意ください。

This archive holds all that the e-prescription exchange Hikikae keeps of you, also what has ended.

patient.json            name, birth date, sex, and every insurance there ever was, with its days
directory.json          since when your card leads to you, and merges of records
prescriptions/ID/       one folder for each prescription
  prescription-N.*      the prescription as the institution sent it (N: version). Its signature verifies over these bytes
  dispensing-N.*        the dispensing result as the pharmacy sent it
  states.json           where the prescription stood, one FHIR Task a change
  findings.json         what the medication check found, and the reasons given
findings.json           what was found by checks that belong to no prescription as it stands
history.json            medicines and their days, as taken from the documents for the check
consents.json           consents and refusals
mandates.json           mandates (only when you took the copy yourself)
reported.json           allergies, and medicines you recorded yourself
claims.json             medicines that institutions claimed for
apps.json               apps that were let read your record
accesses.json           who looked, when and why, the newest first

Not in it are hashes for looking up, tokens under way, and copies of answers kept for a short time in case a request
is repeated. It tells of medicines and illnesses: mind whom you give it to.
";

/// `GET /fhir/Patient/$export`
pub(super) fn export(app: &App) -> Endpoint {
    let (path, about) = route!(GET "fhir" / "Patient" / "$export");
    let about = about
        .does("The patient's whole record as one archive (全記録の書き出し)")
        .by(&[By::Patient], AccessAct::Export)
        .answers(StatusCode::OK, Form::Bytes(&[MEDIA_TYPE]))
        .refuses(&["not-acceptable", "not-found"]);
    path.and(call(app, &about))
        .then(|call: Call| {
            respond(async move {
                let caller = call.caller().await?;
                call.acceptable(MEDIA_TYPE)?;
                query(&call, &[])?;
                let record = call.app().exchange.export(&caller, &call.request()?).await?;
                let archive = archive::write(&entries(&record))
                    .map_err(|_| ExchangeError::Internal("an archive cannot be written"))?;
                let mut response = answer::bytes(StatusCode::OK, MEDIA_TYPE, archive);
                let name = HeaderValue::from_static("attachment; filename=\"hikikae-record.zip\"");
                response.headers_mut().insert(header::CONTENT_DISPOSITION, name);
                Ok(response)
            })
        })
        .described(about)
}

fn entries(record: &WholeRecord) -> Vec<Entry> {
    let mut entries = vec![("README.txt".to_owned(), README.as_bytes().to_vec())];
    let mut add = |path: &str, value: &Value| entries.push(file(path.to_owned(), value));
    let persons = record.persons.iter().map(patient::person);
    let insurances = record.insurances.iter().map(|coverage| {
        patient::insurance(coverage, coverage.valid_until.is_some_and(|until| until < record.taken_on))
    });
    add("patient.json", &collection(persons.chain(insurances)));
    add("directory.json", &directory(record));
    add("findings.json", &record.findings.iter().map(finding).collect());
    add("history.json", &record.history.iter().map(history).collect());
    let consents = record.consents.iter().map(|decided| consent::resource(&decided.what, decided.in_force));
    add("consents.json", &collection(consents));
    let mandates = record.mandates.iter().map(|decided| mandate::resource(&decided.what, decided.in_force));
    add("mandates.json", &collection(mandates));
    add("reported.json", &collection(record.reported.iter().filter_map(reported)));
    let claims = record.reported.iter().filter_map(|entry| match &entry.content {
        Content::Claim(claim) => Some(json!({ "id": entry.id, "by": entry.by, "claim": claim })),
        Content::Allergy(_) | Content::Medicine(_) => None,
    });
    add("claims.json", &claims.collect());
    add("apps.json", &record.apps.iter().map(app_grant).collect());
    let accesses = record.accesses.iter().take(MOST_LINES).map(|row| audit_event(row, record.patient));
    add("accesses.json", &collection(accesses));
    for prescription in &record.prescriptions {
        prescription_entries(prescription, &mut entries);
    }
    entries
}

fn file(path: String, value: &Value) -> Entry {
    (path, format!("{value:#}\n").into_bytes())
}

/// What the directory has beside person and insurances. A record that turned out to be another person's is not named.
fn directory(record: &WholeRecord) -> Value {
    let cards: Vec<Value> = record.cards.iter().map(|since| json!({ "linked_at": since })).collect();
    let merges: Vec<Value> = record
        .merges
        .iter()
        .map(|merge| {
            let merged = merge.undone_at.is_none().then_some(merge.merged);
            json!({ "merged_at": merge.merged_at, "undone_at": merge.undone_at, "record": merged })
        })
        .collect();
    json!({ "cards": cards, "merges": merges })
}

fn finding(kept: &KeptFinding) -> Value {
    let KeptFinding { row, facility, found_at, .. } = kept;
    json!({
        "id": row.id, "facility": facility, "found_at": found_at, "finding": row.finding,
        "mitigation": row.mitigation,
    })
}

fn history(entry: &HistoryEntry) -> Value {
    json!({
        "prescription": entry.prescription, "source": entry.source, "sequence": entry.sequence,
        "issued_on": entry.issued_on, "dispenser": entry.dispenser, "periods": entry.periods,
    })
}

fn app_grant(decided: &Decided<Grant>) -> Value {
    let grant = &decided.what;
    json!({
        "id": grant.id, "client_id": grant.client_id, "name": grant.app_name, "scope": grant.scope,
        "granted_at": grant.granted_at, "until": grant.until, "in_force": decided.in_force,
    })
}

fn prescription_entries(prescription: &ExportedPrescription, entries: &mut Vec<Entry>) {
    let ExportedPrescription { versions, documents, findings } = prescription;
    let Some(last) = versions.last() else { return };
    let folder = format!("prescriptions/{}", last.id);
    for (part, document) in documents {
        let (name, number) = match part {
            Part::Prescription(number) => ("prescription", number),
            Part::Dispensing(number) => ("dispensing", number),
        };
        let ending = ending(&document.media_type);
        entries.push((format!("{folder}/{name}-{number}.{ending}"), document.bytes.clone()));
    }
    let states = versions.iter().map(|version| json!(task(version, Viewer::Patient, version.changed_at)));
    entries.push(file(format!("{folder}/states.json"), &collection(states)));
    entries.push(file(format!("{folder}/findings.json"), &findings.iter().map(finding).collect()));
}

/// The usual ending of a document's file.
fn ending(media_type: &str) -> &'static str {
    match media_type.split(';').next().map(str::trim) {
        Some("application/xml") => "xml",
        Some("application/jose") => "jws",
        Some("application/fhir+json") => "json",
        Some("text/csv") => "csv",
        _ => "bin",
    }
}

/// A FHIR Bundle of type `collection`.
fn collection(resources: impl Iterator<Item = Value>) -> Value {
    let entry: Vec<Value> = resources.map(|resource| json!({ "resource": resource })).collect();
    let mut bundle = json!({ "resourceType": "Bundle", "type": "collection" });
    if !entry.is_empty() {
        bundle["entry"] = entry.into();
    }
    bundle
}
