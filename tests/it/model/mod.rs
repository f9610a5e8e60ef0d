//! Random lives of prescriptions, acted out on the real exchange and on a reference model of the state table that is
//! written here, in other terms than the table itself: it keeps what the table derives. They never disagree, and what
//! is displayed before an act, by Task, search and history, is what the act meets. Documents come in both forms of
//! their kind, by two clinics and three pharmacies, while the clock moves.
//!
//! `HIKIKAE_MODEL_CASES` asks for more cases than the few of an ordinary run.

#![expect(clippy::unwrap_used, reason = "a world that cannot be acted in fails its tests")]

use std::ops::Range;

use chrono::TimeDelta;
use hikikae::exchange::form::DocumentForm;
use hikikae::prescription::state::Kind;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use self::both::Both;
use crate::world::{CLINIC, OTHER_CLINIC, OTHER_PHARMACY, PHARMACY, THIRD_PHARMACY};

mod both;
mod contract;
mod reference;

const CLINICS: [&str; 2] = [CLINIC, OTHER_CLINIC];
const PHARMACIES: [&str; 3] = [PHARMACY, OTHER_PHARMACY, THIRD_PHARMACY];
const PATIENTS: Range<u32> = 1..4;
/// The lists of revoked certificates last thirty days.
const LONGEST: TimeDelta = TimeDelta::days(28);

/// The two forms of every kind of document: XML or CSV, and FHIR, in a JWS or by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Records,
    Fhir,
}

impl Form {
    fn of(self, kind: Kind) -> DocumentForm {
        match (self, kind) {
            (Self::Records, Kind::Electronic) => DocumentForm::EpsXml,
            (Self::Fhir, Kind::Electronic) => DocumentForm::Jose,
            (Self::Records, Kind::Paper | Kind::InHouse) => DocumentForm::Csv,
            (Self::Fhir, Kind::Paper | Kind::InHouse) => DocumentForm::Fhir,
        }
    }
}

/// One step of a random life.
#[derive(Clone, Debug)]
enum Step {
    Register { clinic: usize, patient: u32, kind: Kind, contents: Contents },
    Act { on: usize, by: usize, what: What },
    Pass { hours: i64 },
}

/// What a document says, as far as its life depends on it, and in which form of its kind.
#[derive(Clone, Copy, Debug)]
struct Contents {
    form: Form,
    days: u16,
    uses: u8,
    part: Option<u8>,
    usable_days: Option<u64>,
}

/// What somebody wants to do.
#[derive(Clone, Copy, Debug)]
enum What {
    Amend(Contents),
    Cancel,
    Accept,
    Renew,
    Return,
    Collect,
    Dispense { complete: bool, important: bool, form: Form },
    AmendDispense { result: Option<i16>, important: bool, form: Form },
    Withdraw { result: Option<i16> },
    Look { result: i16 },
}

/// The dearer form half as often: XML is signed by RSA.
fn any_form() -> impl Strategy<Value = Form> {
    prop_oneof![1 => Just(Form::Records), 2 => Just(Form::Fhir)]
}

fn any_contents() -> impl Strategy<Value = Contents> {
    let part = prop::option::weighted(0.2, 1u8..4);
    (any_form(), 5u16..11, 1u8..4, part, prop::option::weighted(0.3, 0u64..16))
        .prop_map(|(form, days, uses, part, usable_days)| Contents { form, days, uses, part, usable_days })
}

fn any_what() -> impl Strategy<Value = What> {
    let result = || prop::option::of(1i16..5);
    prop_oneof![
        2 => any_contents().prop_map(What::Amend),
        1 => Just(What::Cancel),
        6 => Just(What::Accept),
        1 => Just(What::Renew),
        1 => Just(What::Return),
        1 => Just(What::Collect),
        6 => (any::<bool>(), any::<bool>(), any_form())
            .prop_map(|(complete, important, form)| What::Dispense { complete, important, form }),
        3 => (result(), any::<bool>(), any_form())
            .prop_map(|(result, important, form)| What::AmendDispense { result, important, form }),
        3 => result().prop_map(|result| What::Withdraw { result }),
        1 => (1i16..5).prop_map(|result| What::Look { result }),
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![2 => Just(Kind::Electronic), 3 => Just(Kind::Paper), 1 => Just(Kind::InHouse)];
    prop_oneof![
        1 => (0usize..2, PATIENTS, kind, any_contents())
            .prop_map(|(clinic, patient, kind, contents)| Step::Register { clinic, patient, kind, contents }),
        12 => (any::<prop::sample::Index>(), prop_oneof![4 => Just(0usize), 1 => Just(1usize), 1 => Just(2usize)], any_what())
            .prop_map(|(on, by, what)| Step::Act { on: on.index(64), by, what }),
        2 => prop_oneof![3 => 1i64..30, 1 => 30i64..200].prop_map(|hours| Step::Pass { hours }),
    ]
}

#[test]
fn the_exchange_and_the_model_never_disagree() {
    let cases = std::env::var("HIKIKAE_MODEL_CASES").map_or(4, |cases| cases.parse().unwrap());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let first = (0usize..2, PATIENTS, any_contents()).prop_map(|(clinic, patient, contents)| {
        Step::Register { clinic, patient, kind: Kind::Paper, contents: Contents { part: None, ..contents } }
    });
    let steps = (first, prop::collection::vec(any_step(), 60..120));
    let outcome = runner.run(&steps, |(first, steps)| {
        runtime.block_on(async {
            let mut both = Both::new().await;
            for step in std::iter::once(first).chain(steps) {
                match step {
                    Step::Register { clinic, patient, kind, contents } => {
                        both.register(clinic, patient, kind, contents).await;
                    }
                    Step::Act { on, by, what } => {
                        let index = on % both.refs.len();
                        both.act(index, by, what).await;
                    }
                    Step::Pass { hours } => {
                        let by = TimeDelta::hours(hours);
                        if both.world.now() + by < both.began + LONGEST {
                            both.world.clock.advance(by);
                        }
                        for of in &both.refs {
                            let read = both.read(of).await;
                            both.agree(of, &read);
                        }
                    }
                }
            }
            both.settle().await;
        });
        Ok(())
    });
    outcome.unwrap();
}
