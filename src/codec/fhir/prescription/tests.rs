//! The prescription there and back.

use proptest::prelude::*;

use super::*;
use crate::codec::fault::Form;
use crate::codec::sj1;
use crate::prescription::strategy;

fn header() -> Header {
    Header { number: "2026-00000001".to_owned(), date: "2026-11-20T09:00:00+09:00".parse().unwrap() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// SJ1, the domain, FHIR, the domain, SJ1: the same bytes.
    #[test]
    fn nothing_is_lost_between_the_forms(value in strategy::prescription()) {
        let first = sj1::write(&value, &Form::default());
        let value = sj1::read(&first).map_err(|faults| TestCaseError::fail(format!("{faults:?}")))?.value;
        let bundle = write(&value, &header());
        let read = read(&bundle).map_err(|faults| TestCaseError::fail(format!("{faults:#?}")))?;
        prop_assert_eq!(&read.value, &value);
        prop_assert_eq!(sj1::write(&read.value, &Form::default()), first);
        prop_assert_eq!(write(&read.value, &header()), bundle);
        prop_assert_eq!(read.lines.len(), value.groups.iter().map(|group| group.lines.len()).sum::<usize>());
    }
}
