//! One private PostgreSQL per run and one database per test, cloned from a template that is migrated once.
//!
//! The server and its directory go when this process goes, however it goes: a watchdog waits for the end of a
//! pipe that only this process holds open.

#![expect(clippy::unwrap_used, reason = "a harness that cannot start fails its tests")]

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use hikikae::store::link::Link;
use hikikae::store::seal::Rng;
use hikikae::store::{Cluster, Durability, Keys, Store, StoreOptions};
use ring::rand::SystemRandom;
use tokio_postgres::{Config, NoTls};

const TEMPLATE: &str = "template_hikikae";

struct Server {
    cluster: Cluster,
    keys: Arc<Keys>,
    /// Its standard input stays open as long as this process lives.
    _watchdog: Child,
}

/// A database of its own, with the keys it was written with.
pub struct Database {
    /// Its name within the run's server.
    pub name: String,
    /// How to connect.
    pub config: Config,
    /// The keys of the run.
    pub keys: Arc<Keys>,
}

impl Database {
    /// A new empty database, not migrated.
    pub async fn empty() -> Self {
        Self::create("template0").await
    }

    /// A new migrated database.
    pub async fn migrated() -> Self {
        static TEMPLATE_MADE: tokio::sync::OnceCell<()> = tokio::sync::OnceCell::const_new();
        TEMPLATE_MADE
            .get_or_init(|| async {
                execute(&format!("CREATE DATABASE {TEMPLATE} TEMPLATE template0")).await;
                hikikae::store::migration::migrate(&link(&config(TEMPLATE))).await.unwrap();
            })
            .await;
        Self::create(TEMPLATE).await
    }

    async fn create(template: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        execute(&format!("CREATE DATABASE {name} TEMPLATE {template}")).await;
        Self { config: config(&name), name, keys: Arc::clone(&server().keys) }
    }

    /// Opens it as the server does, migrating it when it is empty.
    pub async fn open(&self) -> Store {
        Store::open(self.config.clone(), &options(), &self.keys, rng()).await.unwrap()
    }

    /// How a configuration names it.
    pub fn url(&self) -> hikikae::config::DatabaseUrl {
        self.connection().parse().unwrap()
    }

    /// The same as text.
    pub fn connection(&self) -> String {
        let Some(tokio_postgres::config::Host::Unix(socket)) = self.config.get_hosts().first() else {
            panic!("the run's server listens on a socket");
        };
        let user = self.config.get_user().unwrap();
        format!("host={} user={user} dbname={}", socket.display(), self.name)
    }

    /// Where the files of its tables lie.
    pub async fn files(&self, client: &tokio_postgres::Client) -> PathBuf {
        let row = client
            .query_one("SELECT oid::text FROM pg_database WHERE datname = current_database()", &[])
            .await
            .unwrap();
        server().cluster.data().join("base").join(row.get::<_, String>(0))
    }

    /// The whole database as `pg_dump` writes it.
    pub fn dump(&self) -> String {
        server().cluster.dump(&self.name).unwrap()
    }
}

/// A store over a new migrated database.
pub async fn store() -> Store {
    Database::migrated().await.open().await
}

/// Few connections a test, for many tests share the server's 64.
pub fn options() -> StoreOptions {
    StoreOptions { connections: 8, ..StoreOptions::default() }
}

/// The way to a database of this run.
pub fn link(config: &Config) -> Link {
    Link::new(config.clone(), None).unwrap()
}

/// The system's random generator.
pub fn rng() -> Rng {
    Arc::new(SystemRandom::new())
}

/// A plain connection, to look behind the store's back.
pub async fn connect(config: &Config) -> tokio_postgres::Client {
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

fn config(database: &str) -> Config {
    let mut config = server().cluster.config();
    config.dbname(database);
    config
}

async fn execute(sql: &str) {
    connect(&server().cluster.config()).await.batch_execute(sql).await.unwrap();
}

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let state: PathBuf = tempfile::Builder::new().prefix("hikikae-it-").tempdir().unwrap().keep();
        set_permissions(&state, Permissions::from_mode(0o711)).unwrap();
        let cluster = Cluster::start(&state, Durability::Volatile, &SystemRandom::new()).unwrap();
        // SIGINT is PostgreSQL's fast shutdown. Killing this process closes the pipe too.
        let watch =
            r#"read -r _; kill -INT "$1"; while kill -0 "$1" 2>/dev/null; do sleep 0.05; done; rm -rf "$2""#;
        let watchdog = Command::new("sh")
            .args(["-c", watch, "watchdog", &cluster.pid().to_string()])
            .arg(&state)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let keys = Arc::new(Keys::generate(&SystemRandom::new()).unwrap());
        Server { cluster, keys, _watchdog: watchdog }
    })
}
