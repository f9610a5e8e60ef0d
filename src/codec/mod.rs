//! The wire forms of the documents: strict reading into the domain, exact writing out of it. Knows no storage and
//! no HTTP.

pub mod archive;
pub mod cds_hooks;
pub mod cj1;
mod coding;
pub mod eps_xml;
mod era;
pub mod fault;
pub mod fhir;
#[cfg(test)]
mod hostile;
mod items;
pub mod jose;
mod log;
pub mod notebook;
pub mod qr;
mod row;
pub mod rx_symbol;
mod signer;
pub mod sj1;
pub mod slip;
mod spelling;
mod text;
