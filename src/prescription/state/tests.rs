//! The table by cases, and by properties of random lives.

use proptest::prelude::*;

use super::super::result::RESULTS_MAX;
use super::*;

fn pharmacy(n: u8) -> InstitutionCode {
    format!("13412345{n:02}").parse().unwrap()
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

const LEASE: TimeDelta = TimeDelta::days(7);

fn accept(n: u8) -> Act {
    Act::Accept { by: pharmacy(n), lease: LEASE }
}

fn dispense(n: u8, on: &str) -> Act {
    Act::Dispense {
        by: pharmacy(n),
        supply: Dispensed { on: on.parse().unwrap(), days: 28, important: false },
        complete: true,
    }
}

fn terms(uses_allowed: u8) -> Terms {
    Terms { valid_until: "2026-04-04".parse().unwrap(), first_due: None, uses_allowed }
}

fn part(n: u8, on: &str) -> Act {
    Act::Dispense {
        by: pharmacy(n),
        supply: Dispensed { on: on.parse().unwrap(), days: 14, important: false },
        complete: false,
    }
}

fn ordinary() -> Life {
    Life::issued(Kind::Electronic, terms(1))
}

#[test]
fn the_main_job() {
    let now = at("2026-04-01T03:00:00Z");
    let accepted = ordinary().after(&accept(1), now).unwrap();
    assert_eq!(accepted.shown(now), Shown::Accepted);
    assert_eq!(accepted.after(&accept(2), now), Err(Refusal::HeldByPharmacy));
    assert_eq!(accepted.after(&Act::Cancel, now), Err(Refusal::HeldByPharmacy));
    let dispensed = accepted.after(&dispense(1, "2026-04-01"), now).unwrap();
    assert_eq!(dispensed.shown(now), Shown::Dispensed);
    assert_eq!(dispensed.after(&Act::Cancel, now), Err(Refusal::AlreadyDispensed));
    assert_eq!(dispensed.after(&Act::Return { by: pharmacy(1) }, now), Err(Refusal::AlreadyDispensed));
}

#[test]
fn the_use_period_ends_with_its_last_japanese_day() {
    let last = at("2026-04-04T14:59:59Z");
    let passed = at("2026-04-04T15:00:00Z");
    assert_eq!(ordinary().shown(last), Shown::Issued);
    assert!(ordinary().after(&accept(1), last).is_ok());
    assert_eq!(ordinary().shown(passed), Shown::Expired);
    assert_eq!(ordinary().after(&accept(1), passed), Err(Refusal::Expired));
    assert_eq!(ordinary().after(&Act::Cancel, passed), Err(Refusal::Expired));
}

#[test]
fn a_lease_falls_back_unless_something_was_dispensed() {
    let now = at("2026-04-01T03:00:00Z");
    let held = ordinary().after(&accept(1), now).unwrap();
    let later = now + LEASE;
    assert_eq!(held.shown(later), Shown::Expired);
    assert_eq!(held.after(&dispense(1, "2026-04-08"), later), Err(Refusal::NotHeld));
    let renewed =
        held.after(&Act::Renew { by: pharmacy(1), lease: LEASE }, now + TimeDelta::days(6)).unwrap();
    assert_eq!(renewed.shown(later), Shown::Accepted);
    let part = part(1, "2026-04-01");
    let partly = held.after(&part, now).unwrap();
    assert_eq!(partly.shown(later), Shown::PartlyDispensed);
    assert_eq!(partly.after(&Act::Return { by: pharmacy(1) }, now), Err(Refusal::AlreadyDispensed));
}

#[test]
fn a_refill_is_due_within_seven_days_of_its_date() {
    let now = at("2026-04-01T03:00:00Z");
    let refill = Life::issued(Kind::Electronic, terms(3));
    let first = refill.after(&accept(1), now).unwrap().after(&dispense(1, "2026-04-01"), now).unwrap();
    assert_eq!((&first.state, first.due()), (&State::Issued, Some("2026-04-29".parse().unwrap())));
    assert_eq!(first.shown(now), Shown::AwaitingNextUse);
    assert_eq!(first.after(&accept(2), at("2026-04-21T03:00:00Z")), Err(Refusal::NotYetDue));
    assert!(first.after(&accept(2), at("2026-04-22T03:00:00Z")).is_ok());
    assert!(first.after(&accept(2), at("2026-05-06T03:00:00Z")).is_ok());
    assert_eq!(first.after(&accept(2), at("2026-05-07T03:00:00Z")), Err(Refusal::Expired));
    assert_eq!(first.after(&Act::Cancel, now), Err(Refusal::AlreadyDispensed));
}

fn withdraw(n: u8, result: i16) -> Act {
    Act::WithdrawDispense { by: pharmacy(n), result, lease: LEASE }
}

fn amend_dispense(n: u8, result: i16, on: &str) -> Act {
    let supply = Dispensed { on: on.parse().unwrap(), days: 28, important: false };
    Act::AmendDispense { by: pharmacy(n), result, supply }
}

/// The life after some acts, all at one time.
fn lived(life: Life, acts: &[Act], now: DateTime<Utc>) -> Result<Life, Refusal> {
    acts.iter().try_fold(life, |life, act| life.after(act, now))
}

#[test]
fn an_unused_prescription_is_amended() {
    let now = at("2026-04-01T03:00:00Z");
    let longer = Terms { valid_until: "2026-04-10".parse().unwrap(), ..terms(2) };
    let amended = ordinary().after(&Act::Amend(longer), now).unwrap();
    assert_eq!((amended.terms, &amended.state), (longer, &State::Issued));
    let held = ordinary().after(&accept(1), now).unwrap();
    assert_eq!(held.after(&Act::Amend(longer), now), Err(Refusal::HeldByPharmacy));
    let used = lived(Life::issued(Kind::Electronic, terms(2)), &[accept(1), dispense(1, "2026-04-01")], now);
    assert_eq!(used.unwrap().after(&Act::Amend(longer), now), Err(Refusal::AlreadyDispensed));
    assert_eq!(ordinary().after(&Act::Amend(longer), at("2026-04-05T03:00:00Z")), Err(Refusal::Expired));
}

#[test]
fn a_withdrawn_result_leaves_the_prescription_with_its_pharmacy() {
    let now = at("2026-04-01T03:00:00Z");
    let dispensed = lived(ordinary(), &[accept(1), dispense(1, "2026-04-01")], now).unwrap();
    assert_eq!(dispensed.after(&withdraw(2, 1), now), Err(Refusal::NoSuchResult));
    let open = dispensed.after(&withdraw(1, 1), now).unwrap();
    assert_eq!(open.shown(now), Shown::Accepted);
    assert_eq!(open.after(&Act::Return { by: pharmacy(1) }, now), Err(Refusal::AlreadyDispensed));
    assert_eq!(open.after(&withdraw(1, 1), now), Err(Refusal::HeldByPharmacy));
    // There is no telling who has the medicine: the lease does not fall back.
    let later = now + TimeDelta::days(30);
    assert_eq!(open.shown(later), Shown::Accepted);
    assert_eq!(open.after(&dispense(1, "2026-05-01"), later).unwrap().shown(later), Shown::Dispensed);
    assert_eq!(open.after(&Act::Collect { by: pharmacy(1) }, later).unwrap().shown(later), Shown::Collected);
}

#[test]
fn parts_are_withdrawn_from_the_last() {
    let now = at("2026-04-01T03:00:00Z");
    let parts = [accept(1), part(1, "2026-04-01"), part(1, "2026-04-01"), dispense(1, "2026-04-01")];
    let whole = lived(ordinary(), &parts, now).unwrap();
    assert_eq!(whole.after(&withdraw(1, 1), now), Err(Refusal::LaterResult));
    // Amending the first part does not make it the last.
    let amended = whole.after(&amend_dispense(1, 1, "2026-04-01"), now).unwrap();
    assert_eq!(amended.after(&withdraw(1, 4), now), Err(Refusal::LaterResult));
    assert_eq!(amended.after(&amend_dispense(1, 1, "2026-04-01"), now), Err(Refusal::NoSuchResult));
    let two = amended.after(&withdraw(1, 3), now).unwrap();
    assert_eq!(two.shown(now), Shown::PartlyDispensed);
    let none = lived(two, &[withdraw(1, 2), withdraw(1, 4)], now).unwrap();
    assert_eq!(none.shown(now), Shown::Accepted);
}

#[test]
fn a_refill_use_is_corrected_until_the_next_is_held() {
    let now = at("2026-04-01T03:00:00Z");
    let refill = Life::issued(Kind::Electronic, terms(2));
    let first = lived(refill, &[accept(1), dispense(1, "2026-04-01")], now).unwrap();
    let corrected = first.after(&amend_dispense(1, 1, "2026-03-31"), now).unwrap();
    assert_eq!(corrected.due(), Some("2026-04-28".parse().unwrap()));
    let back = first.after(&withdraw(1, 1), now).unwrap();
    assert_eq!((back.due(), back.shown(now)), (None, Shown::Accepted));
    let later = at("2026-04-28T03:00:00Z");
    let held = first.after(&accept(2), later).unwrap();
    assert_eq!(held.after(&withdraw(1, 1), later), Err(Refusal::HeldByPharmacy));
    assert_eq!(held.after(&amend_dispense(1, 1, "2026-04-01"), later).unwrap().state, held.state);
    let second = held.after(&dispense(2, "2026-04-28"), later).unwrap();
    assert_eq!(second.after(&withdraw(1, 1), later), Err(Refusal::LaterResult));
    assert_eq!(second.after(&Act::Collect { by: pharmacy(2) }, later), Err(Refusal::AlreadyDispensed));
}

#[test]
fn a_later_part_of_a_split_waits_for_its_day() {
    let due = "2026-04-15".parse().unwrap();
    let terms = Terms { valid_until: "2026-04-22".parse().unwrap(), first_due: Some(due), uses_allowed: 1 };
    let life = Life::issued(Kind::Electronic, terms);
    let early = at("2026-04-07T03:00:00Z");
    assert_eq!(life.shown(early), Shown::AwaitingNextUse);
    assert_eq!(life.after(&accept(1), early), Err(Refusal::NotYetDue));
    assert!(life.after(&Act::Cancel, early).is_ok(), "nothing was dispensed on it");
    assert!(life.after(&accept(1), at("2026-04-08T03:00:00Z")).is_ok());
    assert_eq!(life.after(&accept(1), at("2026-04-23T03:00:00Z")), Err(Refusal::Expired));
}

#[test]
fn an_in_house_prescription_is_its_clinics_alone() {
    let now = at("2026-04-01T03:00:00Z");
    let clinic: InstitutionCode = "1311234567".parse().unwrap();
    let given = Life::given_in_house(clinic, terms(1));
    assert_eq!(given.shown(now), Shown::Dispensed);
    assert_eq!(given.after(&accept(1), now), Err(Refusal::AlreadyDispensed));
    assert_eq!(given.after(&Act::Amend(terms(1)), now).unwrap(), given);
    let taken_back = given.after(&Act::Cancel, now).unwrap();
    assert_eq!(taken_back.shown(now), Shown::Cancelled);
    assert_eq!(taken_back.after(&Act::Amend(terms(1)), now), Err(Refusal::Cancelled));
}

#[test]
fn dispensing_documents_have_an_end() {
    let now = at("2026-04-01T03:00:00Z");
    let mut life = ordinary().after(&accept(1), now).unwrap();
    while let Ok(next) = life.after(&part(1, "2026-04-01"), now) {
        life = next;
    }
    assert_eq!(life.results.entries().len(), RESULTS_MAX);
    let last = i16::try_from(RESULTS_MAX).unwrap();
    assert_eq!(life.after(&amend_dispense(1, last, "2026-04-01"), now), Err(Refusal::TooManyResults));
}

fn any_act() -> impl Strategy<Value = Act> {
    let (who, number) = (1u8..4, 1i16..7);
    let supply = (0u16..90, 0u64..60).prop_map(|(days, day)| Dispensed {
        on: NaiveDate::from_ymd_opt(2026, 4, 1).unwrap() + Days::new(day),
        days,
        important: days % 2 == 0,
    });
    let amended = (0u64..30, 1u8..=3).prop_map(|(day, uses_allowed)| {
        let valid_until = NaiveDate::from_ymd_opt(2026, 4, 1).unwrap() + Days::new(day);
        Act::Amend(Terms { valid_until, first_due: None, uses_allowed })
    });
    prop_oneof![
        1 => Just(Act::Cancel),
        1 => amended,
        3 => who.clone().prop_map(accept),
        1 => who.clone().prop_map(|n| Act::Renew { by: pharmacy(n), lease: LEASE }),
        1 => who.clone().prop_map(|n| Act::Return { by: pharmacy(n) }),
        1 => who.clone().prop_map(|n| Act::Collect { by: pharmacy(n) }),
        4 => (who.clone(), supply.clone(), any::<bool>())
            .prop_map(|(n, supply, complete)| Act::Dispense { by: pharmacy(n), supply, complete }),
        2 => (who.clone(), number.clone(), supply)
            .prop_map(|(n, result, supply)| Act::AmendDispense { by: pharmacy(n), result, supply }),
        2 => (who, number).prop_map(|(n, result)| withdraw(n, result)),
    ]
}

/// What an outsider who wants to accept meets, as the shown state says it.
fn met_by_an_outsider(shown: Shown) -> &'static [Result<(), Refusal>] {
    match shown {
        Shown::AwaitingNextUse => &[Ok(()), Err(Refusal::NotYetDue)],
        Shown::Issued => &[Ok(())],
        Shown::Accepted | Shown::PartlyDispensed => &[Err(Refusal::HeldByPharmacy)],
        Shown::Dispensed => &[Err(Refusal::AlreadyDispensed)],
        Shown::Cancelled => &[Err(Refusal::Cancelled)],
        Shown::Collected => &[Err(Refusal::Collected)],
        Shown::Expired => &[Err(Refusal::Expired)],
    }
}

proptest! {
    /// Whatever happens: the cancelled and the collected stay so but for corrections, uses never exceed what is
    /// allowed, only the pharmacy of a result takes it back, dispensing documents never vanish, and what is shown
    /// agrees with what the next accept meets.
    #[test]
    fn the_table_keeps_its_promises(
        uses in 1u8..=3,
        steps in prop::collection::vec((any_act(), 0i64..400), 1..60),
    ) {
        let mut now = at("2026-04-01T00:00:00Z");
        let mut life = Life::issued(Kind::Electronic, terms(uses));
        for (act, hours) in steps {
            now += TimeDelta::hours(hours);
            let before = life.clone();
            let shown = before.shown(now);
            if let Ok(after) = before.after(&act, now) {
                match shown {
                    Shown::Cancelled => prop_assert!(false, "nothing follows a cancellation"),
                    Shown::Collected => prop_assert_eq!(after.shown(now), shown),
                    Shown::Expired => prop_assert!(matches!(act, Act::AmendDispense { .. }), "a correction"),
                    _ => {}
                }
                prop_assert!(after.results.uses_done() <= after.terms.uses_allowed);
                prop_assert!(after.results.entries().len() >= before.results.entries().len());
                if after.results.uses_done() < before.results.uses_done() {
                    prop_assert!(matches!(act, Act::WithdrawDispense { .. }), "withdrawn");
                }
                if before.results.uses_done() > 0 {
                    prop_assert_eq!(after.terms, before.terms);
                }
                life = after;
            }
            let outsider = life.after(&accept(9), now).map(drop);
            let shown = life.shown(now);
            prop_assert!(met_by_an_outsider(shown).contains(&outsider), "{:?} met {:?}", shown, outsider);
        }
    }
}
