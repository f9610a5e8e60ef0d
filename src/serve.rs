//! Wires the rooms into a running server: cluster, store, trust, formulary, exchange, listener.

use std::fs::File;
use std::io::BufReader;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chrono::TimeDelta;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use ring::rand::SystemRandom;
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::clock::Clock;
use crate::codec::slip::Fonts;
use crate::config::{Config, Tls};
use crate::exchange::{Exchange, HistoryTerm, Settings};
use crate::formulary::shelf::{Editions, ShelfError, Stamp};
use crate::formulary::{Formulary, LoadError};
use crate::http::admission::Capacity;
use crate::http::server::{Limits, serve};
use crate::http::{App, routes};
use crate::store::directory::AttemptLimit;
use crate::store::keys::KeyError;
use crate::store::migration::MigrationError;
use crate::store::{Cluster, ClusterError, Durability, Keys, Store, StoreOptions};
use crate::trust::{TrustPolicy, TrustStore, TrustStoreError};

/// How often anchors and revocation lists are read again.
const TRUST_EVERY: Duration = Duration::from_mins(5);
/// How often the shelf of imported formularies is looked at.
const SHELF_EVERY: Duration = Duration::from_secs(2);
/// How often waiting followers are looked after, all with one query.
const FEED_EVERY: Duration = Duration::from_millis(500);
/// How often what was written into the access record is closed into a block.
const CHAIN_EVERY: Duration = Duration::from_secs(1);
/// How often ended tokens and answers are removed.
const SWEEP_EVERY: Duration = Duration::from_mins(1);

/// Why a server does not start. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state directory.
    #[error("state directory {0}: {1}")]
    State(String, std::io::Error),
    /// The key list.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The private PostgreSQL.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The schema.
    #[error(transparent)]
    Migration(#[from] MigrationError),
    /// Anchors and revocation lists.
    #[error(transparent)]
    Trust(#[from] TrustStoreError),
    /// The formulary.
    #[error(transparent)]
    Formulary(#[from] LoadError),
    /// Imported editions of the formulary.
    #[error(transparent)]
    Shelf(#[from] ShelfError),
    /// TLS files.
    #[error("TLS: {0}")]
    Tls(String),
    /// The listener.
    #[error("cannot listen on {0}: {1}; choose another address with --listen")]
    Listen(SocketAddr, std::io::Error),
    /// A worker thread broke off.
    #[error("starting broke off")]
    Worker,
}

/// A running server.
pub struct Server {
    address: SocketAddr,
    exchange: Exchange,
    cluster: Option<Cluster>,
    stop: oneshot::Sender<()>,
    listening: JoinHandle<()>,
    upkeep: JoinHandle<()>,
    waking: JoinHandle<()>,
    chaining: JoinHandle<()>,
}

/// The database of a configuration: the one it names, or a private one that is started.
///
/// # Errors
///
/// [`StartError`].
pub async fn store_open(config: &Config) -> Result<(Store, Option<Cluster>), StartError> {
    let state = config.state_dir.clone();
    std::fs::create_dir_all(&state).map_err(|error| StartError::State(state.display().to_string(), error))?;
    let rng = Arc::new(SystemRandom::new());
    let keys = Keys::load_or_create(&state.join("keys.json"), &*rng)?;
    let (database, cluster) = if let Some(url) = &config.database_url {
        (url.config(), None)
    } else {
        let cluster = tokio::task::spawn_blocking(move || {
            Cluster::start(&state, Durability::Durable, &SystemRandom::new())
        })
        .await
        .map_err(|_| StartError::Worker)??;
        (cluster.config(), Some(cluster))
    };
    let (connections, ca) = (config.database_connections, config.database_ca.clone());
    let options = StoreOptions { connections, ca, ..StoreOptions::default() };
    Ok((Store::open(database, &options, &keys, rng).await?, cluster))
}

impl Server {
    /// Starts a server and returns once it answers.
    ///
    /// # Errors
    ///
    /// [`StartError`], naming what is missing.
    pub async fn start(config: &Config, clock: Clock) -> Result<Self, StartError> {
        let trust = TrustStore::load(&config.trust_dir, trust_policy(config))?;
        let (formulary, stamp) = formulary(config)?;
        let acceptor = config.tls.as_ref().map(acceptor).transpose()?;
        let listener = TcpListener::bind(config.listen)
            .await
            .map_err(|error| StartError::Listen(config.listen, error))?;
        let address = listener.local_addr().map_err(|error| StartError::Listen(config.listen, error))?;
        let (store, cluster) = store_open(config).await?;
        let base_url = if config.listen.port() == 0 {
            // Whoever asks for any free port learns it from the base URL.
            format!("http://{address}")
        } else {
            config.base_url.clone()
        };
        let exchange = Exchange::new(store, trust, formulary, clock, settings(config, &base_url));
        let app = App { exchange: exchange.clone(), base_url: base_url.into(), metrics: metrics() };
        let limits = Limits {
            connections: config.request.connections,
            capacity: Capacity {
                working: config.request.concurrent,
                waiting: config.request.waiting,
                burst: Duration::from_millis(config.request.burst_ms.into()),
                patience: Duration::from_millis(config.request.waiting_ms.into()),
                memory: 1024 * 1024 * usize::from(config.request.memory_mib),
            },
            body: 1024 * config.request.body_kib as usize,
            patience: Duration::from_secs(config.request.head_seconds.into()),
            drain: Duration::from_secs(config.request.drain_seconds.into()),
        };
        let (stop, stopped) = oneshot::channel();
        let listening = tokio::spawn(serve(listener, acceptor, routes(&app), limits, async {
            let _ = stopped.await;
        }));
        let upkeep = tokio::spawn(upkeep(exchange.clone(), config.clone(), stamp));
        let waking = tokio::spawn(waking(exchange.clone()));
        let chaining = tokio::spawn(chaining(exchange.clone()));
        tracing::info!(%address, formulary = exchange.formulary().version(), "serving");
        Ok(Self { address, exchange, cluster, stop, listening, upkeep, waking, chaining })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The exchange behind it.
    pub fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    /// Lets requests in work finish, then stops the private database.
    ///
    /// # Errors
    ///
    /// When the database does not stop.
    pub async fn stop(self) -> Result<(), StartError> {
        self.upkeep.abort();
        self.waking.abort();
        self.chaining.abort();
        self.exchange.feed_end_all();
        let _ = self.stop.send(());
        let _ = self.listening.await;
        drop(self.exchange);
        if let Some(cluster) = self.cluster {
            tokio::task::spawn_blocking(move || cluster.stop()).await.map_err(|_| StartError::Worker)??;
        }
        Ok(())
    }
}

/// Tells followers that something has changed.
async fn waking(exchange: Exchange) {
    let (mut due, mut seen) = (tokio::time::interval(FEED_EVERY), None);
    loop {
        due.tick().await;
        exchange.feed_wake(&mut seen).await;
    }
}

/// Closes the access record, block after block.
async fn chaining(exchange: Exchange) {
    let (mut due, mut told) = (tokio::time::interval(CHAIN_EVERY), None);
    loop {
        due.tick().await;
        exchange.access_record_close(&mut told).await;
    }
}

async fn upkeep(exchange: Exchange, config: Config, mut stamp: Stamp) {
    let mut shelf_due = tokio::time::interval(SHELF_EVERY);
    let mut trust_due = tokio::time::interval(TRUST_EVERY);
    let mut sweep_due = tokio::time::interval(SWEEP_EVERY);
    trust_due.tick().await;
    loop {
        tokio::select! {
            _ = trust_due.tick() => match TrustStore::load(&config.trust_dir, trust_policy(&config)) {
                Ok(trust) => exchange.trust_replace(trust),
                // The lists in force go on until their grace ends; then signatures are refused.
                Err(error) => tracing::error!(%error, "anchors and revocation lists could not be read again"),
            },
            _ = shelf_due.tick(), if config.formulary_dir.is_none() => {
                stamp = shelf_look(&exchange, formulary_shelf(&config), stamp).await;
            }
            _ = sweep_due.tick() => match exchange.store().session_sweep(exchange.clock().now()).await {
                Ok(removed) => tracing::debug!(removed, "removed ended tokens and kept answers"),
                Err(error) => tracing::warn!(%error, "ended tokens could not be removed"),
            },
        }
    }
}

/// What the configuration demands of signing certificates.
pub fn trust_policy(config: &Config) -> TrustPolicy {
    let mut policy = TrustPolicy::default();
    policy.hpki.accepted_policies.clone_from(&config.signature.policies);
    policy.crl_grace = TimeDelta::hours(config.signature.crl_grace_hours.into());
    policy
}

/// Where `admin import-formulary` puts editions.
pub fn formulary_shelf(config: &Config) -> PathBuf {
    config.state_dir.join("formulary")
}

/// The directory of the configuration, or what was imported, or the fixture inside the program.
///
/// # Errors
///
/// [`StartError`], when the files are no formulary.
pub fn formulary(config: &Config) -> Result<(Editions, Stamp), StartError> {
    if let Some(directory) = &config.formulary_dir {
        let formulary = Formulary::from_dir("configured", directory)?;
        return Ok((Editions::always(formulary), Stamp::default()));
    }
    let stamp = Stamp::of(&formulary_shelf(config))?;
    if let Some(editions) = stamp.load()? {
        return Ok((editions, stamp));
    }
    tracing::warn!("no formulary is imported: only the products of the fixture formulary are checked");
    Ok((Editions::always(Formulary::fixture()?), stamp))
}

/// Takes up editions imported since `known`. What cannot be loaded changes nothing.
async fn shelf_look(exchange: &Exchange, shelf: PathBuf, known: Stamp) -> Stamp {
    let before = known.clone();
    let look = tokio::task::spawn_blocking(move || {
        let stamp = Stamp::of(&shelf)?;
        let editions = if stamp == before { None } else { stamp.load()? };
        Ok::<_, ShelfError>((stamp, editions))
    });
    match look.await {
        Ok(Ok((stamp, editions))) => {
            if let Some(editions) = editions {
                exchange.formulary_replace(editions);
                tracing::info!(formulary = exchange.formulary().version(), "took up an imported formulary");
            }
            stamp
        }
        Ok(Err(error)) => {
            tracing::error!(%error, "an imported formulary could not be taken up");
            known
        }
        Err(_) => known,
    }
}

fn settings(config: &Config, base_url: &str) -> Settings {
    let window = Duration::from_secs(60 * u64::from(config.attempt.window_minutes));
    Settings {
        lease: TimeDelta::days(config.lease_days.into()),
        access_token: TimeDelta::minutes(config.token.access_minutes.into()),
        identity_token: TimeDelta::minutes(config.token.identity_minutes.into()),
        break_glass: TimeDelta::minutes(config.token.break_glass_minutes.into()),
        identity_attempts: AttemptLimit { failures: config.attempt.identity_failures, window },
        number_attempts: AttemptLimit { failures: config.attempt.exchange_number_failures, window },
        check: config.check.clone(),
        slip_fonts: slip_fonts(config),
        history: HistoryTerm { days: config.history.days, most_days: config.history.most_days },
        audiences: vec![base_url.to_owned(), format!("{base_url}/"), format!("{base_url}/oauth2/token")],
    }
}

/// The server does without fonts, and says so once.
fn slip_fonts(config: &Config) -> Option<Fonts> {
    let (fonts, errors) = Fonts::find(&config.slip_fonts);
    for error in errors {
        tracing::warn!(%error, "a font of slip_fonts cannot be used");
    }
    if fonts.is_none() {
        tracing::warn!(
            "no font to print slips with: install fonts-ipaexfont-gothic or name one in slip_fonts"
        );
    }
    fonts
}

fn acceptor(tls: &Tls) -> Result<TlsAcceptor, StartError> {
    let fault =
        |path: &Path, error: &dyn std::fmt::Display| StartError::Tls(format!("{}: {error}", path.display()));
    let certificates = |path: &Path| {
        let file = File::open(path).map_err(|error| fault(path, &error))?;
        CertificateDer::pem_reader_iter(BufReader::new(file))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| fault(path, &error))
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| StartError::Tls(error.to_string()))?;
    let builder = match &tls.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|error| fault(path, &error))?;
            }
            // A client without a certificate may come in; its tokens are then not bound.
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .allow_unauthenticated()
                .build()
                .map_err(|error| fault(path, &error))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let key = PrivateKeyDer::from_pem_file(&tls.key).map_err(|error| fault(&tls.key, &error))?;
    let mut server = builder
        .with_single_cert(certificates(&tls.cert)?, key)
        .map_err(|error| StartError::Tls(error.to_string()))?;
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(server)))
}

/// The metrics of this process. There is one recorder, however many servers run in it.
fn metrics() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE
        .get_or_init(|| {
            let recorder = PrometheusBuilder::new().build_recorder();
            let handle = recorder.handle();
            if metrics::set_global_recorder(recorder).is_err() {
                tracing::warn!("another metrics recorder is installed; /metrics stays empty");
            }
            handle
        })
        .clone()
}
