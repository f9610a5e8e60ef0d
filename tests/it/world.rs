//! An exchange with certificates, facilities and patients, driven at the door of its acts with a clock that moves.

#![expect(clippy::unwrap_used, reason = "a world that cannot be made fails its tests")]

use std::fmt::Write as _;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use hikikae::check::Policy;
use hikikae::clock::{Clock, japanese_date};
use hikikae::codec::eps_xml::{EpsPrescription, Signatory, dispensing_sign, prescription_sign};
use hikikae::codec::slip::Fonts;
use hikikae::config::Config;
use hikikae::exchange::accept::{Accepted, Wanted};
use hikikae::exchange::caller::{Actor, Caller};
use hikikae::exchange::dispense::{Purpose, SentResult};
use hikikae::exchange::error::ExchangeError;
use hikikae::exchange::form::DocumentForm;
use hikikae::exchange::identity::Evidence;
use hikikae::exchange::register::Sent;
use hikikae::exchange::{Answered, Exchange, HistoryTerm, IdentityHeader, Request, Settings, TaskOutcome};
use hikikae::formulary::Formulary;
use hikikae::formulary::shelf::Editions;
use hikikae::prescription::registered::{ExchangeNumber, Registered};
use hikikae::prescription::state::Kind;
use hikikae::sandbox::pki::{Credential, FacilitySpec, PatientSpec, PersonSpec, Pki};
use hikikae::store::access::{AccessRow, Trace, TraceContent, Written};
use hikikae::store::directory::{AttemptLimit, Eligibility, Facility, FacilityKind, InsuredIdentity};
use hikikae::store::feed::Place;
use hikikae::store::{PatientId, PrescriptionId, Store};
use hikikae::trust::{HcRole, SigningKey, TrustPolicy, TrustStore};
use ring::rand::SystemRandom;
use uuid::Uuid;

use crate::harness::Database;

/// Everybody's keys are made once a run: those of people of RSA as in the field, of the last two of P-256.
pub static PKI: LazyLock<Pki> = LazyLock::new(|| {
    let directory = tempfile::tempdir().unwrap().keep();
    let person = |id: &str, role| PersonSpec {
        id: id.to_owned(),
        romaji: format!("Test {id}"),
        kanji: format!("試験　{id}"),
        registration_number: format!("9{:05}", id.len()),
        roles: vec![role],
    };
    let facility =
        |code: &str| FacilitySpec { code: code.parse().unwrap(), name: format!("facility {code}") };
    let people = [
        person("physician", HcRole::MedicalDoctor),
        person("pharmacist", HcRole::Pharmacist),
        person("physician-p256", HcRole::MedicalDoctor),
        person("pharmacist-p256", HcRole::Pharmacist),
    ];
    // The PKI makes its people RSA keys, but takes those it finds.
    std::fs::create_dir_all(directory.join("pki/people")).unwrap();
    for PersonSpec { id, .. } in &people[2..] {
        let key = SigningKey::p256_generate(&SystemRandom::new()).unwrap();
        key.save_new(&directory.join(format!("pki/people/{id}.key"))).unwrap();
    }
    let facilities = [facility(CLINIC), facility(OTHER_CLINIC), facility(PHARMACY), facility(OTHER_PHARMACY)];
    let card = |id: u32| PatientSpec { id: format!("card-{id}"), card_number: id.to_string() };
    let patients: Vec<PatientSpec> = (0..4).map(card).collect();
    let now = Clock::system().now();
    Pki::open_or_create(&directory, &people, &facilities, &patients, now, &SystemRandom::new(), &|_, _| {})
        .unwrap()
});

pub const CLINIC: &str = "1311234567";
pub const OTHER_CLINIC: &str = "1311234575";
pub const PHARMACY: &str = "1341234561";
pub const OTHER_PHARMACY: &str = "1341234579";
pub const THIRD_PHARMACY: &str = "1341234587";
pub const AMLODIPINE: &str = "612170710,ノルバスク錠５ｍｇ";
pub const ROSUVASTATIN: &str = "620002477,クレストール錠２．５ｍｇ";

/// What a test drives.
pub struct World {
    pub exchange: Exchange,
    pub clock: Clock,
    pub database: Database,
}

/// A prescription to be signed.
#[derive(Clone, Debug)]
pub struct Rx {
    pub clinic: &'static str,
    pub patient: u32,
    pub drug: &'static str,
    pub days: u16,
    pub refill: Option<u8>,
    /// 分割: which part of three, each of fourteen days.
    pub part: Option<u8>,
    pub issued_on: NaiveDate,
    /// 使用期限, where it is not the ordinary four days.
    pub usable_until: Option<NaiveDate>,
    /// 患者コード: makes two documents of the same contents different.
    pub chart: u32,
}

impl World {
    pub async fn new() -> Self {
        Self::made("http://127.0.0.1", Policy::default()).await
    }

    /// A world with another policy of the checker.
    pub async fn with(check: Policy) -> Self {
        Self::made("http://127.0.0.1", check).await
    }

    /// A world whose exchange is reached at `base_url`.
    pub async fn at(base_url: &str) -> Self {
        Self::made(base_url, Policy::default()).await
    }

    async fn made(base_url: &str, check: Policy) -> Self {
        let database = Database::migrated().await;
        let store = database.open().await;
        let clock = Clock::system();
        populate(&store).await;
        let trust = TrustStore::load(&PKI.trust_directory(), TrustPolicy::default()).unwrap();
        let limit = AttemptLimit { failures: 5, window: Duration::from_mins(10) };
        let settings = Settings {
            lease: TimeDelta::days(7),
            access_token: TimeDelta::minutes(15),
            identity_token: TimeDelta::minutes(30),
            break_glass: TimeDelta::minutes(15),
            identity_attempts: limit,
            number_attempts: limit,
            check,
            slip_fonts: Fonts::find(&Config::default().slip_fonts).0,
            history: HistoryTerm { days: 100, most_days: 1826 },
            audiences: vec![base_url.to_owned(), format!("{base_url}/oauth2/token")],
        };
        let exchange = Exchange::new(
            store,
            trust,
            Editions::always(Formulary::fixture().unwrap()),
            clock.clone(),
            settings,
        );
        Self { exchange, clock, database }
    }

    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// Four weeks of amlodipine for a patient, issued today by the clinic.
    pub fn rx(&self, patient: u32) -> Rx {
        Rx {
            clinic: CLINIC,
            patient,
            drug: AMLODIPINE,
            days: 28,
            refill: None,
            part: None,
            issued_on: japanese_date(self.now()),
            usable_until: None,
            chart: 1,
        }
    }

    pub fn sign(&self, rx: &Rx) -> Bytes {
        let person = &PKI.people[0];
        prescription_sign(rx.sj1().as_bytes(), &signatory(person, self.now())).unwrap().into()
    }

    pub async fn register(&self, rx: &Rx) -> Result<Answered<TaskOutcome>, ExchangeError> {
        self.register_as(rx, self.sign(rx), &request()).await
    }

    pub async fn register_as(
        &self,
        rx: &Rx,
        document: Bytes,
        request: &Request,
    ) -> Result<Answered<TaskOutcome>, ExchangeError> {
        let sent = Sent { kind: Kind::Electronic, form: DocumentForm::EpsXml, original: document };
        self.exchange.register(&caller(rx.clinic), &sent, request).await
    }

    pub async fn patient(&self, patient: u32) -> PatientId {
        let found = self
            .exchange
            .store()
            .identity_find(&insurance(patient), born(), japanese_date(self.now()))
            .await
            .unwrap();
        found.unwrap().patient.id
    }

    /// The patient, logged in.
    pub async fn patient_caller(&self, patient: u32) -> Caller {
        let id = *self.patient(patient).await.as_uuid();
        let actor = Actor::Patient { id, name: name(patient) };
        Caller::of(actor)
    }

    /// What was recorded of a patient, the oldest first, but for the identity checks of [`World::identified`].
    pub async fn recorded(&self, patient: u32) -> Vec<AccessRow> {
        let content = TraceContent::of_operator(None);
        let (patient, trace) = (self.patient(patient).await, Trace { request: request().id, content });
        let store = self.exchange.store();
        let mut rows = store
            .access_record_list(patient, &Written::default(), None, 1000, self.now(), &trace)
            .await
            .unwrap();
        rows.reverse();
        rows.retain(|row| row.id.as_u128() >> 100 != IDENTIFYING >> 100);
        rows
    }

    /// What a facility is told of a prescription that has come to a version. Followers are told once every transaction
    /// before is over, those of other tests on the same server too.
    pub async fn followed(&self, code: &str, last: &Registered) -> Vec<Registered> {
        loop {
            let changes =
                self.exchange.task_changes(&caller(code), Place::default(), 1000, &request()).await.unwrap();
            let told = changes.into_iter().map(|change| change.task).filter(|told| told.id == last.id);
            let told: Vec<Registered> = told.collect();
            if told.last().is_some_and(|told| told.version >= last.version) {
                return told;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A request with the identity token of this pharmacy for the patient, by insurance data.
    pub async fn identified(&self, pharmacy: &str, patient: u32, request: Request) -> Request {
        let evidence = Evidence::Insurance(Some(insurance(patient)), born());
        let check = self::request();
        let check = Request { id: Uuid::from_u128(check.id.as_u128() | IDENTIFYING), ..check };
        let verified = self.exchange.identity_verify(&caller(pharmacy), evidence, &check).await;
        let token = verified.unwrap().token.encode().to_string();
        Request { identity: Some(IdentityHeader(token)), ..request }
    }

    pub async fn accept(
        &self,
        pharmacy: &str,
        patient: u32,
        task: &Registered,
    ) -> Result<Answered<Accepted>, ExchangeError> {
        self.accept_number(pharmacy, patient, task.exchange_number.as_ref().unwrap()).await
    }

    pub async fn accept_number(
        &self,
        pharmacy: &str,
        patient: u32,
        number: &ExchangeNumber,
    ) -> Result<Answered<Accepted>, ExchangeError> {
        let wanted = Wanted::Number(number.clone());
        let request = self.identified(pharmacy, patient, request()).await;
        self.exchange.accept(&caller(pharmacy), &wanted, &request).await
    }

    /// Signs a dispensing result over what was delivered, as prescribed.
    pub fn dispensing(&self, pharmacy: &str, rx: &Rx, accepted: &Accepted) -> Bytes {
        let cj1 = rx.cj1(pharmacy, accepted.task.task.id, japanese_date(self.now()));
        let delivered = EpsPrescription::read(&accepted.delivered).unwrap();
        dispensing_signed(&delivered, &cj1, self.now())
    }

    pub async fn dispense(
        &self,
        pharmacy: &str,
        accepted: &Accepted,
        document: Bytes,
    ) -> Result<Answered<TaskOutcome>, ExchangeError> {
        let id = PrescriptionId::from_uuid(accepted.task.task.id);
        let sent = SentResult {
            purpose: Purpose::Dispense { complete: true },
            important: false,
            form: DocumentForm::EpsXml,
            original: document,
        };
        self.exchange.dispense(&caller(pharmacy), id, &sent, &request()).await
    }
}

impl Rx {
    pub fn sj1(&self) -> String {
        let Self { clinic, drug, days, .. } = self;
        let (fee, institution, prefecture) = (&clinic[2..3], &clinic[3..], &clinic[..2]);
        let refill = self.refill.map(|uses| format!("64,{uses}\n")).unwrap_or_default();
        let split = self.part.map(|part| format!("63,3,{part}\n81,1,3,分割日数１４日、分割回数３回\n"));
        let split = split.unwrap_or_default();
        let share = self.part.map(|_| "102,1,14,42\n").unwrap_or_default();
        let until = self.usable_until.map(|day| format!("52,{}\n", day.format("%Y%m%d"))).unwrap_or_default();
        format!(
            "SJ1\n1,{fee},{institution},{prefecture},見本クリニック\n5,,,見本　一郎\n11,{},{},\n12,2\n13,{}\n\
             22,06138762\n23,１２３,{},1,00\n51,{}\n{until}{split}{refill}101,1,1,,{days}\n{share}\
             111,1,3,1011000400000000,１日１回朝食後　服用,1\n201,1,1,1,2,{drug},1,1,錠",
            self.chart,
            name(self.patient),
            born().format("%Y%m%d"),
            number(self.patient),
            self.issued_on.format("%Y%m%d"),
        )
    }

    pub fn cj1(&self, pharmacy: &str, id: Uuid, on: NaiveDate) -> String {
        let (code, drug_name) = self.drug.split_once(',').unwrap();
        format!(
            "CJ1,\n1,{},2,{},,,,,,,\n5,{},\n6,1,06138762,１２３,{},00\n7,{id},\n\
             11,見本薬局,{},{},{},,,,\n15,見本　薬子,,\n201,1,{drug_name},1,錠,2,{code},\n\
             301,1,１日１回朝食後　服用,{},日分,1,3,1011000400000000,",
            name(self.patient),
            born().format("%Y%m%d"),
            on.format("%Y%m%d"),
            number(self.patient),
            &pharmacy[..2],
            &pharmacy[2..3],
            &pharmacy[3..],
            self.days,
        )
    }
}

/// Signed by the pharmacist.
pub fn dispensing_signed(delivered: &EpsPrescription<'_>, cj1: &str, at: DateTime<Utc>) -> Bytes {
    dispensing_sign(delivered, cj1.as_bytes(), &signatory(&PKI.people[1], at)).unwrap().into()
}

/// Begins the ids of identity checks that tests only make to accept.
const IDENTIFYING: u128 = 3 << 100;

fn insurance(patient: u32) -> InsuredIdentity {
    InsuredIdentity::parse("06138762", "１２３", &number(patient), "00").unwrap()
}

pub fn request() -> Request {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    Request {
        id: Uuid::from_u128(u128::from(NEXT.fetch_add(1, Ordering::Relaxed)) + (1 << 100)),
        idempotency: None,
        if_match: None,
        identity: None,
    }
}

pub fn request_with_key(key: &str, body: u8) -> Request {
    Request { idempotency: Some((key.to_owned(), [body; 32])), ..request() }
}

pub fn caller(code: &str) -> Caller {
    let kind = match &code[2..3] {
        "4" => FacilityKind::Pharmacy,
        _ => FacilityKind::Clinic,
    };
    Caller::of(Actor::Facility(facility(code, kind)))
}

fn facility(code: &str, kind: FacilityKind) -> Facility {
    Facility { code: code.parse().unwrap(), kind, name: format!("施設{code}"), active: true }
}

pub fn signatory(person: &Credential, time: DateTime<Utc>) -> Signatory<'_> {
    static RANDOM: LazyLock<SystemRandom> = LazyLock::new(SystemRandom::new);
    Signatory { certificate: &person.certificate, key: &person.key, time, random: &*RANDOM }
}

pub fn name(patient: u32) -> String {
    format!("世界　患者{patient}")
}

pub fn number(patient: u32) -> String {
    format!("77{patient:05}")
}

pub fn born() -> NaiveDate {
    NaiveDate::from_ymd_opt(1956, 4, 12).unwrap()
}

/// Five facilities and twenty patients: 1 and 2 with a card, 1 with a revoked and an expired one too, 19 dead.
pub async fn populate(store: &Store) {
    for (code, kind) in [
        (CLINIC, FacilityKind::Clinic),
        (OTHER_CLINIC, FacilityKind::Hospital),
        (PHARMACY, FacilityKind::Pharmacy),
        (OTHER_PHARMACY, FacilityKind::Pharmacy),
        (THIRD_PHARMACY, FacilityKind::Pharmacy),
    ] {
        store.facility_add(&facility(code, kind)).await.unwrap();
    }
    let mut file = String::from(
        "person,name,kana,birth_date,sex,insurer_number,symbol,number,branch_number,valid_from,valid_until,\
         card_sha256,deceased_on\n",
    );
    for patient in 0..20 {
        let (name, born, number) = (name(patient), born(), number(patient));
        let mut died = "";
        let mut cards = vec![String::new()];
        match patient {
            1 => {
                cards
                    .extend([&PKI.patients[1], &PKI.faulty.card_revoked, &PKI.faulty.card_expired].map(link));
            }
            2 => cards.push(link(&PKI.patients[2])),
            // She died, and her card goes on.
            19 => (died, cards) = ("2024-01-01", vec![link(&PKI.patients[3])]),
            _ => {}
        }
        for card in cards {
            writeln!(
                file,
                "{patient},{name},セカイ カンジャ,{born},female,06138762,１２３,{number},00,2020-01-01,,{card},{died}"
            )
            .unwrap();
        }
    }
    let eligibility = Eligibility::parse(file.as_bytes()).unwrap();
    store.eligibility_import(&eligibility, &|_, _| {}).await.unwrap();
}

/// A card as the eligibility file links it.
fn link(card: &Credential) -> String {
    card.certificate.sha256().iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
