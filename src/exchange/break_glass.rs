//! 救急時: a physician, dentist or pharmacist opens a record without the patient's part, for a short time and with a
//! reason that the patient reads.

use chrono::NaiveDate;

use super::caller::Caller;
use super::error::ExchangeError;
use super::identity::{NO_TOKEN, Proof, VerifiedIdentity};
use super::{Exchange, Request};
use crate::clock::japanese_date;
use crate::store::directory::{AttemptKind, InsuredIdentity, Sex};

/// Whom the emergency is about.
#[derive(Debug)]
pub enum Sought {
    /// By insurance data and birth date; `None` when no card can bear them.
    Insured(Option<InsuredIdentity>, NaiveDate),
    /// By what is known of somebody without papers.
    Named {
        /// 氏名, in kanji or kana.
        name: String,
        /// 生年月日.
        birth_date: NaiveDate,
        /// 性別.
        sex: Sex,
    },
}

impl Exchange {
    /// Gives an identity token that opens the medication history. For facilities with the person at the terminal
    /// proved: the token is the facility's, and the record names both.
    ///
    /// # Errors
    ///
    /// `not-permitted`, `role-mismatch`; `identity-not-verified` for nobody, several, or a dead person alike;
    /// `too-many-attempts`.
    pub async fn break_glass(
        &self,
        caller: &Caller,
        sought: &Sought,
        reason: String,
        request: &Request,
    ) -> Result<VerifiedIdentity, ExchangeError> {
        let (facility, _) = caller.clinician()?;
        let now = self.clock.now();
        let guesses = self.guesses(facility, AttemptKind::BreakGlass);
        self.store.attempt_check(&guesses).await?;
        let today = japanese_date(now);
        let found = match sought {
            Sought::Insured(None, _) => None,
            Sought::Insured(Some(identity), born) => self.store.identity_find(identity, *born, today).await?,
            Sought::Named { name, birth_date, sex } => {
                self.store.person_find(name, *birth_date, *sex, today).await?
            }
        };
        let Some(entry) = found.filter(|entry| entry.patient.particulars.deceased_on.is_none()) else {
            self.store.attempt_register(&guesses).await?;
            return Err(ExchangeError::IdentityNotVerified);
        };
        metrics::counter!("hikikae_break_glass_total").increment(1);
        self.identity_grant(caller, entry, &Proof::Emergency(reason), request).await?.ok_or(NO_TOKEN)
    }
}
