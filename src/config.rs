//! The server's configuration: one TOML file, every field with a default, nothing unknown accepted.
//!
//! Owns the file's form. Opens none of the files it names.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use const_oid::ObjectIdentifier;
use serde::{Deserialize, Deserializer};

use crate::check::Policy;
use crate::store::pool::connections_default;
use crate::store::retention::Terms;

/// Why a configuration cannot be used. Quotes nothing of the file, which may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's word.
        source: std::io::Error,
    },
    /// The file is not a configuration.
    #[error("line {line}: {fault}")]
    Malformed {
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        fault: String,
    },
    /// Fields that cannot be.
    #[error("{}", .0.join("; "))]
    Invalid(Vec<String>),
}

/// The configuration of a server.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Address and port to listen on. Default `127.0.0.1:8080`.
    pub listen: SocketAddr,
    /// The URL clients know the server by, without a slash at the end; assertions are addressed to it. Default
    /// `http://127.0.0.1:8080`.
    pub base_url: String,
    /// Directory of the key list and of the private PostgreSQL. Default `.hikikae/server`.
    pub state_dir: PathBuf,
    /// The PostgreSQL to use, `postgres://…`; on another machine with `sslmode=require`. Default none: a private one
    /// under `state_dir`.
    pub database_url: Option<DatabaseUrl>,
    /// Authorities of the certificate of a PostgreSQL on another machine, PEM. Default none: those of the system.
    pub database_ca: Option<PathBuf>,
    /// Connections to the database at most. Default six for each processor, 48 at most.
    pub database_connections: usize,
    /// Directory of trust anchors: `facility/`, `hpki/`, `jpki/`, `tsa/` (`*.pem`) and `crl/`. Default `trust`.
    pub trust_dir: PathBuf,
    /// Directory of formulary masters. Default none: those imported before.
    pub formulary_dir: Option<PathBuf>,
    /// Font files that slips (処方内容（控え）) are printed with, asked in this order; of a collection the first font is
    /// taken. Default IPAex Gothic, then Noto Sans CJK for rare characters, where Debian installs them.
    pub slip_fonts: Vec<PathBuf>,
    /// TLS of the listener. Default none: plain HTTP, for use behind a proxy or on one machine.
    pub tls: Option<Tls>,
    /// What a signing certificate must be.
    pub signature: Signature,
    /// 受付 as a lease: days until it ends by itself. Default 7.
    pub lease_days: u16,
    /// How long tokens last.
    pub token: Token,
    /// How often a facility may guess wrong.
    pub attempt: Attempt,
    /// Rules of the medication check.
    pub check: Policy,
    /// How far back the shared history goes.
    pub history: History,
    /// How long data are kept.
    pub retention: Retention,
    /// Bounds of a request.
    pub request: Request,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            base_url: "http://127.0.0.1:8080".to_owned(),
            state_dir: ".hikikae/server".into(),
            database_url: None,
            database_ca: None,
            database_connections: connections_default(),
            trust_dir: "trust".into(),
            formulary_dir: None,
            slip_fonts: [
                "/usr/share/fonts/opentype/ipaexfont-gothic/ipaexg.ttf",
                "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
            ]
            .map(PathBuf::from)
            .to_vec(),
            tls: None,
            signature: Signature::default(),
            lease_days: 7,
            token: Token::default(),
            attempt: Attempt::default(),
            check: Policy::default(),
            history: History::default(),
            retention: Retention::default(),
            request: Request::default(),
        }
    }
}

/// How far back the shared history goes, `[history]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct History {
    /// Days shown unless more are asked for. Default 100, as the national service shows.
    pub days: u16,
    /// Days shown at most. Default 1826, five years.
    pub most_days: u16,
}

impl Default for History {
    fn default() -> Self {
        Self { days: 100, most_days: 1826 }
    }
}

/// How long data are kept (保存期間), `[retention]`; `hikikae admin retention` deletes what is older.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// Prescriptions with documents, versions and findings, days from the last change. Default 1827, five years, as
    /// clinics keep records (医師法24条) and pharmacies are to keep dispensed prescriptions (薬剤師法27条, as amended).
    pub documents_days: u16,
    /// Medication periods, days from their last. Default 1827.
    pub history_days: u16,
    /// Findings, days from when they were shown. Default 1827.
    pub findings_days: u16,
    /// Claims (レセプト由来), days from the end of their month. Default 1096, the three years that are shown nationally.
    pub claims_days: u16,
    /// The access record, and consents, mandates, app grants and merges that ended. Default 1827, like the documents.
    pub access_days: u16,
    /// Persons who left or died, days from the last day of insurance or the death; and what they reported. Default
    /// 1827.
    pub persons_days: u16,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            documents_days: 1827,
            history_days: 1827,
            findings_days: 1827,
            claims_days: 1096,
            access_days: 1827,
            persons_days: 1827,
        }
    }
}

impl Retention {
    /// As the job takes them.
    pub fn terms(&self) -> Terms {
        Terms {
            documents: self.documents_days,
            history: self.history_days,
            findings: self.findings_days,
            claims: self.claims_days,
            access: self.access_days,
            persons: self.persons_days,
        }
    }

    /// Each field with its days.
    fn fields(&self) -> [(&'static str, u16); 6] {
        [
            ("retention.documents_days", self.documents_days),
            ("retention.history_days", self.history_days),
            ("retention.findings_days", self.findings_days),
            ("retention.claims_days", self.claims_days),
            ("retention.access_days", self.access_days),
            ("retention.persons_days", self.persons_days),
        ]
    }
}

/// TLS of the listener, `[tls]`. Files are PEM.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The server's certificate and its chain.
    pub cert: PathBuf,
    /// The server's private key.
    pub key: PathBuf,
    /// Anchors of client certificates; when set, a client certificate binds the tokens got with it.
    pub client_ca: Option<PathBuf>,
}

/// What a signing certificate must be, `[signature]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Signature {
    /// Accepted certificate policies of signers. Default the policy of HPKI signing certificates known to us; a
    /// production policy may have to be added.
    #[serde(deserialize_with = "oids")]
    pub policies: Vec<ObjectIdentifier>,
    /// How long past its next update a revocation list is still used, hours; after it signatures are refused.
    /// Default 24.
    pub crl_grace_hours: u16,
}

impl Default for Signature {
    fn default() -> Self {
        Self {
            policies: vec![ObjectIdentifier::new_unwrap("1.2.392.100495.1.5.1.1.0.1")],
            crl_grace_hours: 24,
        }
    }
}

impl Signature {
    /// [`Signature::crl_grace_hours`].
    pub fn crl_grace(&self) -> Duration {
        Duration::from_secs(3600 * u64::from(self.crl_grace_hours))
    }
}

/// How long tokens last, `[token]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Token {
    /// Access tokens, minutes. Default 15.
    pub access_minutes: u16,
    /// Identity tokens, minutes. Default 30.
    pub identity_minutes: u16,
    /// Identity tokens got in an emergency (`$break-glass`), minutes. Default 15.
    pub break_glass_minutes: u16,
}

impl Default for Token {
    fn default() -> Self {
        Self { access_minutes: 15, identity_minutes: 30, break_glass_minutes: 15 }
    }
}

/// How often a facility may guess wrong before it has to wait, `[attempt]`. Never affects another facility.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Attempt {
    /// Length of the window that failures are counted in, minutes. Default 10.
    pub window_minutes: u16,
    /// Failed identity checks in a window. Default 20.
    pub identity_failures: u32,
    /// Unknown exchange numbers in a window. Default 20.
    pub exchange_number_failures: u32,
}

impl Default for Attempt {
    fn default() -> Self {
        Self { window_minutes: 10, identity_failures: 20, exchange_number_failures: 20 }
    }
}

/// Bounds of a request, `[request]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Request {
    /// Body at most, KiB; a larger one is `too-large`. Default 1024.
    pub body_kib: u32,
    /// Requests in work at most; some sixteen a processor. Default 32.
    pub concurrent: usize,
    /// Requests that wait for their turn at most; one more is `overloaded`. Default 192.
    pub waiting: usize,
    /// Milliseconds that one waits for its turn at most while the server keeps up; then it is `overloaded`. Default 500.
    pub burst_ms: u16,
    /// The same while it is behind: from when requests had to wait all through a burst or found no place, until none had
    /// to. Default 20.
    pub waiting_ms: u16,
    /// All bodies together at most, MiB; one more is `overloaded`. Default 64.
    pub memory_mib: u16,
    /// Connections at most. Default 4096.
    pub connections: usize,
    /// Seconds for a TLS handshake, for the head of the next request, for its body, and for the client to take some of
    /// the answer, each. Default 10.
    pub head_seconds: u16,
    /// Seconds that requests in work have when the server is told to stop. Default 30.
    pub drain_seconds: u16,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            body_kib: 1024,
            concurrent: 32,
            waiting: 192,
            burst_ms: 500,
            waiting_ms: 20,
            memory_mib: 64,
            connections: 4096,
            head_seconds: 10,
            drain_seconds: 30,
        }
    }
}

/// A `postgres://` URL. May hold a password; its `Debug` shows nothing.
#[derive(Clone)]
pub struct DatabaseUrl(tokio_postgres::Config);

impl DatabaseUrl {
    /// How to connect.
    pub fn config(&self) -> tokio_postgres::Config {
        self.0.clone()
    }
}

impl std::str::FromStr for DatabaseUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self).map_err(|_| "expected a URL postgres://…")
    }
}

impl<'de> Deserialize<'de> for DatabaseUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatabaseUrl(…)")
    }
}

fn oids<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<ObjectIdentifier>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let parse = |text: &String| ObjectIdentifier::new(text);
    texts.iter().map(parse).collect::<Result<_, _>>().map_err(|_| serde::de::Error::custom("expected OIDs"))
}

impl Config {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// [`ConfigError`]
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Io { path: path.to_owned(), source })?;
        Self::parse(&text)
    }

    /// Reads a configuration.
    ///
    /// # Errors
    /// [`ConfigError::Malformed`], [`ConfigError::Invalid`] with all fields that cannot be.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let fault = error.message().to_owned();
            ConfigError::Malformed { line: 1 + before.matches('\n').count(), fault }
        })?;
        config.validate()?;
        Ok(config)
    }

    /// Checks what the types cannot. To be repeated after values from the command line were put in.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`]
    pub fn validate(&self) -> Result<(), ConfigError> {
        let host = ["http://", "https://"].iter().find_map(|scheme| self.base_url.strip_prefix(scheme));
        let host_fits = host
            .is_some_and(|host| !host.is_empty() && !host.ends_with('/') && !host.contains(['?', '#', ' ']));
        let positive = [
            ("database_connections", self.database_connections > 0),
            ("lease_days", self.lease_days > 0),
            ("token.access_minutes", self.token.access_minutes > 0),
            ("token.identity_minutes", self.token.identity_minutes > 0),
            ("token.break_glass_minutes", self.token.break_glass_minutes > 0),
            ("attempt.window_minutes", self.attempt.window_minutes > 0),
            ("attempt.identity_failures", self.attempt.identity_failures > 0),
            ("attempt.exchange_number_failures", self.attempt.exchange_number_failures > 0),
            ("request.body_kib", self.request.body_kib > 0),
            ("request.concurrent", self.request.concurrent > 0),
            ("request.memory_mib", self.request.memory_mib > 0),
            ("request.connections", self.request.connections > 0),
            ("request.head_seconds", self.request.head_seconds > 0),
            ("request.drain_seconds", self.request.drain_seconds > 0),
        ];
        let mut faults: Vec<String> = positive
            .iter()
            .filter(|(_, fits)| !fits)
            .map(|(field, _)| format!("{field} must be greater than 0"))
            .collect();
        if !host_fits {
            faults.push("base_url must be http(s)://host without a slash at the end".to_owned());
        }
        if self.signature.policies.is_empty() {
            faults.push("signature.policies must name a policy".to_owned());
        }
        // What a check still reads must be there: anything shorter is a slip of the pen.
        let least = self.check.look_back_days.max(100);
        let short = self.retention.fields().into_iter().filter(|(_, days)| *days < least);
        faults.extend(short.map(|(field, _)| format!("{field} must be at least {least}")));
        if faults.is_empty() { Ok(()) } else { Err(ConfigError::Invalid(faults)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_the_default() {
        let config = Config::parse("").unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(config.token.identity_minutes, 30);
        assert!(config.database_url.is_none());
    }

    #[test]
    fn every_section_is_read() {
        let config = Config::parse(
            r#"
            listen = "[::]:8443"
            base_url = "https://exchange.example"
            state_dir = "/var/lib/exchange"
            database_url = "postgres://hikikae:secret@db.example/hikikae"
            lease_days = 3
            [tls]
            cert = "server.pem"
            key = "server.key"
            client_ca = "facility.pem"
            [signature]
            policies = ["1.2.3.4", "1.2.3.5"]
            crl_grace_hours = 2
            [attempt]
            identity_failures = 5
            "#,
        )
        .unwrap();
        assert_eq!(config.signature.policies.len(), 2);
        assert_eq!(config.signature.crl_grace(), Duration::from_hours(2));
        assert_eq!((config.attempt.identity_failures, config.attempt.window_minutes), (5, 10));
        assert!(!format!("{config:?}").contains("secret"));
    }

    #[test]
    fn faults_name_the_line_and_keep_the_password() {
        let text = "listen = \"127.0.0.1:1\"\ndatabase_url = \"postgres://u:secret@host:port/x\"\n";
        let error = Config::parse(text).unwrap_err();
        assert!(matches!(error, ConfigError::Malformed { line: 2, .. }), "{error}");
        assert!(!error.to_string().contains("secret"));
        for unknown in ["lisen = \"x\"", "[token]\nminutes = 1", "[tls]\ncert = \"a\""] {
            assert!(matches!(Config::parse(unknown), Err(ConfigError::Malformed { .. })), "{unknown}");
        }
    }

    #[test]
    fn impossible_values_are_told_together() {
        let text = "base_url = \"ftp://x\"\nlease_days = 0\n[signature]\npolicies = []\n";
        let Err(ConfigError::Invalid(faults)) = Config::parse(text) else { panic!("accepted") };
        assert_eq!(faults.len(), 3, "{faults:?}");
        assert!(Config::parse("base_url = \"https://x/\"").is_err());
    }
}
