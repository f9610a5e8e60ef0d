//! The domain: what a prescription and a dispensing are, and how a prescription lives. Knows no wire format,
//! no SQL, no HTTP.

pub mod access;
pub mod amount;
pub mod consent;
pub mod disclosure;
pub mod dispensing;
pub mod document;
pub mod identifier;
pub mod line;
pub mod mandate;
pub mod mitigation;
pub mod registered;
pub mod reported;
pub mod result;
pub mod state;
pub mod usage;

#[cfg(test)]
pub(crate) mod strategy;
