//! The listener with TLS: tokens bound to the client's certificate (RFC 8705), and bounds on what a client sends.

#![expect(clippy::unwrap_used, reason = "a server that cannot start fails its tests")]

use std::sync::Arc;

use hikikae::clock::Clock;
use hikikae::config::{Config, Tls};
use hikikae::serve::Server;
use hikikae::store::directory::{Facility, FacilityKind};
use hikikae::trust::Assertion;
use ring::rand::SystemRandom;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::harness::Database;
use crate::world::{CLINIC, PKI};

struct Running {
    server: Server,
    root: CertificateDer<'static>,
    _directory: tempfile::TempDir,
}

impl Running {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let file = |name: &str, text: String| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let database = Database::empty().await;
        let config = Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            state_dir: directory.path().join("state"),
            database_url: Some(database.url()),
            database_connections: 4,
            trust_dir: PKI.trust_directory(),
            tls: Some(Tls {
                cert: file("server.pem", made.cert.pem()),
                key: file("server.key", made.signing_key.serialize_pem()),
                client_ca: Some(PKI.trust_directory().join("facility/root.pem")),
            }),
            ..Config::default()
        };
        let server = Server::start(&config, Clock::system()).await.unwrap();
        let facility = Facility {
            code: CLINIC.parse().unwrap(),
            kind: FacilityKind::Clinic,
            name: "見本クリニック".to_owned(),
            active: true,
        };
        server.exchange().store().facility_add(&facility).await.unwrap();
        Self { server, root: made.cert.der().clone(), _directory: directory }
    }

    async fn connect(&self, with_certificate: bool) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let clinic = &PKI.facilities[0];
        let config = if with_certificate {
            let chain = vec![CertificateDer::from(clinic.certificate.der().to_vec())];
            let key = clinic.key.to_pkcs8_pem();
            let key =
                <PrivateKeyDer<'_> as rustls::pki_types::pem::PemObject>::from_pem_slice(key.as_bytes());
            builder.with_client_auth_cert(chain, key.unwrap()).unwrap()
        } else {
            builder.with_no_client_auth()
        };
        let stream = TcpStream::connect(self.server.address()).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
    }

    async fn ask(&self, with_certificate: bool, request: &str) -> String {
        let mut stream = self.connect(with_certificate).await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    }
}

#[tokio::test]
async fn a_token_is_bound_to_the_certificate_it_was_got_with() {
    let running = Running::start().await;
    let clinic = &PKI.facilities[0];
    let audience = format!("http://{}", running.server.address());
    let assertion = Assertion {
        chain: std::slice::from_ref(&clinic.certificate),
        issuer: CLINIC,
        audience: &audience,
        jti: "one",
        issued_at: Clock::system().now(),
        claims: serde_json::Map::new(),
    };
    let jwt = assertion.sign(&clinic.key, &SystemRandom::new()).unwrap();
    let form = format!(
        "grant_type=client_credentials&client_assertion={jwt}&client_assertion_type=\
         urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer"
    );
    let login = format!(
        "POST /oauth2/token HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    );
    let answer = running.ask(true, &login).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let token = answer.split("\"access_token\":\"").nth(1).unwrap().split('"').next().unwrap();
    let search = format!(
        "GET /fhir/Task HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    let found = running.ask(true, &search).await;
    assert!(found.starts_with("HTTP/1.1 200"), "{found}");
    let stolen = running.ask(false, &search).await;
    assert!(stolen.starts_with("HTTP/1.1 401") && stolen.contains("token-invalid"), "{stolen}");
    let replayed = running.ask(true, &login).await;
    assert!(replayed.starts_with("HTTP/1.1 401") && replayed.contains("invalid_client"), "{replayed}");
    running.server.stop().await.unwrap();
}

#[tokio::test]
async fn a_body_too_long_is_told_so() {
    let running = Running::start().await;
    let length = 3 << 20;
    let mut stream = running.connect(false).await;
    let head =
        format!("POST /fhir/Task/$register HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b' '; length]).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("too-large"), "{answer}");
    running.server.stop().await.unwrap();
}
