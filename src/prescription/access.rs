//! アクセス記録: what the access record says to people, in Japanese and English: each act as it was done and as it was
//! refused, why, and by what right. Knows neither how a record is kept nor how it is rendered.

use serde::{Deserialize, Serialize};

use super::consent::Basis;

/// Who called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Who {
    /// A facility, with or without a person at its terminal.
    Facility,
    /// A practitioner without a facility.
    Practitioner,
    /// The patient, or an app the patient has allowed.
    #[default]
    Patient,
    /// Another patient, who is not named.
    AnotherPatient,
    /// Whoever runs the exchange.
    Operator,
}

/// What an act does to data (FHIR `audit-event-action`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Something new is there.
    Create,
    /// Something was seen.
    Read,
    /// Something changed.
    Update,
    /// Something was taken away.
    Delete,
    /// Something was worked out.
    Execute,
}

/// The same in Japanese and in English.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Words {
    /// 日本語.
    pub ja: &'static str,
    /// English.
    pub en: &'static str,
}

/// An act as the access record tells it. Comes after who did it.
#[derive(Clone, Copy, Debug)]
pub struct Told {
    /// What it does to data.
    pub action: Action,
    /// It was done.
    pub done: Words,
    /// It was tried.
    pub tried: Words,
}

macro_rules! acts {
    ($($act:ident $name:literal $action:ident
        $done_ja:literal / $tried_ja:literal, $done_en:literal / $tried_en:literal;)+) => {
        /// An act there is a record of, whoever does it. None is without its words.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum AccessAct {
            $(#[doc = concat!($done_ja, ": ", $done_en, ".")] $act,)+
        }

        impl AccessAct {
            /// Every act.
            pub const ALL: &[Self] = &[$(Self::$act),+];

            /// Its name in the record.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$act => $name,)+
                }
            }

            /// How the record tells it.
            pub const fn told(self) -> Told {
                match self {
                    $(Self::$act => Told {
                        action: Action::$action,
                        done: Words { ja: $done_ja, en: $done_en },
                        tried: Words { ja: $tried_ja, en: $tried_en },
                    },)+
                }
            }
        }
    };
}

// Name, what it does to data, the words of the act done and tried.
acts! {
    Register "register" Create
        "処方箋を登録しました" / "処方箋を登録しようとしました",
        "registered a prescription for you" / "tried to register a prescription for you";
    Amend "amend" Update
        "処方箋を変更しました" / "処方箋を変更しようとしました",
        "changed your prescription" / "tried to change your prescription";
    Cancel "cancel" Update
        "処方箋を取り消しました" / "処方箋を取り消そうとしました",
        "cancelled your prescription" / "tried to cancel your prescription";
    Accept "accept" Update
        "処方箋を受け付けました" / "処方箋を受け付けようとしました",
        "accepted your prescription" / "tried to accept your prescription";
    Renew "renew" Update
        "処方箋の受付の期限を延ばしました" / "処方箋の受付の期限を延ばそうとしました",
        "kept your prescription for longer" / "tried to keep your prescription for longer";
    Return "return" Update
        "処方箋の受付を取り消し、ほかの薬局で使えるようにしました" / "処方箋の受付を取り消そうとしました",
        "gave your prescription back, for use at any pharmacy" / "tried to give your prescription back";
    Collect "collect" Update
        "処方箋を回収しました" / "処方箋を回収しようとしました",
        "collected your prescription for good" / "tried to collect your prescription";
    Dispense "dispense" Update
        "調剤した内容を登録しました" / "調剤した内容を登録しようとしました",
        "recorded what was dispensed to you" / "tried to record what was dispensed to you";
    AmendDispense "amend-dispense" Update
        "調剤した内容を訂正しました" / "調剤した内容を訂正しようとしました",
        "corrected what was dispensed to you" / "tried to correct what was dispensed to you";
    WithdrawDispense "withdraw-dispense" Update
        "調剤した内容の登録を取り消しました" / "調剤した内容の登録を取り消そうとしました",
        "took back the record of what was dispensed to you"
            / "tried to take back the record of what was dispensed to you";
    Read "read" Read
        "処方箋の状況を見ました" / "処方箋の状況を見ようとしました",
        "looked where your prescription stands" / "tried to look where your prescription stands";
    Search "search" Read
        "処方箋の一覧を見ました" / "処方箋の一覧を見ようとしました",
        "looked at a list of your prescriptions" / "tried to look at a list of your prescriptions";
    Follow "follow" Read
        "処方箋の変化の知らせを受け取りました" / "処方箋の変化の知らせを受け取ろうとしました",
        "was told of changes of your prescriptions" / "tried to be told of changes of your prescriptions";
    History "history" Read
        "処方箋のこれまでの経過を見ました" / "処方箋のこれまでの経過を見ようとしました",
        "looked at what became of your prescription" / "tried to look at what became of your prescription";
    Document "document" Read
        "処方箋または調剤の書類を読みました" / "処方箋または調剤の書類を読もうとしました",
        "read a document of your prescription" / "tried to read a document of your prescription";
    Slip "slip" Read
        "処方内容の控えを出しました" / "処方内容の控えを出そうとしました",
        "made the slip of your prescription" / "tried to make the slip of your prescription";
    Notebook "notebook" Read
        "お薬手帳のデータを読みました" / "お薬手帳のデータを読もうとしました",
        "read data for your medicine notebook" / "tried to read data for your medicine notebook";
    NotebookImport "notebook-import" Create
        "お薬手帳のデータを取り込みました" / "お薬手帳のデータを取り込もうとしました",
        "took up data of a medicine notebook" / "tried to take up data of a medicine notebook";
    Check "check" Execute
        "お薬の飲み合わせを調べました" / "お薬の飲み合わせを調べようとしました",
        "checked how medicines go together for you" / "tried to check how medicines go together for you";
    CheckOrderSign "check-order-sign" Execute
        "処方する前に飲み合わせを調べました" / "処方する前に飲み合わせを調べようとしました",
        "checked how medicines go together before prescribing"
            / "tried to check how medicines go together before prescribing";
    Mitigate "mitigate" Update
        "飲み合わせの指摘について理由を記録しました" / "飲み合わせの指摘について理由を記録しようとしました",
        "gave a reason for going on in spite of a warning"
            / "tried to give a reason for going on in spite of a warning";
    VerifyIdentity "verify-identity" Read
        "あなたの本人確認をしました" / "あなたの本人確認をしようとしました",
        "verified your identity" / "tried to verify your identity";
    BreakGlass "break-glass" Read
        "救急として、同意なしで記録を開きました" / "救急として、同意なしで記録を開こうとしました",
        "opened your record without consent, in an emergency"
            / "tried to open your record without consent, as in an emergency";
    HistoryPrescribed "history-prescribed" Read
        "処方されたお薬の履歴を見ました" / "処方されたお薬の履歴を見ようとしました",
        "looked at the medicines you were prescribed" / "tried to look at the medicines you were prescribed";
    HistoryGivenOut "history-given-out" Read
        "受け取ったお薬の履歴を見ました" / "受け取ったお薬の履歴を見ようとしました",
        "looked at the medicines you were given" / "tried to look at the medicines you were given";
    ConsentList "consent-list" Read
        "同意と拒否の設定を見ました" / "同意と拒否の設定を見ようとしました",
        "looked at your consents and refusals" / "tried to look at your consents and refusals";
    ConsentPut "consent-put" Create
        "同意または拒否を設定しました" / "同意または拒否を設定しようとしました",
        "set a consent or refusal" / "tried to set a consent or refusal";
    ConsentWithdraw "consent-withdraw" Delete
        "同意または拒否を取り消しました" / "同意または拒否を取り消そうとしました",
        "withdrew a consent or refusal" / "tried to withdraw a consent or refusal";
    AllergyRead "allergy-read" Read
        "アレルギーの記録を見ました" / "アレルギーの記録を見ようとしました",
        "looked at your recorded allergies" / "tried to look at your recorded allergies";
    AllergyRecord "allergy-record" Create
        "アレルギーを記録しました" / "アレルギーを記録しようとしました",
        "recorded an allergy" / "tried to record an allergy";
    AllergyRemove "allergy-remove" Delete
        "アレルギーの記録を消しました" / "アレルギーの記録を消そうとしました",
        "removed a recorded allergy" / "tried to remove a recorded allergy";
    SelfReportedRead "self-reported-read" Read
        "ご自分で記録されたお薬を見ました" / "ご自分で記録されたお薬を見ようとしました",
        "looked at the medicines you recorded yourself"
            / "tried to look at the medicines you recorded yourself";
    SelfReportedRecord "self-reported-record" Create
        "飲んでいるお薬を記録しました" / "飲んでいるお薬を記録しようとしました",
        "recorded a medicine being taken" / "tried to record a medicine being taken";
    SelfReportedRemove "self-reported-remove" Delete
        "記録したお薬を消しました" / "記録したお薬を消そうとしました",
        "removed a recorded medicine" / "tried to remove a recorded medicine";
    AccessRecord "access-record" Read
        "このアクセス記録を見ました" / "このアクセス記録を見ようとしました",
        "looked at this access record" / "tried to look at this access record";
    AppAuthorize "app-authorize" Create
        "アプリに記録を見ることを許しました" / "アプリに記録を見ることを許そうとしました",
        "let an app read the record" / "tried to let an app read the record";
    AppList "app-list" Read
        "許可したアプリの一覧を見ました" / "許可したアプリの一覧を見ようとしました",
        "looked at the apps that may read the record" / "tried to look at the apps that may read the record";
    AppRevoke "app-revoke" Delete
        "アプリの許可を取り消しました" / "アプリの許可を取り消そうとしました",
        "ended an app's access" / "tried to end an app's access";
    MandateList "mandate-list" Read
        "代理人の一覧を見ました" / "代理人の一覧を見ようとしました",
        "looked at the list of representatives" / "tried to look at the list of representatives";
    MandateAdd "mandate-add" Create
        "代理人を定めました" / "代理人を定めようとしました",
        "named a representative for you" / "tried to name a representative for you";
    MandateEnd "mandate-end" Delete
        "代理を終わらせました" / "代理を終わらせようとしました",
        "ended a representative's mandate" / "tried to end a representative's mandate";
    MergePatients "merge-patients" Update
        "あなたの二つの記録を一つにまとめました" / "あなたの二つの記録を一つにまとめようとしました",
        "joined two records of yours" / "tried to join two records of yours";
    UnmergePatients "unmerge-patients" Update
        "一つにまとめた記録を元の二つに戻しました" / "一つにまとめた記録を元の二つに戻そうとしました",
        "parted two records that had been joined" / "tried to part two records that had been joined";
    WhoseData "whose-data" Read
        "内容を見ずに、あなたの記録の件数を数えました" / "あなたの記録の件数を数えようとしました",
        "counted what is kept of you, without seeing it" / "tried to count what is kept of you";
    Export "export" Read
        "記録のすべてを書き出しました" / "記録のすべてを書き出そうとしました",
        "took a copy of the whole record" / "tried to take a copy of the whole record";
    ImportClaims "import-claims" Create
        "診療報酬の請求からお薬の履歴を取り込みました" / "診療報酬の請求からお薬の履歴を取り込もうとしました",
        "took up medicines that institutions claimed for"
            / "tried to take up medicines that institutions claimed for";
}

impl AccessAct {
    /// The act of a name; `None` for one of a newer program.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|act| act.as_str() == name).copied()
    }
}

impl Told {
    /// An act that this program does not know.
    pub const OTHER: Self = Self {
        action: Action::Execute,
        done: Words { ja: "あなたの記録を扱いました", en: "did something with your record" },
        tried: Words {
            ja: "あなたの記録を扱おうとしました", en: "tried to do something with your record"
        },
    };
}

/// Why an act was refused, by the code of the answer. What only tells of the form of a document is one.
pub fn refusal(code: &str) -> Words {
    let words = |ja, en| Words { ja, en };
    match code {
        "not-found" => words("その人が見てよいものではないため", "it is not theirs to see"),
        "not-permitted" => words("その人に許された操作ではないため", "they may not do that"),
        "consent-required" => words("あなたの同意がないため", "you have not consented"),
        "role-mismatch" => words("資格が合わないため", "their profession does not fit"),
        "held-by-pharmacy" => words("ほかの薬局が受け付けているため", "another pharmacy holds it"),
        "already-dispensed" => words("すでに調剤されているため", "it has been dispensed already"),
        "cancelled" => words("処方箋が取り消されているため", "the prescription was cancelled"),
        "expired" => words("使用期間が過ぎているため", "its time has passed"),
        "not-yet-due" => words("次に使える日がまだ来ていないため", "the day of its next use has not come"),
        "duplicate-document" => words("同じ処方箋が登録済みのため", "the same is registered already"),
        "state-conflict" => {
            words("処方箋や記録の今の状態に合わないため", "where things stand does not allow it")
        }
        "medication-check-unresolved" => words(
            "お薬の飲み合わせに確かめることがあるため",
            "how medicines go together must be looked at first",
        ),
        "version-mismatch" => words("その間に内容が変わっていたため", "it had changed meanwhile"),
        "exchange-number-unknown" => words("引換番号が合わないため", "the exchange number is not yours"),
        "identity-not-verified" => words("本人確認ができなかったため", "your identity could not be verified"),
        "secret-reused" => words(
            "アプリの鍵が二度使われたため（許可を取り消しました）",
            "a secret of the app was used twice; its access was ended",
        ),
        _ => words("書類または手続きが整っていないため", "the document or the request was not in order"),
    }
}

impl Basis {
    /// What the access record calls it.
    pub const fn words(self) -> Words {
        match self {
            Self::Oral => Words { ja: "口頭でのあなたの同意", en: "your consent by word of mouth" },
            Self::Card => Words { ja: "カードでのあなたの同意", en: "your consent by card" },
            Self::Standing => Words { ja: "前もってのあなたの同意", en: "your standing consent" },
            Self::BreakGlass => Words { ja: "救急（同意なし）", en: "an emergency, without consent" },
            Self::Disaster => {
                Words { ja: "災害（同意なし）", en: "a declared disaster, without consent" }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_act_is_told_once_and_as_a_sentence_goes_on() {
        let names: BTreeSet<&str> = AccessAct::ALL.iter().map(|act| act.as_str()).collect();
        assert_eq!(names.len(), AccessAct::ALL.len());
        for act in AccessAct::ALL {
            let Told { done, tried, .. } = act.told();
            assert!(done.ja.ends_with("ました") && tried.ja.ends_with("うとしました"), "{act:?}");
            assert!(tried.en.starts_with("tried to ") && !done.en.starts_with("tried"), "{act:?}");
            assert_eq!(AccessAct::parse(act.as_str()), Some(*act));
        }
        assert_eq!(AccessAct::parse("unheard-of"), None);
    }
}
