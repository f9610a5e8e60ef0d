//! Making the sandbox and bringing it up: keys, directory, private PostgreSQL, server, `personas.json`. A second
//! start in the same directory finds keys and data again.

use std::fs;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ring::rand::SecureRandom;

use super::client::{CallError, Client};
use super::persona::{PersonaError, Personas};
use super::pki::{Pki, PkiError};
use crate::clock::Clock;
use crate::config::Config;
use crate::serve::{Server, StartError};
use crate::store::StoreError;
use crate::store::app::App;
use crate::store::directory::{Eligibility, ImportError};

/// Randomness that may be shared between threads.
pub type Random = Arc<dyn SecureRandom + Send + Sync>;

/// Where the sandbox is to be, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The sandbox directory.
    pub directory: PathBuf,
    /// Address to listen on; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Official masters to use instead of the fixture formulary.
    pub formulary: Option<PathBuf>,
}

/// Why there is no sandbox.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// A file or directory.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The personas.
    #[error(transparent)]
    Persona(#[from] PersonaError),
    /// The keys.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// The server.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The directory of facilities.
    #[error("the facilities cannot be entered: {0}")]
    Facility(#[from] StoreError),
    /// The eligibility file has faults, which the tests exclude.
    #[error("the eligibility file has {0} faults")]
    Eligibility(usize),
    /// The eligibility file cannot be imported.
    #[error("the eligibility file cannot be imported: {0}; was the directory made by another version?")]
    Import(#[from] ImportError),
    /// The client.
    #[error(transparent)]
    Client(#[from] CallError),
}

/// The sandbox with its keys, not yet running.
pub struct Prepared {
    options: Options,
    personas: Personas,
    pki: Pki,
    clock: Clock,
    random: Random,
}

/// The running sandbox.
pub struct World {
    /// Who is in it.
    pub personas: Personas,
    /// Their keys.
    pub pki: Pki,
    /// A client of it.
    pub client: Client,
    directory: PathBuf,
    server: Server,
}

impl Prepared {
    /// Makes the directory and whatever keys are missing. Takes a while the first time, and keeps a processor busy:
    /// work for a blocking thread. `progress` is told how many keys of how many are made.
    ///
    /// # Errors
    ///
    /// [`WorldError`]
    pub fn make(
        options: Options,
        clock: Clock,
        random: Random,
        progress: &(dyn Fn(usize, usize) + Sync),
    ) -> Result<Self, WorldError> {
        let personas = Personas::fixture()?;
        let directory = &options.directory;
        fs::create_dir_all(directory)
            .map_err(|source| WorldError::File { path: directory.clone(), source })?;
        let pki = Pki::open_or_create(
            directory,
            &personas.person_specs(),
            &personas.facility_specs(),
            &personas.patient_specs(),
            clock.now(),
            &*random,
            progress,
        )?;
        Ok(Self { options, personas, pki, clock, random })
    }

    /// Starts the server, enters facilities and patients, writes `personas.json`.
    ///
    /// # Errors
    ///
    /// [`WorldError`]; what was started is stopped again.
    pub async fn start(self) -> Result<World, WorldError> {
        let Self { options, personas, pki, clock, random } = self;
        let config = Config {
            listen: options.listen,
            base_url: format!("http://{}", options.listen),
            state_dir: options.directory.join("server"),
            trust_dir: pki.trust_directory(),
            formulary_dir: options.formulary,
            ..Config::default()
        };
        let server = Server::start(&config, clock.clone()).await?;
        // With port 0 the address is only known now.
        let base_url = format!("http://{}", server.address());
        let entered = enter(&server, &personas, &pki).await.and_then(|()| {
            let listing = personas.listing(&pki, &base_url);
            let text = serde_json::to_string_pretty(&listing).map_err(io::Error::from);
            let path = options.directory.join("personas.json");
            text.and_then(|text| file_write(&path, &text))
                .map_err(|source| WorldError::File { path, source })?;
            Ok(Client::new(&base_url, clock, random)?)
        });
        match entered {
            Ok(client) => Ok(World { personas, pki, client, directory: options.directory, server }),
            Err(error) => {
                // The first error is the one to tell.
                let _ = server.stop().await;
                Err(error)
            }
        }
    }
}

impl World {
    /// The sandbox directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Issues the revocation lists anew. They are good for thirty days, and a sandbox may stay up longer.
    ///
    /// # Errors
    ///
    /// [`WorldError::Pki`]
    pub fn revocation_refresh(&self) -> Result<(), WorldError> {
        Ok(self.pki.refresh_crls(self.client.clock().now(), self.client.random())?)
    }

    /// Lets requests in work finish, then stops server and database.
    ///
    /// # Errors
    ///
    /// [`WorldError::Start`], when the database does not stop.
    pub async fn stop(self) -> Result<(), WorldError> {
        Ok(self.server.stop().await?)
    }
}

/// The operator's work: facilities and apps one by one, patients by the insurers' file.
async fn enter(server: &Server, personas: &Personas, pki: &Pki) -> Result<(), WorldError> {
    let store = server.exchange().store();
    for facility in personas.directory() {
        store.facility_add(&facility).await?;
    }
    for app in &personas.apps {
        store
            .app_put(&App {
                client_id: app.client_id.clone(),
                name: app.name.clone(),
                redirect_uris: vec![app.redirect_uri.clone()],
                active: true,
            })
            .await?;
    }
    let file = Eligibility::parse(&personas.eligibility(pki)?)
        .map_err(|faults| WorldError::Eligibility(faults.len()))?;
    store.eligibility_import(&file, &|_, _| {}).await?;
    Ok(())
}

/// Writes a file whole, mode 0600: whoever reads sees the old one or the new one.
fn file_write(path: &Path, text: &str) -> io::Result<()> {
    let draft = path.with_extension("draft");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    writeln!(file, "{text}")?;
    fs::rename(&draft, path)
}
