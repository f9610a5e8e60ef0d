//! The story (物語): the whole main job once over HTTP, told step by step. Every step says what it expects and the
//! story ends where something else comes.

mod farewell;
mod seed;
mod stage;

use reqwest::StatusCode;

pub use farewell::farewell;

use super::client::{Answer, CallError};
use super::desk::{Desk, DeskError, Registered};
use super::document::{AMLODIPINE, AMLODIPINE_GENERIC, Draft, REBAMIPIDE};
use super::persona::PatientPersona;
use super::telling::Teller;
use super::world::World;
use crate::store::directory::FacilityKind;
use stage::{Stage, delivered, expect, expect_state, identity_token, registered};

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

/// The patient of the story, by id.
const HANAKO: &str = "hanako";

/// Seeds the history of the patient who has a rich one, when the sandbox is new, then tells the whole job.
///
/// # Errors
///
/// [`StoryError`]: where the job did not go as the contract says.
pub async fn tell(world: &World, teller: &mut Teller) -> Result<(), StoryError> {
    seed::seed(world).await?;
    teller.title("電子処方箋 ひとめぐり / An e-prescription from clinic to pharmacy and back")?;
    teller.plain(&format!("   {}", world.client.base_url()))?;
    Stage { world, teller }.whole().await
}

impl<'w> Stage<'w, '_> {
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
        self.payload(draft)?;
        let registered = self.register(clinic, draft).await?;
        self.teller.meaning(
            &format!("引換番号は {} です。患者はこれだけを持って薬局へ行きます。", registered.number),
            &format!("The exchange number is {}: all the patient has to carry.", registered.number),
        )?;
        Ok(registered)
    }

    /// Tells what the document says beneath its Base64: institution, patient, insurance, date, medicines.
    fn payload(&mut self, draft: &Draft<'_>) -> Result<(), StoryError> {
        let sj1 = draft.sj1().map_err(DeskError::from)?;
        self.teller.plain("     SJ1 (Base64 → PrescriptionDocument):")?;
        for line in String::from_utf8_lossy(&sj1).lines() {
            let record = line.split(',').next().unwrap_or_default();
            if matches!(record, "SJ1" | "1" | "11" | "22" | "23" | "51" | "111" | "201") {
                self.teller.plain(&format!("       {line}"))?;
            }
        }
        Ok(())
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
            self.reason(clinic, &finding, "用量調整中のため併用が必要").await?;
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
}
