//! Why a measurement cannot be made.

use std::path::PathBuf;

use crate::formulary::LoadError;
use crate::prescription::amount::AmountError;
use crate::prescription::identifier::IdentifierError;
use crate::prescription::state::Refusal;
use crate::sandbox::client::CallError;
use crate::sandbox::document::DraftError;
use crate::serve::StartError;
use crate::store::StoreError;
use crate::trust::jws::JwsSignError;
use crate::trust::xades::XadesSignError;
use crate::trust::{CertificateError, SigningKeyError};

/// Why a measurement cannot be made. Each says what to do where there is something to do.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A file or directory.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file of the sandbox or of the bench says something else than expected.
    #[error("{path}: {fault}")]
    Content {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        fault: String,
    },
    /// The target is not `http://host:port`.
    #[error("the target must be http://host:port")]
    Url,
    /// The target is another machine.
    #[error("{0} is not on this machine; only load what is yours, and then with --remote")]
    Remote(String),
    /// The server does not answer.
    #[error("{0} does not answer: {1}")]
    Silent(String, String),
    /// Nobody is there to prescribe for.
    #[error("there is no population yet; make one with hikikae bench populate")]
    NoPopulation,
    /// Insurance data of a synthetic person that no card can bear, which the tests exclude.
    #[error("a synthetic person has no insurance that can be")]
    Insured,
    /// Everybody has got all prescriptions that meet nothing.
    #[error("the population has no further prescription without a finding; populate more persons")]
    Exhausted,
    /// Preparing met a refusal.
    #[error("preparing: {act} was answered {got}")]
    Refused {
        /// What was asked for.
        act: &'static str,
        /// Status and code.
        got: String,
    },
    /// The sandbox has nobody of a kind.
    #[error("the sandbox has no {0}")]
    Cast(&'static str),
    /// A worker thread broke off.
    #[error("a worker broke off")]
    Worker,
    /// An act of a synthetic prescription that its life does not allow.
    #[error("a synthetic prescription: {0}")]
    Life(#[from] Refusal),
    /// The counters.
    #[error(transparent)]
    Count(#[from] hdrhistogram::CreationError),
    /// A certificate.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// A key.
    #[error(transparent)]
    Key(#[from] SigningKeyError),
    /// A document.
    #[error(transparent)]
    Draft(#[from] DraftError),
    /// A code of a synthetic document.
    #[error(transparent)]
    Code(#[from] IdentifierError),
    /// An amount of a synthetic document.
    #[error(transparent)]
    Amount(#[from] AmountError),
    /// A synthetic document, or what was delivered of it, does not read.
    #[error("a synthetic {0} cannot be read")]
    Unreadable(&'static str),
    /// A signature in XML.
    #[error(transparent)]
    Xades(#[from] XadesSignError),
    /// A signature in JOSE.
    #[error(transparent)]
    Jws(#[from] JwsSignError),
    /// A log-in.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The formulary.
    #[error(transparent)]
    Formulary(#[from] LoadError),
    /// The server's parts.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}
