//! The way to the database: on this machine as it is, to another one only inside TLS with its certificate verified.
//! Knows no statement.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

/// Why a database is not spoken to. Its text is for the operator and tells what to do.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// What is said could be read and changed on the way.
    #[error(
        "database_url names another machine without TLS: add sslmode=require to it, and name the authority of the \
         database's certificate by database_ca when this system does not know it"
    )]
    Open,
    /// The authorities cannot be read.
    #[error("database_ca: {}: {fault}", path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: String,
    },
    /// There is nothing to verify a certificate by.
    #[error("this system knows no certificate authorities: name that of the database by database_ca")]
    NoAuthority,
    /// TLS cannot be used.
    #[error("TLS to the database: {0}")]
    Tls(#[from] rustls::Error),
}

/// Where a database is and how it is spoken to.
#[derive(Clone)]
pub struct Link {
    config: Config,
    tls: MakeRustlsConnect,
}

impl Link {
    /// The way to the database of `config`. `sslmode=require` verifies its certificate and name, by the authorities in
    /// the file `ca` or by those of the system; anything less is for this machine alone, and there without TLS.
    ///
    /// # Errors
    /// [`LinkError`]
    pub fn new(mut config: Config, ca: Option<&Path>) -> Result<Self, LinkError> {
        let roots = if config.get_ssl_mode() == SslMode::Require {
            authorities(ca)?
        } else if is_here(&config) {
            config.ssl_mode(SslMode::Disable);
            RootCertStore::empty()
        } else {
            return Err(LinkError::Open);
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { config, tls: MakeRustlsConnect::new(tls) })
    }

    /// How to connect, and by what TLS.
    pub(super) fn parts(self) -> (Config, MakeRustlsConnect) {
        (self.config, self.tls)
    }
}

/// Whether every server the configuration may lead to is on this machine.
fn is_here(config: &Config) -> bool {
    let named = config.get_hosts().iter().all(|host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost" || name.parse().is_ok_and(|address: IpAddr| address.is_loopback())
        }
    });
    named && config.get_hostaddrs().iter().all(IpAddr::is_loopback)
}

fn authorities(ca: Option<&Path>) -> Result<RootCertStore, LinkError> {
    let mut roots = RootCertStore::empty();
    let Some(path) = ca else {
        let (known, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return if known > 0 { Ok(roots) } else { Err(LinkError::NoAuthority) };
    };
    let fault = |fault: String| LinkError::Authority { path: path.to_owned(), fault };
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| fault(error.to_string()))? {
        let certificate = certificate.map_err(|error| fault(error.to_string()))?;
        roots.add(certificate).map_err(|error| fault(error.to_string()))?;
    }
    if roots.is_empty() { Err(fault("holds no certificate".to_owned())) } else { Ok(roots) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(url: &str) -> Result<SslMode, LinkError> {
        Link::new(url.parse().unwrap(), None).map(|link| link.config.get_ssl_mode())
    }

    #[test]
    fn another_machine_is_spoken_to_inside_tls_or_not_at_all() {
        for url in [
            "postgres://hikikae@db.example/hikikae",
            "postgres://hikikae@db.example/hikikae?sslmode=prefer",
            "postgres://hikikae@192.0.2.1/hikikae?sslmode=disable",
            "postgres://hikikae@[2001:db8::1]/hikikae",
            "host=localhost,db.example user=hikikae",
            "host=localhost hostaddr=192.0.2.1 user=hikikae",
            "host=db.example hostaddr=127.0.0.1 user=hikikae",
        ] {
            assert!(matches!(link(url), Err(LinkError::Open)), "{url}");
        }
        let here = ["host=/run/postgresql user=hikikae", "postgres://hikikae@localhost/hikikae"];
        for url in here.into_iter().chain(["postgres://hikikae@127.0.0.1/h", "postgres://hikikae@[::1]/h"]) {
            assert_eq!(link(url).unwrap(), SslMode::Disable, "{url}");
        }
        for url in ["postgres://hikikae@db.example/h?sslmode=require", "postgres://h@[::1]/h?sslmode=require"]
        {
            // On a system without authorities there is none to verify by.
            assert!(matches!(link(url), Ok(SslMode::Require) | Err(LinkError::NoAuthority)), "{url}");
        }
    }

    #[test]
    fn a_file_without_authorities_is_told() {
        for path in ["absent.pem", "Cargo.toml"] {
            let config = "postgres://hikikae@db.example/h?sslmode=require".parse().unwrap();
            let told = Link::new(config, Some(Path::new(path))).map(drop);
            assert!(matches!(told, Err(LinkError::Authority { .. })), "{path}: {told:?}");
        }
    }
}
