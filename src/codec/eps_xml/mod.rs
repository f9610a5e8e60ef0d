//! 電子処方箋 XML: the envelopes of a signed prescription (`EPS1.0`) and a signed dispensing result (`EPD1.0`).
//! Owns their shape, what the service adds to them, and which element a signature must be about. Knows no line of
//! SJ1 or CJ1, and leaves the cryptography to [`crate::trust`].
//!
//! Signed bytes are never written anew: everything that adds or embeds works by splicing bytes.

mod delivered;
mod element;
mod envelope;
mod reading;
mod sign;
#[cfg(test)]
mod test_document;
mod verify;

pub use delivered::Conversion;
pub use envelope::{EpsDispensing, EpsPrescription, ReferencePrescription};
pub use sign::{Signatory, dispensing_over_jws_sign, dispensing_sign, prescription_sign};
