//! The story (物語): the whole main job once over HTTP, told step by step. Every step says what it expects and the
//! story ends where something else comes.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::StatusCode;
use serde_json::Value;

use super::client::{Answer, Call, CallError};
use super::desk::{Desk, DeskError, Registered};
use super::document::{AMLODIPINE, AMLODIPINE_GENERIC, ASPIRIN, Draft, REBAMIPIDE, SIMVASTATIN};
use super::persona::PatientPersona;
use super::telling::Teller;
use super::world::World;
use crate::store::directory::FacilityKind;

/// Why the story did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum StoryError {
    /// An answer was not the one the contract promises.
    #[error("{act}: expected {expected}, got {got}")]
    Unexpected {
        /// Which act.
        act: &'static str,
        /// What the contract promises.
        expected: String,
        /// What came.
        got: String,
    },
    /// A desk could not do its part.
    #[error(transparent)]
    Desk(#[from] DeskError),
    /// A call got no answer.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The account cannot be written.
    #[error("the account cannot be written: {0}")]
    Tell(#[from] std::io::Error),
}

/// Patients of the sandbox the story needs, by id.
const HANAKO: &str = "hanako";
const RICH: &str = "rich";
/// HL7 `ActDetectedIssueManagementCode`: therapy appropriate.
const APPROPRIATE: &str = "1";

/// Seeds the history of the patient who has a rich one, when the sandbox is new, then tells the whole job.
///
/// # Errors
///
/// [`StoryError`]: where the job did not go as the contract says.
pub async fn tell(world: &World, teller: &mut Teller) -> Result<(), StoryError> {
    seed(world).await?;
    teller.title("電子処方箋 ひとめぐり / An e-prescription from clinic to pharmacy and back")?;
    teller.plain(&format!("   {}", world.client.base_url()))?;
    Story { world, teller }.whole().await
}

/// What a reader of the story may do next.
///
/// # Errors
///
/// [`StoryError::Tell`]
pub fn farewell(world: &World, teller: &mut Teller) -> Result<(), StoryError> {
    let (base_url, directory) = (world.client.base_url(), world.directory().display());
    teller.plain("")?;
    teller.title(
        "砂場は動いています / The sandbox is up. Ctrl-C stops it; the next start finds everything again.",
    )?;
    teller.plain(&format!("   base URL    {base_url}"))?;
    teller.plain(&format!("   personas    {directory}/personas.json"))?;
    teller.plain(&format!("   trust       {directory}/pki/trust"))?;
    teller.plain("")?;
    teller.plain("   患者 / Patients")?;
    for patient in &world.personas.patients {
        teller.plain(&format!("     {}  {} / {}", patient.name, patient.note.ja, patient.note.en))?;
    }
    if let Some(facility) = world.personas.facilities.first() {
        teller.plain("")?;
        teller.plain("   トークンの取り方 / A token, with openssl and curl:")?;
        teller.plain(&token_recipe(base_url, &directory.to_string(), facility.code.as_str()))?;
    }
    Ok(())
}

/// A shell script that makes an RFC 7523 assertion with ES256. OpenSSL signs in DER; JWS wants r and s, 32 bytes
/// each (RFC 7518 3.4).
fn token_recipe(base_url: &str, directory: &str, code: &str) -> String {
    let stem = format!("{directory}/pki/facilities/{code}");
    format!(
        r#"
     b64() {{ base64 -w0 | tr '+/' '-_' | tr -d '='; }}
     X5C=$(openssl x509 -in {stem}.pem -outform DER | base64 -w0)
     NOW=$(date +%s)
     HEAD=$(printf '{{"alg":"ES256","typ":"JWT","x5c":["%s"]}}' "$X5C" | b64)
     BODY=$(printf '{{"iss":"{code}","sub":"{code}","aud":"{base_url}/oauth2/token","jti":"%s","iat":%s,"exp":%s}}' \
       "$(openssl rand -hex 16)" "$NOW" "$((NOW+240))" | b64)
     SIG=$(printf '%s.%s' "$HEAD" "$BODY" | openssl dgst -sha256 -sign {stem}.key |
       openssl asn1parse -inform DER | sed -n 's/.*INTEGER *://p' |
       while read -r n; do printf '%064s' "$n" | tr ' ' 0; done | xxd -r -p | b64)
     curl -s {base_url}/oauth2/token -d grant_type=client_credentials \
       -d client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer \
       -d client_assertion="$HEAD.$BODY.$SIG"
"#
    )
}

/// Prescriptions that the patient with the rich history had before: one dispensed, one open. Only once, when the
/// issuing hospital has none yet.
async fn seed(world: &World) -> Result<(), StoryError> {
    let mut silent = Teller::new(Box::new(std::io::sink()), false);
    let mut story = Story { world, teller: &mut silent };
    let mut hospital = Desk::of(world, FacilityKind::Hospital, 0)?;
    story.log_in(&mut hospital).await?;
    let answer = story.send(&hospital.get_call("/fhir/Task?_count=1")).await?;
    expect("the hospital's list", &answer, StatusCode::OK, None)?;
    if answer.json().get("entry").is_some() {
        return Ok(());
    }
    let patient = story.patient(RICH)?;
    let dispensed = hospital.draft(patient, &[AMLODIPINE, ASPIRIN], 28)?;
    let registered = story.register(&hospital, &dispensed).await?;
    let open = hospital.draft(patient, &[SIMVASTATIN], 28)?;
    story.register(&hospital, &open).await?;
    let mut pharmacy = Desk::of(world, FacilityKind::Pharmacy, 2)?;
    story.log_in(&mut pharmacy).await?;
    let identity = story.identify(&pharmacy, patient).await?;
    let accepted = story.send(&pharmacy.accept_call(&registered.number, Some(&identity))).await?;
    expect("accepting", &accepted, StatusCode::OK, None)?;
    let document = pharmacy.dispensing_sign(&dispensed, registered.id, &delivered(&accepted))?;
    story.dispense(&pharmacy, &registered, &document).await?;
    Ok(())
}

struct Story<'w, 't> {
    world: &'w World,
    teller: &'t mut Teller,
}

impl<'w> Story<'w, '_> {
    async fn whole(&mut self) -> Result<(), StoryError> {
        let patient = self.patient(HANAKO)?;
        let mut clinic = Desk::of(self.world, FacilityKind::Clinic, 0)?;
        let mut other_clinic = Desk::of(self.world, FacilityKind::Clinic, 1)?;
        let mut pharmacy = Desk::of(self.world, FacilityKind::Pharmacy, 0)?;
        let mut other_pharmacy = Desk::of(self.world, FacilityKind::Pharmacy, 1)?;

        self.token(&mut clinic).await?;
        for desk in [&mut other_clinic, &mut pharmacy, &mut other_pharmacy] {
            self.log_in(desk).await?;
        }
        let draft = clinic.draft(patient, &[AMLODIPINE, REBAMIPIDE], 28)?;
        let registered = self.prescribe(&clinic, &draft).await?;
        let duplicate = self.duplicate(&other_clinic, patient).await?;
        self.number_alone(&pharmacy, &registered).await?;
        let identity = self.identity(&pharmacy, patient).await?;
        let accepted = self.accept(&pharmacy, &registered, &identity).await?;
        self.held(&other_pharmacy, patient, &registered).await?;
        let document = pharmacy.dispensing_sign(&draft, registered.id, &delivered(&accepted))?;
        self.result(&pharmacy, &registered, &document).await?;
        self.read_back(&clinic, &registered, &document).await?;
        self.cancel(&other_clinic, &duplicate).await?;
        self.teller.plain("")?;
        self.teller.title("ひとめぐり、すべて約束どおりでした / The whole job went as the contract says.")?;
        Ok(())
    }

    async fn token(&mut self, clinic: &mut Desk<'w>) -> Result<(), StoryError> {
        self.teller.step(
            &format!("{}がトークンを受け取る", clinic.name()),
            "A clinic gets a token: it proves that it holds the key of its facility certificate",
        )?;
        let answer = self.send(&clinic.token_call()?).await?;
        expect("a token", &answer, StatusCode::OK, None)?;
        clinic.token_take(&answer);
        self.teller.meaning(
            "施設証明書の鍵で署名したJWTと引き換えに、短命のトークンが出ました。",
            "A JWT signed with the facility's key bought a short-lived token; nothing else was shared.",
        )?;
        Ok(())
    }

    async fn prescribe(&mut self, clinic: &Desk<'w>, draft: &Draft<'w>) -> Result<Registered, StoryError> {
        self.teller.step(
            "医師が署名した処方箋を登録する",
            "The physician's signed prescription is registered; check and registration are one act",
        )?;
        let registered = self.register(clinic, draft).await?;
        self.teller.meaning(
            &format!("引換番号は {} です。患者はこれだけを持って薬局へ行きます。", registered.number),
            &format!("The exchange number is {}: all the patient has to carry.", registered.number),
        )?;
        Ok(registered)
    }

    async fn duplicate(
        &mut self,
        clinic: &Desk<'w>,
        patient: &'w PatientPersona,
    ) -> Result<Registered, StoryError> {
        self.teller.step(
            "別の医療機関が同じ成分を処方しようとする",
            "A second clinic prescribes the same ingredient under another name",
        )?;
        let draft = clinic.draft(patient, &[AMLODIPINE_GENERIC], 14)?;
        let original = clinic.prescription_sign(&draft)?;
        let answer = self.send(&clinic.register_call(&original)?).await?;
        if let Some(registered) = Registered::of(&answer) {
            // The reason given in an earlier run today covers the same finding.
            self.teller.meaning(
                "今日すでに理由を記録した所見なので、そのまま登録されました。",
                "An earlier run today has given its reason for this very finding, so it was registered at once.",
            )?;
            return Ok(registered);
        }
        expect("a duplicate", &answer, StatusCode::CONFLICT, Some("medication-check-unresolved"))?;
        self.teller.meaning(
            "重複投薬の所見が返り、何も登録されていません。相手の薬と施設は、同意がないので伏せられています。",
            "A finding, and nothing registered. Without consent the other medicine and place stay withheld.",
        )?;
        for finding in answer.findings() {
            let call = clinic.mitigate_call(&finding, APPROPRIATE, "用量調整中のため併用が必要");
            let answer = self.send(&call).await?;
            expect("giving a reason", &answer, StatusCode::OK, None)?;
        }
        let answer = self.send(&clinic.register_call(&original)?).await?;
        let registered = registered(&answer)?;
        self.teller.meaning(
            "理由を記録したうえで、同じ署名済み文書が登録されました。",
            "With the reason on record the same signed document is registered.",
        )?;
        Ok(registered)
    }

    async fn number_alone(&mut self, pharmacy: &Desk<'w>, registered: &Registered) -> Result<(), StoryError> {
        self.teller.step(
            "薬局が本人確認なしに番号だけで受け取ろうとする",
            "A pharmacy tries the number alone, without proof of the patient's identity",
        )?;
        let answer = self.send(&pharmacy.accept_call(&registered.number, None)).await?;
        expect("the number alone", &answer, StatusCode::UNPROCESSABLE_ENTITY, Some("identity-not-verified"))?;
        self.teller.meaning(
            "番号だけでは、それが存在するかどうかさえ分かりません。",
            "A number is never enough: it does not even show whether it exists.",
        )?;
        Ok(())
    }

    async fn identity(
        &mut self,
        pharmacy: &Desk<'w>,
        patient: &'w PatientPersona,
    ) -> Result<String, StoryError> {
        self.teller.step(
            "薬局が資格情報で本人確認をする",
            "The pharmacy verifies the patient's identity by the insurance data",
        )?;
        let identity = self.identify(pharmacy, patient).await?;
        self.teller.meaning(
            "30分有効で、この薬局だけが使える本人確認トークンです。",
            "An identity token: thirty minutes, for this pharmacy only.",
        )?;
        Ok(identity)
    }

    async fn accept(
        &mut self,
        pharmacy: &Desk<'w>,
        registered: &Registered,
        identity: &str,
    ) -> Result<Answer, StoryError> {
        self.teller.step(
            "引換番号で処方箋を受け付ける",
            "The prescription is retrieved by its number, with the verdict on the physician's signature",
        )?;
        let answer = self.send(&pharmacy.accept_call(&registered.number, Some(identity))).await?;
        expect("accepting", &answer, StatusCode::OK, None)?;
        self.verdict(&answer)?;
        self.teller.meaning(
            "処方箋はこの薬局が押さえました（7日間、更新可）。医師の署名は有効です。",
            "This pharmacy holds it now, on a lease of seven days. The physician's signature is valid.",
        )?;
        Ok(answer)
    }

    /// Tells the signature's verdict check by check, and expects it to be valid.
    fn verdict(&mut self, answer: &Answer) -> Result<(), StoryError> {
        let verification = answer.parameter("verification").unwrap_or_default();
        let parts = verification["part"].as_array().cloned().unwrap_or_default();
        let mut valid = false;
        for part in &parts {
            match part["name"].as_str().unwrap_or_default() {
                "valid" => valid = part["valueBoolean"] == true,
                "check" => {
                    let text = |name: &str| {
                        let inner = part["part"].as_array()?.iter().find(|inner| inner["name"] == name)?;
                        inner["valueCode"].as_str().or(inner["valueString"].as_str())
                    };
                    let (name, outcome) = (text("name"), text("outcome"));
                    let subject = text("subject").map_or_else(String::new, |subject| format!("  {subject}"));
                    self.teller.plain(&format!(
                        "       {:<16} {:<20}{subject}",
                        outcome.unwrap_or_default(),
                        name.unwrap_or_default(),
                    ))?;
                }
                name @ ("signer" | "registrationNumber" | "role" | "level") => {
                    let value =
                        part["valueString"].as_str().or(part["valueCode"].as_str()).unwrap_or_default();
                    self.teller.plain(&format!("       {name}: {value}"))?;
                }
                _ => {}
            }
        }
        if valid {
            return Ok(());
        }
        Err(StoryError::Unexpected {
            act: "the verdict on the signature",
            expected: "valid".to_owned(),
            got: "not valid".to_owned(),
        })
    }

    async fn held(
        &mut self,
        pharmacy: &Desk<'w>,
        patient: &'w PatientPersona,
        registered: &Registered,
    ) -> Result<(), StoryError> {
        self.teller.step(
            "別の薬局が同じ処方箋を受け付けようとする",
            "Another pharmacy, with the patient at its counter, tries the same number",
        )?;
        let identity = self.quietly(pharmacy.identity_call(patient)?).await?;
        let identity = identity_token(&identity)?;
        let answer = self.send(&pharmacy.accept_call(&registered.number, Some(&identity))).await?;
        expect("accepting what is held", &answer, StatusCode::CONFLICT, Some("held-by-pharmacy"))?;
        self.teller.meaning(
            "一枚の処方箋を二つの薬局が同時に扱うことはありません。",
            "Two pharmacies never work on one prescription.",
        )?;
        Ok(())
    }

    async fn result(
        &mut self,
        pharmacy: &Desk<'w>,
        registered: &Registered,
        document: &[u8],
    ) -> Result<(), StoryError> {
        self.teller.step(
            "薬剤師が署名した調剤結果を登録する",
            "The pharmacist's signed dispensing result is written back; it is checked once more",
        )?;
        let answer = self.dispense(pharmacy, registered, document).await?;
        expect_state(&answer, "completed")?;
        self.teller.meaning(
            "受け取った処方箋をそのまま包んだ調剤結果が登録され、処方箋は完了しました。",
            "The result embeds the prescription as delivered, byte for byte. The Task is completed.",
        )?;
        Ok(())
    }

    async fn read_back(
        &mut self,
        clinic: &Desk<'w>,
        registered: &Registered,
        document: &[u8],
    ) -> Result<(), StoryError> {
        self.teller.step(
            "処方した医療機関が調剤結果を読む",
            "The prescribing clinic reads the state and the dispensing result",
        )?;
        let answer = self.send(&clinic.get_call(format!("/fhir/Task/{}", registered.id))).await?;
        expect("reading the Task", &answer, StatusCode::OK, None)?;
        expect_state(&answer, "completed")?;
        let path = format!("/fhir/Task/{}/$document?part=dispensing", registered.id);
        let answer = self.send(&clinic.get_call(path)).await?;
        expect("reading the dispensing document", &answer, StatusCode::OK, None)?;
        if answer.body != document {
            return Err(StoryError::Unexpected {
                act: "reading the dispensing document",
                expected: format!("the {} bytes the pharmacy sent", document.len()),
                got: format!("{} other bytes", answer.body.len()),
            });
        }
        self.teller.meaning(
            "薬局が送ったものと1バイトも違いません。署名はそのまま検証できます。",
            "Byte for byte what the pharmacy sent: whoever reads it can verify the signature.",
        )?;
        Ok(())
    }

    async fn cancel(&mut self, clinic: &Desk<'w>, registered: &Registered) -> Result<(), StoryError> {
        self.teller.step(
            "別の医療機関が自分の処方箋を取り消す",
            "The second clinic cancels its own prescription, which nobody has accepted",
        )?;
        let answer = self.send(&clinic.cancel_call(registered.id, "重複のため取り消し")).await?;
        expect("cancelling", &answer, StatusCode::OK, None)?;
        expect_state(&answer, "cancelled")?;
        self.teller.meaning(
            "取り消された処方箋は、もうどの薬局も受け付けられません。",
            "No pharmacy can accept it any more.",
        )?;
        Ok(())
    }

    fn patient(&self, id: &str) -> Result<&'w PatientPersona, StoryError> {
        let mut patients = self.world.personas.patients.iter();
        Ok(patients.find(|patient| patient.id == id).ok_or(DeskError::Cast("such patient"))?)
    }

    async fn send(&mut self, call: &Call) -> Result<Answer, StoryError> {
        self.teller.call(call)?;
        let answer = self.world.client.send(call).await?;
        self.teller.answer(&answer)?;
        Ok(answer)
    }

    async fn quietly(&self, call: Call) -> Result<Answer, StoryError> {
        Ok(self.world.client.send(&call).await?)
    }

    async fn log_in(&self, desk: &mut Desk<'w>) -> Result<(), StoryError> {
        let answer = self.quietly(desk.token_call()?).await?;
        expect("a token", &answer, StatusCode::OK, None)?;
        desk.token_take(&answer);
        Ok(())
    }

    /// Registers a prescription, giving reasons for what earlier use of the sandbox has left.
    async fn register(&mut self, clinic: &Desk<'w>, draft: &Draft<'w>) -> Result<Registered, StoryError> {
        let original = clinic.prescription_sign(draft)?;
        let answer = self.resolving(clinic, || clinic.register_call(&original)).await?;
        registered(&answer)
    }

    async fn identify(
        &mut self,
        pharmacy: &Desk<'w>,
        patient: &'w PatientPersona,
    ) -> Result<String, StoryError> {
        let answer = self.send(&pharmacy.identity_call(patient)?).await?;
        identity_token(&answer)
    }

    async fn dispense(
        &mut self,
        pharmacy: &Desk<'w>,
        registered: &Registered,
        document: &[u8],
    ) -> Result<Answer, StoryError> {
        let answer = self.resolving(pharmacy, || pharmacy.dispense_call(registered.id, document)).await?;
        expect("dispensing", &answer, StatusCode::OK, None)?;
        Ok(answer)
    }

    /// Sends; gives a reason for each finding and sends once more when there are any.
    async fn resolving(
        &mut self,
        desk: &Desk<'w>,
        call: impl Fn() -> Result<Call, DeskError>,
    ) -> Result<Answer, StoryError> {
        let answer = self.send(&call()?).await?;
        if answer.code().as_deref() != Some("medication-check-unresolved") {
            return Ok(answer);
        }
        self.teller.meaning(
            "ここでもチェックが働きました。確認のうえ理由を記録して進みます。",
            "The check works here too. A reason is put on record, and on it goes.",
        )?;
        for finding in answer.findings() {
            let call = desk.mitigate_call(&finding, APPROPRIATE, "患者に確認済み");
            let answer = self.send(&call).await?;
            expect("giving a reason", &answer, StatusCode::OK, None)?;
        }
        self.send(&call()?).await
    }
}

fn registered(answer: &Answer) -> Result<Registered, StoryError> {
    expect("registering", answer, StatusCode::CREATED, None)?;
    Registered::of(answer).ok_or_else(|| StoryError::Unexpected {
        act: "registering",
        expected: "a Task with id and exchange number".to_owned(),
        got: "none".to_owned(),
    })
}

fn identity_token(answer: &Answer) -> Result<String, StoryError> {
    expect("verifying the identity", answer, StatusCode::OK, None)?;
    let token = answer.parameter("identityToken").unwrap_or_default();
    Ok(token["valueString"].as_str().unwrap_or_default().to_owned())
}

/// The delivered form in the answer to `$accept`.
fn delivered(accepted: &Answer) -> Vec<u8> {
    let document = accepted.parameter("document").unwrap_or_default();
    let data = document["resource"]["data"].as_str().unwrap_or_default();
    BASE64_STANDARD.decode(data).unwrap_or_default()
}

fn expect(
    act: &'static str,
    answer: &Answer,
    status: StatusCode,
    code: Option<&str>,
) -> Result<(), StoryError> {
    let got = answer.code();
    if answer.status == status && code.is_none_or(|code| got.as_deref() == Some(code)) {
        return Ok(());
    }
    let told = |status: StatusCode, code: Option<&str>| format!("{status} {}", code.unwrap_or_default());
    Err(StoryError::Unexpected {
        act,
        expected: told(status, code).trim_end().to_owned(),
        got: told(answer.status, got.as_deref()).trim_end().to_owned(),
    })
}

fn expect_state(answer: &Answer, status: &str) -> Result<(), StoryError> {
    let task: Value = answer.json();
    if task["status"] == status {
        return Ok(());
    }
    Err(StoryError::Unexpected {
        act: "the state of the Task",
        expected: status.to_owned(),
        got: task["status"].as_str().unwrap_or("none").to_owned(),
    })
}
