//! The wire forms of the documents: strict reading into the domain, exact writing out of it. Knows no
//! signatures, no storage and no HTTP.

mod coding;
pub mod fault;
mod row;
pub mod sj1;
