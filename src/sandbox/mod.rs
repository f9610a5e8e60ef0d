//! The sandbox: a whole world on one machine to build and prove a client against. Owns its keys; the server
//! treats it as it treats anybody.

pub mod pki;
