//! `admin` on persons: whose data there are, two records of one person, representatives, the end of what is kept. What an
//! operator reads when it goes well and when it does not, and never anything of the person.

#![expect(clippy::unwrap_used, reason = "an office that cannot be opened fails its tests")]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use hikikae::store::{Cluster, Durability};
use ring::rand::SystemRandom;
use serde_json::Value;
use tempfile::TempDir;
use tokio_postgres::NoTls;

use crate::admin::admin;
use crate::program::Run;

const HEADER: &str = "person,name,kana,birth_date,sex,insurer_number,symbol,number,branch_number,valid_from,valid_until,\
                      card_sha256,deceased_on\n";
/// Two of one household, one who died, and one whose insurance ended long ago.
const PERSONS: &str = "\
1,試験　花子,ｼｹﾝ ﾊﾅｺ,1956-04-12,female,06138762,記号甲,45670011,00,2020-04-01,,,
2,試験　太郎,ｼｹﾝ ﾀﾛｳ,2001-02-03,male,06138762,記号甲,45670011,01,2020-04-01,,,
3,見本　次郎,ﾐﾎﾝ ｼﾞﾛｳ,1931-05-06,male,39131156,,45670033,,2020-04-01,,,2021-01-01
4,見本　秋子,ﾐﾎﾝ ｱｷｺ,1941-07-08,female,39131156,,45670044,,2005-04-01,2010-03-31,,
";
const HANAKO: &str =
    "--insurer-number 06138762 --symbol 記号甲 --number 45670011 --branch-number 00 --birth-date 1956-04-12";
const TARO: &str =
    "--insurer-number 06138762 --symbol 記号甲 --number 45670011 --branch-number 01 --birth-date 2001-02-03";
const JIRO: &str = "--insurer-number 39131156 --number 45670033 --birth-date 1931-05-06";
const AKIKO: &str = "--insurer-number 39131156 --number 45670044 --birth-date 1941-07-08 --on 2009-01-01";
/// What of them may stand in no answer.
const PERSONAL: [&str; 18] = [
    "試験",
    "花子",
    "太郎",
    "見本",
    "次郎",
    "秋子",
    "ｼｹﾝ",
    "ﾐﾎﾝ",
    "1956-04-12",
    "2001-02-03",
    "1931-05-06",
    "1941-07-08",
    "06138762",
    "39131156",
    "記号甲",
    "45670011",
    "45670033",
    "45670044",
];
const NOBODY: &str = "00000000-0000-4000-8000-000000000000";
const REASON: &str = "本人の照会による";

/// A configuration with a running private database and some persons in it.
struct Office {
    config: PathBuf,
    cluster: Cluster,
    _directory: TempDir,
}

impl Office {
    fn open() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), Permissions::from_mode(0o711)).unwrap();
        let (config, state) = (directory.path().join("hikikae.toml"), directory.path().join("state"));
        fs::write(&config, format!("state_dir = {:?}\n", state.display().to_string())).unwrap();
        let cluster = Cluster::start(&state, Durability::Volatile, &SystemRandom::new()).unwrap();
        let office = Self { config, cluster, _directory: directory };
        let file = office.config.with_file_name("eligibility.csv");
        fs::write(&file, format!("{HEADER}{PERSONS}")).unwrap();
        office.done(&format!("import-eligibility {}", file.display()));
        office
    }

    /// What a command says; nothing of it may be personal, however it ends.
    #[track_caller]
    fn run(&self, line: &str) -> Run {
        let run = admin(&self.config, line);
        for personal in PERSONAL.iter().chain([&REASON]) {
            let told = run.text().contains(personal) || run.err.contains(personal);
            assert!(!told, "{personal} is told by {line}: {run:?}");
        }
        run
    }

    #[track_caller]
    fn done(&self, line: &str) -> String {
        self.run(line).done().text().to_owned()
    }

    /// Ends with 2 and says why, and nothing on standard output.
    #[track_caller]
    fn refused(&self, line: &str, why: &str) {
        let run = self.run(line);
        assert!(run.code == 2 && run.err.contains(why) && run.out.is_empty(), "{line}: {run:?}");
    }

    #[track_caller]
    fn json(&self, line: &str) -> Value {
        self.run(&format!("{line} --json")).done().json()
    }

    /// The id of somebody by insurance data.
    #[track_caller]
    fn id(&self, who: &str) -> String {
        self.json(&format!("whose-data {who}"))["records"][0]["id"].as_str().unwrap().to_owned()
    }

    /// How many rows of a kind a record holds; asking leaves one more line in the access record.
    #[track_caller]
    fn holds(&self, id: &str, kind: &str) -> i64 {
        let records = &self.json(&format!("whose-data --patient {id}"))["records"];
        let record = records.as_array().unwrap().iter().find(|record| record["id"] == id).unwrap();
        let held = record["holds"].as_array().unwrap().iter().find(|held| held["kind"] == kind);
        held.map_or(0, |held| held["rows"].as_i64().unwrap())
    }

    /// Behind the program's back.
    fn execute(&self, sql: &str) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (client, connection) = self.cluster.config().connect(NoTls).await.unwrap();
            let connection = tokio::spawn(connection);
            client.batch_execute(sql).await.unwrap();
            drop(client);
            connection.await.unwrap().unwrap();
        });
    }

    fn close(self) {
        self.cluster.stop().unwrap();
    }
}

#[test]
fn whose_data_tells_ids_and_counts_and_that_it_was_asked() {
    let office = Office::open();
    let told = office.done(&format!("whose-data {HANAKO} --reason {REASON}"));
    let id = office.id(HANAKO);
    assert!(told.starts_with(&format!("person {id}\n")), "{told}");
    for kind in
        ["       1  coverage ", "       1  insured_identity ", "       1  patient ", "       2  person_name "]
    {
        assert!(told.contains(kind), "{kind} in {told}");
    }
    assert!(!told.contains("access_record"), "nobody had asked: {told}");
    let asked = office.holds(&id, "access_record");
    assert_eq!(office.holds(&id, "access_record"), asked + 1, "each asking is recorded");
    assert_ne!(office.id(TARO), id, "the branch number tells the two apart");
    assert_eq!(
        office.done(&format!("whose-data --patient {id}")).lines().next().unwrap(),
        format!("person {id}")
    );

    office
        .refused("whose-data", "name the person: --patient, or --insurer-number, --number and --birth-date");
    office.refused("whose-data --number 45670011 --birth-date 1956-04-12", "name the person");
    let born_later = HANAKO.replace("1956-04-12", "1956-04-13");
    office.refused(&format!("whose-data {born_later}"), "nobody here was insured so on");
    office
        .refused(&format!("whose-data {HANAKO} --on 2020-03-31"), "nobody here was insured so on 2020-03-31");
    office.refused(
        "whose-data --insurer-number x --number 1 --birth-date 1956-04-12",
        "no insurance card bears these data",
    );
    office.refused(&format!("whose-data --patient {NOBODY}"), "nobody here has this id");
    office.refused(&format!("whose-data --patient {NOBODY} --number 1"), "cannot be used with");
    office.refused("whose-data --patient 7", "invalid value '7' for '--patient <ID>'");
    office.close();
}

#[test]
fn two_records_are_merged_and_parted_again() {
    let office = Office::open();
    let (kept, merged, other) = (office.id(HANAKO), office.id(TARO), office.id(JIRO));
    let both = format!("{kept} {merged} --evidence {REASON}");
    let counted = office.done(&format!("merge-patients {both} --dry-run"));
    assert!(
        counted.starts_with(&format!("{kept} would stand for {merged}\nrecord that goes on:\n")),
        "{counted}"
    );
    assert!(
        counted.contains("\nrecord whose place it takes:\n") && counted.contains("       1  coverage "),
        "{counted}"
    );
    office.refused(&format!("unmerge-patients {both}"), &format!("{merged} is not merged into {kept}"));

    office.refused(&format!("merge-patients {kept} {kept} --evidence {REASON}"), "these are one record");
    let unknown = format!("no person has the id {NOBODY}");
    office.refused(&format!("merge-patients {kept} {NOBODY} --evidence {REASON}"), &unknown);
    office.refused(&format!("merge-patients {NOBODY} {merged} --evidence {REASON} --dry-run"), &unknown);
    office.refused(
        &format!("merge-patients {kept} {merged} --evidence "),
        "the evidence is kept with the merge: say what it is",
    );
    office.refused(&format!("unmerge-patients {kept} {merged} --evidence "), "say what it is");
    office.refused(&format!("merge-patients {kept} {merged}"), "--evidence <EVIDENCE>");
    office.refused("merge-patients 1 2 --evidence x", "invalid value '1' for '<KEPT>'");

    assert_eq!(office.done(&format!("merge-patients {both}")), format!("{merged} is merged into {kept}\n"));
    let told = office.done(&format!("whose-data {TARO}"));
    assert!(
        told.starts_with(&format!("person {kept}\n"))
            && told.contains(&format!("\nmerged record {merged}\n")),
        "{told}"
    );
    let part =
        format!("{merged} is part of another merge; undo that first, or merge into the record that goes on");
    office.refused(&format!("merge-patients {both}"), &part);
    office.refused(&format!("merge-patients {other} {merged} --evidence {REASON}"), &part);
    office.refused(&format!("merge-patients {merged} {other} --evidence {REASON}"), &part);

    let open = "0 prescriptions registered since the merge have not ended\n";
    let would = format!("{merged} would no longer be merged into {kept}\n{open}");
    assert_eq!(office.done(&format!("unmerge-patients {both} --dry-run")), would);
    let undone = office.json(&format!("unmerge-patients {both}"));
    let facts = (&undone["kept"], &undone["merged"], &undone["dry_run"], &undone["open_prescriptions_since"]);
    assert_eq!(facts, (&kept.as_str().into(), &merged.as_str().into(), &false.into(), &0.into()));
    office.refused(&format!("unmerge-patients {both}"), &format!("{merged} is not merged into {kept}"));
    assert_eq!(office.id(TARO), merged, "each is found again by the own insurance");
    office.close();
}

#[test]
fn a_mandate_is_entered_and_ended_on_evidence() {
    let office = Office::open();
    let (patient, carer, dead) = (office.id(HANAKO), office.id(TARO), office.id(JIRO));
    let add = |patient: &str, representative: &str, until: &str| {
        format!(
            "mandate-add --patient {patient} --representative {representative} --relationship carer --scope read \
             --until {until} --evidence {REASON}"
        )
    };
    let told = office.done(&add(&patient, &carer, "2090-03-31"));
    let end = format!(": {carer} may act for {patient} until the end of 2090-03-31\n");
    assert!(told.starts_with("mandate ") && told.ends_with(&end), "{told}");
    let added = office.json(&add(&patient, &carer, "2091-03-31"));
    assert_eq!(
        (&added["patient"], &added["representative"]),
        (&patient.as_str().into(), &carer.as_str().into())
    );
    assert_eq!((office.holds(&patient, "mandate"), office.holds(&carer, "mandate")), (2, 2));

    office.refused(&add(&patient, &carer, "2020-03-31"), "--until has passed");
    office.refused(&add(&patient, &carer, "2090-02-30"), "invalid value '2090-02-30' for '--until <DATE>'");
    office.refused(&add(&patient, &patient, "2090-03-31"), "nobody represents themselves");
    office.refused(&add(&patient, NOBODY, "2090-03-31"), &format!("nobody living here has the id {NOBODY}"));
    office.refused(&add(NOBODY, &carer, "2090-03-31"), &format!("nobody living here has the id {NOBODY}"));
    office.refused(&add(&patient, &dead, "2090-03-31"), &format!("nobody living here has the id {dead}"));
    let line = add(&patient, &carer, "2090-03-31");
    office.refused(&line.replace("carer", "friend"), "expected parent, guardian, family or carer");
    office.refused(&line.replace("scope read", "scope all"), "expected read or manage");
    office.refused(line.split(" --evidence").next().unwrap(), "--evidence <EVIDENCE>");

    office.refused(&line.replace(REASON, ""), "the evidence is kept with the mandate: say what it is");

    let id = added["id"].as_str().unwrap();
    let end = |id: &str, patient: &str| format!("mandate-end {id} --patient {patient} --evidence {REASON}");
    let none = "no such mandate of this patient is in force";
    office.refused(&end(id, &dead), none);
    office.refused(&end(NOBODY, &patient), none);
    office.refused(&end(id, &patient).replace(REASON, ""), "the patient reads why: say it");
    office.refused(&format!("mandate-end {id} --patient {patient}"), "--evidence <EVIDENCE>");
    assert_eq!(office.done(&end(id, &patient)), format!("mandate {id} is ended\n"));
    office.refused(&end(id, &patient), none);
    office.close();
}

#[test]
fn retention_counts_deletes_and_rewrites() {
    let office = Office::open();
    assert_eq!(office.done("retention --dry-run"), "nothing is older than its term\n");
    let gone = office.id(AKIKO);
    // Entered ten years ago, and asked about then.
    office.execute(
        "UPDATE patient SET created_at = created_at - interval '10 years';
         UPDATE access_record SET at = at - interval '10 years'",
    );
    let counted = office.done("retention --dry-run");
    assert!(counted.starts_with("would be deleted:\n"), "{counted}");
    for line in [
        "        1  access_record\n",
        "        2  coverage\n",
        "        2  insured_identity\n",
        "        2  patient\n",
    ] {
        assert!(counted.contains(line), "{line} in {counted}");
    }
    let asked = office.json("retention --dry-run");
    assert_eq!(
        (&asked["dry_run"], &asked["scrubbed"], &asked["removed"]["patient"]),
        (&true.into(), &false.into(), &2.into())
    );
    office.refused("retention --dry-run --scrub", "cannot be used with");

    assert_eq!(office.done("retention"), counted.replace("would be deleted", "deleted"), "as it was counted");
    office.refused(&format!("whose-data --patient {gone}"), "nobody here has this id");
    office.refused(&format!("whose-data {AKIKO}"), "nobody here was insured so on 2009-01-01");
    assert_eq!(office.done("retention"), "nothing is older than its term\n");
    office.id(HANAKO);

    let scrubbed = office.json("retention --scrub");
    assert_eq!((&scrubbed["scrubbed"], &scrubbed["removed"]), (&true.into(), &serde_json::json!({})));
    fs::write(
        &office.config,
        fs::read_to_string(&office.config).unwrap() + "[retention]\npersons_days = 1\n",
    )
    .unwrap();
    office.refused("retention", "retention.persons_days");
    office.close();
}
