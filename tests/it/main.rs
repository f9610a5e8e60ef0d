//! The whole system, against a real PostgreSQL: one server per run, one database per test.

mod bench;
mod check;
mod cluster;
mod crash;
mod demo;
mod directory;
mod edition;
mod harness;
mod life;
mod store;
mod tls;
mod truth;
mod world;
