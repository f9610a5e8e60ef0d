//! Hikikae (引換): an e-prescription exchange server.
//!
//! A clinic registers a signed prescription, the patient carries its exchange number, a pharmacy proves the
//! patient's identity, retrieves, dispenses, and writes the signed result back. The rooms, top to bottom; an
//! arrow never points up:
//!
//! | room | owns |
//! |---|---|
//! | [`mod@bench`] | load and limits: synthetic people, paced requests, the bare database beside them |
//! | [`sandbox`] | the demonstration: its keys, its personas, its story |
//! | [`serve`] | wires the rooms into a running server, as [`config`] says, on the one [`clock`] |
//! | [`http`] | described endpoints, tokens, `OperationOutcome`, the accept loop |
//! | [`exchange`] | the acts: check, register, amend, accept, dispense, …; identity, consent, history, apps |
//! | [`store`] | PostgreSQL: pool, migrations, sealing, one file per table family |
//! | [`check`] | the medication checker, pure |
//! | [`formulary`] | products, ingredients, usage codes, forbidden pairs; the shelf of imported editions |
//! | [`codec`] | SJ1, CJ1, the EPS XML and JWS envelopes, FHIR, CDS Hooks, notebook, symbol, slip |
//! | [`trust`] | certificates, paths, revocation, canonicalisation, XAdES and JWS, timestamps |
//! | [`prescription`] | the domain: no I/O, no wire format |
#![forbid(unsafe_code)]

pub mod bench;
pub mod check;
pub mod clock;
pub mod codec;
pub mod config;
pub mod exchange;
pub mod formulary;
pub mod http;
pub mod prescription;
pub mod sandbox;
pub mod serve;
pub mod store;
pub mod trust;
