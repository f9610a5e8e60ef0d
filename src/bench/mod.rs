//! Load and limits: what the exchange costs, measured against what the machine can do.
//!
//! Owns synthetic people and their histories, the documents they bring, how requests are paced and counted, and the
//! bare load on the database that the server is compared with. Drives the server over HTTP from another process and
//! knows nothing of its inside; only [`limit`] and [`population`] open the database.

pub mod cast;
pub mod crew;
pub mod document;
pub mod draw;
pub mod drive;
pub mod drug;
pub mod error;
pub mod form;
pub mod journey;
pub mod limit;
pub mod mix;
pub mod order;
pub mod pace;
pub mod person;
pub mod population;
pub mod process;
pub mod stage;
pub mod stock;
pub mod tally;

pub use error::BenchError;
