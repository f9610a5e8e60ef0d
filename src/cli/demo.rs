//! `hikikae demo`: the sandbox, its story, and staying up.

use std::io::{IsTerminal as _, stdout};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use hikikae::clock::Clock;
use hikikae::sandbox::story;
use hikikae::sandbox::telling::Teller;
use hikikae::sandbox::world::{Options, Prepared, World};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ring::rand::SystemRandom;

use super::signals::Signals;
use super::{Answer, log_to_stderr};

/// Revocation lists are good for thirty days.
const REVOCATION_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// `hikikae demo`
#[derive(Args)]
pub struct Demo {
    /// The sandbox directory; a second start keeps its keys and data.
    #[arg(long, value_name = "DIR", default_value = ".hikikae/demo")]
    dir: PathBuf,
    /// Address and port to listen on; port 0 takes any free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Official master files to use instead of the fixture formulary.
    #[arg(long, value_name = "DIR")]
    formulary: Option<PathBuf>,
    /// Run the job once and end: 0 when it has succeeded, 1 when it has not.
    #[arg(long)]
    once: bool,
}

impl Demo {
    /// Brings the sandbox up, runs the story, and stays up unless told otherwise.
    ///
    /// # Errors
    ///
    /// What keeps the sandbox from coming up, and what to do about it.
    pub async fn run(self) -> anyhow::Result<Answer> {
        log_to_stderr("warn");
        let mut signals = Signals::listen()?;
        let mut teller = Teller::new(Box::new(stdout()), stdout().is_terminal());
        if !self.listen.ip().is_loopback() {
            teller.warning(
                "警告: 外から届くアドレスです。この砂場の鍵は試験用で、誰でも知り得ます。\n\
                 Warning: this address can be reached from elsewhere, and the sandbox's keys are public test keys.",
            )?;
        }
        let Some(prepared) = self.prepare(&mut signals).await? else { return Ok(Answer::No) };
        let starting = spinner("データベースとサーバーを起動しています / starting database and server");
        let started = prepared.start().await;
        starting.finish_and_clear();
        let mut world = started.context("the sandbox does not start")?;
        let answer = self.live(&mut world, &mut signals, &mut teller).await;
        world.stop().await.context("the sandbox did not stop as it should")?;
        answer
    }

    /// The keys; `None` when the program is asked to stop meanwhile.
    async fn prepare(&self, signals: &mut Signals) -> anyhow::Result<Option<Prepared>> {
        let options =
            Options { directory: self.dir.clone(), listen: self.listen, formulary: self.formulary.clone() };
        let making = tokio::task::spawn_blocking(move || {
            let bar = key_bar();
            let progress = |done: usize, all: usize| {
                bar.set_length(all as u64);
                bar.set_position(done as u64);
            };
            let prepared = Prepared::make(options, Clock::system(), Arc::new(SystemRandom::new()), &progress);
            bar.finish_and_clear();
            prepared
        });
        tokio::select! {
            prepared = making => Ok(Some(prepared?.context("the sandbox cannot be made")?)),
            () = signals.asked_to_stop() => Ok(None),
        }
    }

    async fn live(
        &self,
        world: &mut World,
        signals: &mut Signals,
        teller: &mut Teller,
    ) -> anyhow::Result<Answer> {
        let told = tokio::select! {
            told = story::tell(world, teller) => told,
            () = signals.asked_to_stop() => return Ok(Answer::No),
        };
        let answer = match told {
            Ok(()) => Answer::Yes,
            Err(error) => {
                teller.failure(&error.to_string())?;
                Answer::No
            }
        };
        if self.once || answer == Answer::No {
            return Ok(answer);
        }
        story::farewell(world, teller)?;
        let mut revocation_due = tokio::time::interval(REVOCATION_EVERY);
        loop {
            tokio::select! {
                () = signals.asked_to_stop() => return Ok(answer),
                _ = revocation_due.tick() => world.revocation_refresh()?,
            }
        }
    }
}

fn key_bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    let template = "鍵を作っています / making keys {bar:30} {pos}/{len}";
    // A template that cannot be read leaves the bar as it is.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

fn spinner(message: &'static str) -> ProgressBar {
    let spinner = ProgressBar::new_spinner().with_message(message);
    spinner.enable_steady_tick(Duration::from_millis(120));
    spinner
}
