//! `hikikae serve`: the server until it is asked to stop.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use hikikae::clock::Clock;
use hikikae::config::Config;
use hikikae::serve::Server;

use super::signals::Signals;
use super::{Answer, log_to_stderr};

/// `hikikae serve`
#[derive(Args)]
pub struct Serve {
    /// The configuration file. Without it and without hikikae.toml every setting has its default.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Serve {
    /// Serves until SIGINT or SIGTERM, then lets requests in work finish and stops the private database.
    ///
    /// # Errors
    ///
    /// What keeps the server from starting, and what to do about it.
    pub async fn run(self) -> anyhow::Result<Answer> {
        log_to_stderr("info");
        let config = self.configuration()?;
        let mut signals = Signals::listen()?;
        let server = Server::start(&config, Clock::system()).await.context("the server cannot start")?;
        signals.asked_to_stop().await;
        tracing::info!("stopping: requests in work finish first");
        server.stop().await.context("the server did not stop as it should")?;
        Ok(Answer::Yes)
    }

    fn configuration(&self) -> anyhow::Result<Config> {
        let usual = PathBuf::from("hikikae.toml");
        match &self.config {
            Some(path) => Config::load(path)
                .context("the configuration cannot be used; correct it or name another with --config"),
            None if usual.exists() => Config::load(&usual)
                .context("hikikae.toml cannot be used; correct it or name another with --config"),
            None => Ok(Config::default()),
        }
    }
}
