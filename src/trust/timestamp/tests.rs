//! A token passes, and every way in which it may be flawed is told apart.

use proptest::prelude::*;

use super::super::test_pki::{Identity, PKI};
use super::super::test_stamp::Stamp;
use super::*;

const MESSAGE: &[u8] = b"what is stamped";

fn verify(token: &[u8]) -> Result<DateTime<Utc>, TimestampError> {
    let context = TimestampContext { trust: &PKI.store, certificates: &[], crls: &[], at: PKI.now };
    timestamp_verify(token, MESSAGE, &context)
}

fn good() -> Stamp<'static> {
    Stamp::of(MESSAGE, PKI.now - TimeDelta::hours(2))
}

#[test]
fn a_good_token_tells_its_time() {
    assert_eq!(verify(&good().token()), Ok(PKI.now - TimeDelta::hours(2)));
}

#[test]
fn every_flaw_is_told_apart() {
    let stamp = Stamp { message: b"something else", ..good() };
    assert_eq!(verify(&stamp.token()), Err(TimestampError::Imprint));
    let stamp = Stamp { named: &PKI.clinic, ..good() };
    assert_eq!(verify(&stamp.token()), Err(TimestampError::Signature));
    let mixed = Identity { certificate: PKI.tsa.certificate.clone(), key: PKI.clinic.key.clone() };
    let stamp = Stamp { authority: &mixed, ..good() };
    assert_eq!(verify(&stamp.token()), Err(TimestampError::Signature));
    let stamp = Stamp { time: PKI.now + TimeDelta::hours(1), ..good() };
    assert_eq!(verify(&stamp.token()), Err(TimestampError::Future));
    for identity in [&PKI.clinic, &PKI.physician] {
        let stamp = Stamp { authority: identity, named: identity, ..good() };
        assert!(matches!(verify(&stamp.token()), Err(TimestampError::Path(PathError::Untrusted(_)))));
    }
    let root = Identity { certificate: PKI.tsa_root.certificate.clone(), key: PKI.tsa_root.key.clone() };
    let stamp = Stamp { authority: &root, named: &root, ..good() };
    assert!(matches!(verify(&stamp.token()), Err(TimestampError::Path(_))));
    for content_types in [[rfc5911::ID_DATA, TST_INFO], [TST_INFO, rfc5911::ID_DATA]] {
        let stamp = Stamp { content_types, ..good() };
        assert_eq!(verify(&stamp.token()), Err(TimestampError::Malformed));
    }
    assert_eq!(verify(b""), Err(TimestampError::Malformed));
    assert_eq!(verify(MESSAGE), Err(TimestampError::Malformed));
}

#[test]
fn times_have_fractions_and_end_in_z() {
    let read = |text: &str| time_read(text.as_bytes()).ok().map(|t| t.to_rfc3339());
    assert_eq!(read("20220907081825.197Z").as_deref(), Some("2022-09-07T08:18:25.197+00:00"));
    assert_eq!(read("20220907081825.1Z").as_deref(), Some("2022-09-07T08:18:25.100+00:00"));
    assert_eq!(read("20220907081825Z").as_deref(), Some("2022-09-07T08:18:25+00:00"));
    for text in ["20220907081825", "202209070818Z", "20221307081825Z", "20220907081825.Z", "2022090708182あZ"]
    {
        assert_eq!(read(text), None, "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn no_token_panics(bytes in prop::collection::vec(any::<u8>(), 0..100), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        static TOKEN: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| good().token());
        prop_assert!(verify(&bytes).is_err());
        let mut token = TOKEN.clone();
        let position = at.index(token.len());
        token[position] = byte;
        // What the token does not sign may change; the time it tells may not.
        if let Ok(time) = verify(&token) {
            prop_assert_eq!(time, PKI.now - TimeDelta::hours(2));
        }
    }
}
