//! A running server takes up an imported formulary, and keeps what it has when the import is bad.

use std::path::Path;
use std::time::Duration;

use hikikae::clock::{Clock, japanese_date};
use hikikae::config::Config;
use hikikae::formulary::shelf::edition_import;
use hikikae::serve::{Server, formulary_shelf};

use crate::harness::Database;
use crate::world::PKI;

#[tokio::test]
async fn a_running_server_takes_up_an_imported_formulary() {
    let directory = tempfile::tempdir().unwrap();
    let database = Database::empty().await;
    let config = Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        state_dir: directory.path().to_owned(),
        database_url: Some(database.url()),
        database_connections: 2,
        trust_dir: PKI.trust_directory(),
        ..Config::default()
    };
    let clock = Clock::system();
    let server = Server::start(&config, clock.clone()).await.unwrap();
    assert!(server.exchange().formulary().version().starts_with("fixture-"));

    let (shelf, today) = (formulary_shelf(&config), japanese_date(clock.now()));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/formulary");
    edition_import(&shelf, today, &source, &mut |_| ()).unwrap();
    let imported = today.to_string();
    for _ in 0..100 {
        if server.exchange().formulary().version().starts_with(&imported) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(server.exchange().formulary().version().starts_with(&imported));

    // An edition spoilt behind the importer's back.
    std::fs::write(shelf.join(&imported).join("products.csv"), "spoilt").unwrap();
    std::fs::File::open(shelf.join(&imported)).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(server.exchange().formulary().version().starts_with(&imported), "what is in force stays");
    server.stop().await.unwrap();
}
