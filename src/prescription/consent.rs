//! 同意: what a patient lets a facility see, and what opens a record without that. Pure: knows neither who asks nor how
//! a consent is kept.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What is consented to (同意の種類).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConsentKind {
    /// 薬剤情報の閲覧: what was prescribed and dispensed, here and elsewhere.
    MedicationHistory,
    /// 処方箋一覧: which prescriptions wait, so that one is accepted without its exchange number.
    PrescriptionList,
}

impl ConsentKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::MedicationHistory, Self::PrescriptionList];

    /// The code of the contract.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MedicationHistory => "medication-history",
            Self::PrescriptionList => "prescription-list",
        }
    }

    /// The kind of a code.
    pub fn parse(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == code)
    }
}

/// Where the patient gave or refused it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Channel {
    /// At the facility's card reader (顔認証付きカードリーダー), for the one identity token that came of it.
    CardReader,
    /// In the patient's own app: it stands until it ends or is withdrawn.
    PatientApp,
}

impl Channel {
    /// The code of the contract.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CardReader => "card-reader",
            Self::PatientApp => "patient-app",
        }
    }

    /// The channel of a code.
    pub fn parse(code: &str) -> Option<Self> {
        [Self::CardReader, Self::PatientApp].into_iter().find(|channel| channel.as_str() == code)
    }
}

/// How an identity was proved (本人確認の方法).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// By insurance data against the directory.
    Insurance,
    /// By the patient's card (JPKI).
    Card,
    /// By a practitioner in an emergency (救急時), without the patient's part.
    BreakGlass,
}

impl Method {
    /// The code of the contract.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Insurance => "insurance",
            Self::Card => "card",
            Self::BreakGlass => "break-glass",
        }
    }

    /// The method of a code.
    pub fn parse(code: &str) -> Option<Self> {
        [Self::Insurance, Self::Card, Self::BreakGlass].into_iter().find(|method| method.as_str() == code)
    }
}

/// A consent or a refusal of one kind that is in force for one facility.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provision {
    /// Its id, by which the patient withdraws it.
    pub id: Uuid,
    /// What it is about.
    pub kind: ConsentKind,
    /// `false`: a refusal.
    pub permit: bool,
    /// Where it was given.
    pub channel: Channel,
    /// Its end; `None` stands until it is withdrawn.
    pub until: Option<DateTime<Utc>>,
}

/// By what something was opened, as the access record names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// 口頭同意 at the counter: details of hits, nothing else. The facility notes it in its own record.
    Oral,
    /// Consent by card.
    Card,
    /// A standing consent of the patient's.
    Standing,
    /// An emergency: no consent.
    BreakGlass,
    /// A disaster the operator has declared: no consent.
    Disaster,
}

impl Basis {
    /// The code of the contract.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Oral => "oral",
            Self::Card => "card",
            Self::Standing => "standing",
            Self::BreakGlass => "break-glass",
            Self::Disaster => "disaster",
        }
    }
}

/// What opened one kind of data to one reader at one moment; goes into the access record as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// What was opened.
    pub kind: ConsentKind,
    /// By what.
    pub basis: Basis,
    /// The consent, when it is one that is kept.
    pub consent: Option<Uuid>,
}

/// Everything that decides what an identity token opens at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permissions {
    /// How the identity was proved.
    pub method: Method,
    /// The consents and refusals in force for the token's facility.
    pub provisions: Vec<Provision>,
    /// Whether the operator has declared a disaster where the facility is.
    pub disaster: bool,
}

impl Permissions {
    /// By what data of this kind are open; `None` when they are not.
    ///
    /// An emergency opens the history whatever was said before. Else a refusal closes, whoever else was asked later:
    /// only the patient takes it back. Then a consent opens, and last a disaster, the history only.
    pub fn opening(&self, kind: ConsentKind) -> Option<Opening> {
        let history = kind == ConsentKind::MedicationHistory;
        let opened = |basis, consent| Some(Opening { kind, basis, consent });
        if history && self.method == Method::BreakGlass {
            return opened(Basis::BreakGlass, None);
        }
        if self.refused(kind) {
            return None;
        }
        let permit = |channel| {
            self.provisions.iter().find(move |p| p.kind == kind && p.permit && p.channel == channel)
        };
        if let Some(card) = permit(Channel::CardReader) {
            return opened(Basis::Card, Some(card.id));
        }
        if let Some(standing) = permit(Channel::PatientApp) {
            return opened(Basis::Standing, Some(standing.id));
        }
        if history && self.disaster { opened(Basis::Disaster, None) } else { None }
    }

    /// Whether a refusal of this kind is in force.
    pub fn refused(&self, kind: ConsentKind) -> bool {
        self.provisions.iter().any(|provision| provision.kind == kind && !provision.permit)
    }

    /// What is granted, with its end: what the facility is told after the identity check.
    pub fn granted(&self) -> impl Iterator<Item = (Opening, Option<DateTime<Utc>>)> + '_ {
        ConsentKind::ALL.into_iter().filter_map(|kind| self.opening(kind)).map(|opening| {
            let provision = self.provisions.iter().find(|provision| Some(provision.id) == opening.consent);
            (opening, provision.and_then(|provision| provision.until))
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const METHODS: [Method; 3] = [Method::Insurance, Method::Card, Method::BreakGlass];

    fn provision(kind: ConsentKind, permit: bool, channel: Channel) -> Provision {
        Provision { id: Uuid::from_u128(1), kind, permit, channel, until: None }
    }

    #[test]
    fn what_opens_in_which_order() {
        use ConsentKind::{MedicationHistory as History, PrescriptionList as List};
        let card = provision(History, true, Channel::CardReader);
        let standing = provision(History, true, Channel::PatientApp);
        let refusal = provision(History, false, Channel::PatientApp);
        let list = provision(List, true, Channel::CardReader);
        let basis = |method, provisions: &[&Provision], disaster, kind| {
            let provisions = provisions.iter().map(|provision| (*provision).clone()).collect();
            Permissions { method, provisions, disaster }.opening(kind).map(|opening| opening.basis)
        };
        let (insurance, by_card, glass) = (Method::Insurance, Method::Card, Method::BreakGlass);
        assert_eq!(basis(insurance, &[], false, History), None);
        assert_eq!(basis(by_card, &[], false, History), None, "a card without a consent opens nothing");
        assert_eq!(basis(by_card, &[&list], false, History), None, "nor one of another kind");
        assert_eq!(basis(by_card, &[&standing, &card], false, History), Some(Basis::Card));
        assert_eq!(basis(insurance, &[&standing], true, History), Some(Basis::Standing));
        assert_eq!(basis(by_card, &[&card, &refusal], true, History), None, "a refusal closes");
        assert_eq!(basis(insurance, &[], true, History), Some(Basis::Disaster));
        assert_eq!(basis(insurance, &[], true, List), None, "a disaster opens the history only");
        assert_eq!(basis(glass, &[&refusal], false, History), Some(Basis::BreakGlass));
        assert_eq!(basis(glass, &[], false, List), None, "an emergency is for looking");
        assert_eq!(basis(by_card, &[&list, &refusal], false, List), Some(Basis::Card));
    }

    proptest! {
        /// More refusals never open anything, and only consent, emergency or disaster do.
        #[test]
        fn refusals_only_close(
            method in 0..3_usize, disaster: bool,
            given in prop::collection::vec((0..2_usize, any::<bool>(), any::<bool>()), 0..6), refused in 0..2_usize,
        ) {
            let mut provisions: Vec<_> = given
                .into_iter()
                .map(|(kind, permit, card)| {
                    let channel = if card { Channel::CardReader } else { Channel::PatientApp };
                    provision(ConsentKind::ALL[kind], permit, channel)
                })
                .collect();
            let before = Permissions { method: METHODS[method], provisions: provisions.clone(), disaster };
            provisions.push(provision(ConsentKind::ALL[refused], false, Channel::PatientApp));
            let after = Permissions { method: METHODS[method], provisions, disaster };
            for kind in ConsentKind::ALL {
                prop_assert!(after.opening(kind).is_none() || after.opening(kind) == before.opening(kind));
                if after.opening(kind).is_some() && after.refused(kind) {
                    prop_assert_eq!(after.method, Method::BreakGlass);
                }
            }
        }
    }
}
