//! (room)

pub mod eps_xml;
pub mod fault;
