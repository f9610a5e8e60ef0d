//! What either codec must do with whatever comes: read it or refuse it, and write back exactly what it read.

/// The property tests of a codec, in the module that has its `read`, `write` and `FIXTURES`. `$rows` is a pattern of
/// texts like its documents, `$value` a strategy for what it carries.
macro_rules! hostile_tests {
    ($rows:literal, $value:expr) => {
        proptest! {
            #![proptest_config(ProptestConfig::with_cases(64))]

            #[test]
            fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
                let _ = read(&bytes);
            }

            #[test]
            fn any_rows_are_answered(text in $rows) {
                if let Ok(read) = read(text.as_bytes()) {
                    prop_assert_eq!(write(&read.value, &read.form), text.into_bytes());
                }
            }

            #[test]
            fn what_is_written_is_read_again(value in $value) {
                let bytes = write(&value, &Form::default());
                let again = read(&bytes);
                prop_assert!(again.is_ok(), "{:#?}\n{}", again, String::from_utf8_lossy(&bytes));
                let again = again.unwrap();
                prop_assert_eq!(&again.value, &value);
                prop_assert_eq!(write(&again.value, &again.form), bytes);
            }
        }

        proptest! {
            #![proptest_config(ProptestConfig::with_cases(512))]

            #[test]
            fn a_changed_byte_is_refused_or_kept(
                fixture in 0..FIXTURES.len(),
                place in any::<prop::sample::Index>(),
                byte in prop_oneof![any::<u8>(), prop::sample::select(b",\n0123456789".to_vec())],
            ) {
                let mut bytes = FIXTURES[fixture].as_bytes().to_vec();
                let place = place.index(bytes.len());
                bytes[place] = byte;
                refused_or_kept(&bytes)?;
            }

            #[test]
            fn a_moved_row_is_refused_or_kept(
                fixture in 0..FIXTURES.len(),
                from in any::<prop::sample::Index>(),
                to in any::<prop::sample::Index>(),
                keep in any::<bool>(),
            ) {
                let mut rows: Vec<&str> = FIXTURES[fixture].split('\n').collect();
                let row = rows[from.index(rows.len())];
                if !keep {
                    rows.remove(from.index(rows.len()));
                }
                rows.insert(to.index(rows.len()), row);
                refused_or_kept(rows.join("\n").as_bytes())?;
            }

            #[test]
            fn a_changed_item_is_refused_or_kept(
                fixture in 0..FIXTURES.len(),
                place in any::<prop::sample::Index>(),
                written in "|[0-9]{1,4}|[A-Zあ ]{1,3}",
            ) {
                let text = FIXTURES[fixture];
                let ends: Vec<usize> = text.match_indices([',', '\n']).map(|(end, _)| end).collect();
                let place = place.index(ends.len() - 1);
                let changed = format!("{}{written}{}", &text[..=ends[place]], &text[ends[place + 1]..]);
                refused_or_kept(changed.as_bytes())?;
            }
        }

        /// Whatever is accepted is written back as it came, and nothing it said is left in the form alone.
        fn refused_or_kept(bytes: &[u8]) -> Result<(), TestCaseError> {
            match read(bytes) {
                Ok(read) => {
                    prop_assert!(says_the_same(&read.form), "{:?}", read.form);
                    prop_assert_eq!(write(&read.value, &read.form), bytes);
                }
                Err(faults) => prop_assert!(!faults.is_empty()),
            }
            Ok(())
        }
    };
}

pub(super) use hostile_tests;
