//! `admin` on a private cluster of its own.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use hikikae::store::{Cluster, Durability};
use ring::rand::SystemRandom;

use crate::program::{Run, hikikae, words};

const ELIGIBILITY: &str = "\
person,name,kana,birth_date,sex,insurer_number,symbol,number,branch_number,valid_from,valid_until,card_sha256,deceased_on
1,試験　花子,ｼｹﾝ ﾊﾅｺ,1956-04-12,female,06138762,１２３,４５６７,00,2020-04-01,,,
1,試験　花子,ｼｹﾝ ﾊﾅｺ,1956-04-12,female,39131156,,00012345,,2031-04-12,,,
2,試験　太郎,,2001-02-03,male,06138762,１２３,４５６７,01,2020-04-01,,,
";

/// Runs an `admin` command by a configuration.
pub fn admin(config: &Path, line: &str) -> Run {
    let mut args = words("admin");
    args.extend(words(line));
    args.extend(["--config".to_owned(), config.display().to_string()]);
    hikikae(args)
}

#[test]
fn the_directory_is_filled_and_keys_are_rotated() {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o711)).unwrap();
    let config = directory.path().join("hikikae.toml");
    let state = directory.path().join("state");
    fs::write(&config, format!("state_dir = {:?}\n", state.display().to_string())).unwrap();
    let file = directory.path().join("eligibility.csv");

    let early = admin(&config, "rotate-keys");
    assert!(early.code == 2 && early.err.contains("keys.json"), "{early:?}");

    fs::write(&file, ELIGIBILITY.replace("1956-04-12", "1956-04-31")).unwrap();
    let import = format!("import-eligibility {}", file.display());
    let faulty = admin(&config, &import);
    assert!(faulty.code == 2 && faulty.err.contains("line 2, birth_date"), "{faulty:?}");
    assert!(faulty.err.contains("nothing was imported"), "{faulty:?}");

    fs::write(&file, ELIGIBILITY).unwrap();
    let first = admin(&config, &format!("{import} --json")).done().json();
    assert_eq!((&first["persons_added"], &first["insurances_written"]), (&2.into(), &3.into()));
    let again = admin(&config, &import).done();
    assert!(again.text().starts_with("imported 2 persons: 0 added, 0 changed"), "{again:?}");

    let add = admin(&config, "facility-add --code 1311234567 --kind clinic --name 引換診療所 --json").done();
    assert_eq!(add.json()["kind"], "clinic");
    let bad = admin(&config, "facility-add --code 13112 --kind shop --name x");
    assert!(bad.code == 2 && bad.err.contains("10 digits"), "{bad:?}");

    let rotated = admin(&config, "rotate-keys --json").done().json();
    assert_eq!(rotated["key"], 2);

    let figures = admin(&config, "check-report --json").done().json();
    assert_eq!(figures["rules"], serde_json::json!([]));
    assert!(admin(&config, "check-report").done().text().contains("pending  rule"));

    let whole = admin(&config, "audit-verify --json").done().json();
    assert_eq!((&whole["whole"], &whole["faults"]), (&true.into(), &serde_json::json!([])));
    let noted = format!("audit-verify --head 3:{}", "ab".repeat(32));
    let altered = admin(&config, &noted);
    assert!(altered.code == 1 && altered.text().contains("altered: the head that was noted"), "{altered:?}");
    assert_eq!(admin(&config, "audit-verify --head 3").code, 2);

    let running = Cluster::start(&state, Durability::Durable, &SystemRandom::new()).unwrap();
    let after = admin(&config, &import).done();
    assert!(after.text().contains("0 added, 0 changed"), "what the first key sealed still opens: {after:?}");
    let server = format!("/proc/{}", running.pid());
    assert!(Path::new(&server).exists(), "a cluster that another program uses stays up");
    running.stop().unwrap();
    assert!(!Path::new(&server).exists());
}

#[test]
fn a_formulary_is_imported_whole_or_not_at_all() {
    let fixture = crate::program::project("fixtures/formulary");
    let state = tempfile::tempdir().unwrap();
    let config = state.path().join("hikikae.toml");
    fs::write(&config, format!("state_dir = \"{}\"\n", state.path().join("state").display())).unwrap();
    let import = |directory: &Path, more: &[&str]| {
        let args = ["admin".as_ref(), "import-formulary".as_ref(), directory.as_os_str()];
        let config = ["--config".as_ref(), config.as_os_str()];
        hikikae(args.into_iter().chain(config).chain(more.iter().map(AsRef::as_ref)))
    };
    let json = import(&fixture, &["--json", "--from", "2026-04-01"]).done().json();
    assert!(json["report"]["products"].as_u64().unwrap() >= 150, "{json}");
    let edition = state.path().join("state/formulary/2026-04-01");
    assert!(edition.join("products.csv").is_file());
    let told = import(&fixture, &["--from", "2026-10-01"]).done();
    assert!(told.text().contains("in force from 2026-10-01"), "{told:?}");

    let directory = tempfile::tempdir().unwrap();
    let good = fs::read_to_string(fixture.join("products.csv")).unwrap();
    fs::write(directory.path().join("products.csv"), format!("{good}not,a,product\n")).unwrap();
    let faulty = import(directory.path(), &["--from", "2026-04-01"]);
    assert!(faulty.code == 2 && faulty.err.contains("products.csv"), "{faulty:?}");
    assert!(edition.join("usages.csv").is_file(), "what was there is still there");
    assert_eq!(import(Path::new("absent"), &[]).code, 2);
}
