//! What a patient's consent opens of a finding. Knows neither who asks nor how the finding is shown.

/// How much of the other side of a finding (相手薬) is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disclosure {
    /// Without consent: that there is a finding, of what kind, and which of one's own lines it concerns.
    Withheld,
    /// 口頭同意: the patient has agreed at the counter that the details of the hits are shown, and nothing else of
    /// the history. It is for the facility to note in its own record.
    OralConsent,
}

impl Disclosure {
    /// The act as the access record names it.
    pub const fn check_act(self) -> &'static str {
        match self {
            Self::Withheld => "check",
            Self::OralConsent => "check-oral-consent",
        }
    }
}
