//! The whole system, against a real PostgreSQL: one server per run, one database per test.

mod access;
mod acts;
mod bench;
mod check;
mod cluster;
mod consent;
mod crash;
mod demo;
mod directory;
mod door;
mod edition;
mod feed;
mod forms;
mod harness;
mod history;
mod life;
mod mandate;
mod merge;
mod model;
mod overload;
mod paper;
mod reading;
mod store;
mod tls;
mod truth;
mod world;
