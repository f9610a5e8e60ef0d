//! The sandbox: a whole world on one machine to build and prove a client against. Owns its keys, its people and the
//! story it tells; the server treats it as it treats anybody.

pub mod client;
pub mod desk;
pub mod document;
pub mod persona;
pub mod pki;
pub mod story;
pub mod telling;
pub mod world;
