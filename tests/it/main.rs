//! The whole system, against a real PostgreSQL: one server per run, one database per test.

mod cluster;
mod directory;
mod harness;
mod life;
mod store;
mod tls;
mod world;
