//! A PostgreSQL with `ssl = on`: spoken to inside TLS, its certificate and name verified, or not at all.

#![expect(clippy::unwrap_used, reason = "a server that cannot start fails its tests")]

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use hikikae::store::migration::MigrationError;
use hikikae::store::{Cluster, Durability, Keys, Store, StoreOptions};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use ring::rand::SystemRandom;

use crate::harness::{options, rng};

/// A PostgreSQL on a port of the loopback, with a certificate for `localhost`.
struct Server {
    child: Child,
    port: u16,
    directory: tempfile::TempDir,
}

impl Server {
    /// The data directory of a private cluster, run again with an address and with or without TLS.
    fn start(ssl: &str) -> Self {
        let directory = tempfile::Builder::new().prefix("hikikae-link-").tempdir().unwrap();
        fs::set_permissions(directory.path(), Permissions::from_mode(0o711)).unwrap();
        let cluster = Cluster::start(directory.path(), Durability::Volatile, &SystemRandom::new()).unwrap();
        let data = cluster.data().to_owned();
        let program = fs::read_link(format!("/proc/{}/exe", cluster.pid())).unwrap();
        cluster.stop().unwrap();

        let owner = fs::metadata(&data).unwrap();
        let write = |name: &str, text: &str| {
            let path = data.join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            chown(&path, Some(owner.uid()), Some(owner.gid())).unwrap();
        };
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        write("server.crt", &made.cert.pem());
        write("server.key", &made.signing_key.serialize_pem());
        write("pg_hba.conf", "host all all 127.0.0.1/32 trust\n");
        fs::write(directory.path().join("ca.pem"), made.cert.pem()).unwrap();

        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new(program);
        command.arg("-D").arg(&data).args(["-c", "listen_addresses=127.0.0.1", "-c"]);
        command.arg(format!("port={port}")).args(["-c", "unix_socket_directories=", "-c"]);
        command.arg(format!("ssl={ssl}")).current_dir("/").stdout(Stdio::null()).stderr(Stdio::null());
        if nix::unistd::geteuid().is_root() {
            command.uid(owner.uid()).gid(owner.gid());
        }
        Self { child: command.spawn().unwrap(), port, directory }
    }

    fn ca(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// Opens the database as the server does.
    async fn open(&self, host: &str, ca: Option<&Path>) -> Result<Store, MigrationError> {
        let url = format!("postgres://hikikae@{host}:{}/hikikae?sslmode=require", self.port);
        let options = StoreOptions { connections: 2, ca: ca.map(Path::to_owned), ..options() };
        let keys = Keys::load_or_create(&self.directory.path().join("keys.json"), &SystemRandom::new());
        for _ in 0..600 {
            match Store::open(url.parse().unwrap(), &options, keys.as_ref().unwrap(), rng()).await {
                // Not up yet.
                Err(MigrationError::Database(error)) if is_refused(&error) || error.code().is_some() => {}
                opened => return opened,
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("PostgreSQL does not come up");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        // PostgreSQL's fast shutdown; one that has ended by itself is no fault of the test.
        let _ = kill(pid, Signal::SIGINT);
        let _ = self.child.wait();
    }
}

/// Nobody listens there.
fn is_refused(error: &tokio_postgres::Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<std::io::Error>());
    source.is_some_and(|source| source.kind() == std::io::ErrorKind::ConnectionRefused)
}

#[tokio::test]
async fn a_database_with_tls_is_verified_by_authority_and_name() {
    let server = tokio::task::spawn_blocking(|| Server::start("on")).await.unwrap();
    let ca = server.ca();
    let store = server.open("localhost", Some(&ca)).await.unwrap();
    let sql =
        "-- link-test\nSELECT count(*), bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
               WHERE usename = 'hikikae' AND client_addr IS NOT NULL";
    let row = store.one_opt("link-test", sql, &[]).await.unwrap().unwrap();
    assert_eq!((row.get::<_, i64>(0) > 0, row.get::<_, Option<bool>>(1)), (true, Some(true)));

    // Another authority than the one named, none but those of the system, another name than the certificate's.
    let others = server.directory.path().join("others.pem");
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(&others, made.cert.pem()).unwrap();
    for (host, ca) in [("localhost", Some(&others)), ("localhost", None), ("127.0.0.1", Some(&ca))] {
        let refused = server.open(host, ca.map(PathBuf::as_path)).await.map(drop);
        let told = refused.unwrap_err();
        let of_tls = matches!(&told, MigrationError::Link(_))
            || std::error::Error::source(&told).is_some_and(|source| source.to_string().contains("TLS"));
        assert!(of_tls, "{host} {ca:?}: {told:?}");
    }
}

#[tokio::test]
async fn a_database_without_tls_is_not_spoken_to_where_tls_is_required() {
    let server = tokio::task::spawn_blocking(|| Server::start("off")).await.unwrap();
    let told = server.open("localhost", Some(&server.ca())).await.map(drop).unwrap_err();
    assert!(format!("{told:?}").contains("server does not support TLS"), "{told:?}");
}
