//! The stage (舞台): sending calls and telling them, the acts every scene is made of, and what each must be answered.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::StatusCode;

use super::StoryError;
use crate::sandbox::client::{Answer, Call};
use crate::sandbox::desk::{Desk, DeskError, Registered};
use crate::sandbox::document::Draft;
use crate::sandbox::persona::PatientPersona;
use crate::sandbox::telling::Teller;
use crate::sandbox::world::World;

/// HL7 `ActDetectedIssueManagementCode`: therapy appropriate.
const APPROPRIATE: &str = "1";

/// The sandbox and who tells what happens in it.
pub(super) struct Stage<'w, 't> {
    pub(super) world: &'w World,
    pub(super) teller: &'t mut Teller,
}

impl<'w> Stage<'w, '_> {
    pub(super) fn patient(&self, id: &str) -> Result<&'w PatientPersona, StoryError> {
        let mut patients = self.world.personas.patients.iter();
        Ok(patients.find(|patient| patient.id == id).ok_or(DeskError::Cast("such patient"))?)
    }

    pub(super) async fn send(&mut self, call: &Call) -> Result<Answer, StoryError> {
        self.teller.call(call)?;
        let answer = self.world.client.send(call).await?;
        self.teller.answer(&answer)?;
        Ok(answer)
    }

    pub(super) async fn quietly(&self, call: Call) -> Result<Answer, StoryError> {
        Ok(self.world.client.send(&call).await?)
    }

    pub(super) async fn log_in(&self, desk: &mut Desk<'w>) -> Result<(), StoryError> {
        let answer = self.quietly(desk.token_call()?).await?;
        expect("a token", &answer, StatusCode::OK, None)?;
        desk.token_take(&answer);
        Ok(())
    }

    /// Registers a prescription, giving reasons for what earlier use of the sandbox has left.
    pub(super) async fn register(
        &mut self,
        clinic: &Desk<'w>,
        draft: &Draft<'w>,
    ) -> Result<Registered, StoryError> {
        let original = clinic.prescription_sign(draft)?;
        let answer = self.resolving(clinic, || clinic.register_call(&original)).await?;
        registered(&answer)
    }

    pub(super) async fn identify(
        &mut self,
        pharmacy: &Desk<'w>,
        patient: &'w PatientPersona,
    ) -> Result<String, StoryError> {
        let answer = self.send(&pharmacy.identity_call(patient)?).await?;
        identity_token(&answer)
    }

    pub(super) async fn dispense(
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
    pub(super) async fn resolving(
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
            self.reason(desk, &finding, "患者に確認済み").await?;
        }
        self.send(&call()?).await
    }

    /// Puts a reason for going on in spite of a finding on record, unless an earlier run of the day has done so for
    /// the same two medicines.
    pub(super) async fn reason(
        &mut self,
        desk: &Desk<'w>,
        finding: &str,
        comment: &str,
    ) -> Result<(), StoryError> {
        let call = desk.mitigate_call(finding, APPROPRIATE, comment);
        let answer = self.world.client.send(&call).await?;
        if answer.code().as_deref() == Some("state-conflict") {
            return Ok(());
        }
        self.teller.call(&call)?;
        self.teller.answer(&answer)?;
        expect("giving a reason", &answer, StatusCode::OK, None)
    }
}

pub(super) fn registered(answer: &Answer) -> Result<Registered, StoryError> {
    expect("registering", answer, StatusCode::CREATED, None)?;
    Registered::of(answer).ok_or_else(|| StoryError::Unexpected {
        act: "registering",
        expected: "a Task with id and exchange number".to_owned(),
        got: "none".to_owned(),
    })
}

pub(super) fn identity_token(answer: &Answer) -> Result<String, StoryError> {
    expect("verifying the identity", answer, StatusCode::OK, None)?;
    let token = answer.parameter("identityToken").unwrap_or_default();
    Ok(token["valueString"].as_str().unwrap_or_default().to_owned())
}

/// The delivered form in the answer to `$accept`.
pub(super) fn delivered(accepted: &Answer) -> Vec<u8> {
    let document = accepted.parameter("document").unwrap_or_default();
    let data = document["resource"]["data"].as_str().unwrap_or_default();
    BASE64_STANDARD.decode(data).unwrap_or_default()
}

pub(super) fn expect(
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

pub(super) fn expect_state(answer: &Answer, status: &str) -> Result<(), StoryError> {
    let task = answer.json();
    if task["status"] == status {
        return Ok(());
    }
    Err(StoryError::Unexpected {
        act: "the state of the Task",
        expected: status.to_owned(),
        got: task["status"].as_str().unwrap_or("none").to_owned(),
    })
}
