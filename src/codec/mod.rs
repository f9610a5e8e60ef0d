//! The wire forms of the documents: strict reading into the domain, exact writing out of it. Knows no storage and
//! no HTTP.

pub mod cds_hooks;
pub mod cj1;
mod coding;
pub mod eps_xml;
pub mod fault;
pub mod fhir;
#[cfg(test)]
mod hostile;
mod items;
pub mod jose;
mod log;
mod row;
mod signer;
pub mod sj1;
mod spelling;
