//! The commands of `hikikae`. Each file is one command; none does more than read its arguments, call the library
//! and report.
//!
//! Exit codes: 0 done, 1 the answer is no, 2 could not.

mod admin;
mod bench;
mod check;
mod convert;
mod demo;
mod document;
mod serve;
mod sign;
mod signals;
mod verify;

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

/// How long threads in work may hold up the end of the program.
const LAST_WORK: Duration = Duration::from_millis(500);

/// After how many turns of tasks a busy thread looks for what has come in. A turn may be a document's work, a tenth of a
/// millisecond; the database would wait for the next statement as long as tokio's 61 of them take.
const EVENTS: u32 = 2;

/// Hikikae (引換), an e-prescription exchange server.
#[derive(Parser)]
#[command(version, about, long_about = None, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server.
    Serve(serve::Serve),
    /// Make a sandbox, run the whole job in it once, and stay up.
    Demo(demo::Demo),
    Sign(sign::Sign),
    Verify(verify::Verify),
    Convert(convert::Convert),
    Check(check::Check),
    #[command(subcommand)]
    Admin(admin::Admin),
    #[command(subcommand)]
    Bench(bench::Bench),
}

/// What a command that came to its end found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Done, or yes.
    Yes,
    /// The answer is no.
    No,
}

impl Command {
    async fn run(self) -> anyhow::Result<Answer> {
        match self {
            Self::Serve(serve) => serve.run().await,
            Self::Demo(demo) => demo.run().await,
            Self::Sign(sign) => sign.run(),
            Self::Verify(verify) => verify.run(),
            Self::Convert(convert) => convert.run(),
            Self::Check(check) => check.run(),
            Self::Admin(admin) => admin.run().await,
            Self::Bench(bench) => bench.run().await,
        }
    }
}

/// Runs the command of the program's arguments.
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = match runtime.enable_all().event_interval(EVENTS).build() {
        Ok(runtime) => runtime,
        Err(error) => return could_not(&error.into()),
    };
    let answer = runtime.block_on(arguments.command.run());
    // A thread that still makes keys is not waited for.
    runtime.shutdown_timeout(LAST_WORK);
    match answer {
        Ok(Answer::Yes) => ExitCode::SUCCESS,
        Ok(Answer::No) => ExitCode::from(1),
        Err(error) => could_not(&error),
    }
}

fn could_not(error: &anyhow::Error) -> ExitCode {
    eprintln!("hikikae: {error:#}");
    ExitCode::from(2)
}

/// Log lines to standard error: for people at a terminal, else one JSON object a line. `RUST_LOG` decides what.
fn log_to_stderr(default: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // An error means that there is a subscriber already: then its lines go there.
    let _ = if std::io::stderr().is_terminal() { lines.try_init() } else { lines.json().try_init() };
}

/// Writes to standard output. A reader that has gone is an error like any other, not a panic.
fn print(bytes: impl AsRef<[u8]>) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes.as_ref())?;
    Ok(out.flush()?)
}
