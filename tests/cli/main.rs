//! The command line as people and scripts meet it: the real program, its texts, its exit codes.

mod admin;
mod audit;
mod document;
mod hot;
mod house;
mod person;
mod program;
mod signer;

#[test]
fn texts_are_as_pinned() {
    trycmd::TestCases::new().case("tests/cmd/*.trycmd");
}
