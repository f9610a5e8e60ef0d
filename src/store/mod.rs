//! PostgreSQL: the only room that knows SQL. One file per table family, each with its SQL beside its decoder.
//!
//! Knows the domain and how it is kept, sealed and found again; never who asks or how the answer travels.

pub mod acceptance;
pub mod access;
pub mod access_chain;
pub mod app;
pub mod asked;
mod batch;
pub mod bucket;
pub mod cluster;
pub mod consent;
pub mod directory;
pub mod disaster;
pub mod dispensing;
pub mod document;
pub mod feed;
pub mod figure;
pub mod finding;
pub mod holding;
pub mod idempotency;
pub mod identity;

pub mod error;
pub mod keys;
pub mod link;
pub mod load;
pub mod mandate;
pub mod medication;
pub mod migration;
pub mod pool;
pub mod prescription;
pub mod registration;
pub mod reported;
pub mod retention;
pub mod seal;
mod sealed_json;
pub mod session;
pub mod whole;

pub use bucket::{Bucket, Buckets, IdentityToken, PatientId, PrescriptionId};
pub use cluster::{Cluster, ClusterError, Durability};
pub use error::StoreError;
pub use keys::Keys;
pub use pool::{Store, StoreOptions, Tx, Work};
pub use seal::{Lookup, SealContext, SealError, Sealer};
