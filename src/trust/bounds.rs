//! A look over DER before it is decoded: sets of many elements are refused. The decoder sorts the elements of a
//! set by insertion, so that a hostile set of a hundred thousand would cost minutes.

use der::asn1::AnyRef;
use der::{Decode, DecodeOwned, Reader, SliceReader, Tag, Tagged};

/// The most elements of one set. Names and attributes have one or two.
const SET_MAX: usize = 64;
/// The deepest nesting; certificates nest about ten deep.
const DEPTH_MAX: usize = 32;

/// Decodes what comes from outside, after a look over it.
pub(crate) fn decode<T: DecodeOwned>(bytes: &[u8]) -> Result<T, der::Error> {
    sets_check(bytes)?;
    T::from_der(bytes)
}

/// Fails when a set in `bytes` is too large or the nesting too deep. Looks at what is constructed, and so not into
/// octet strings: what lies in one is to be decoded by [`decode`] too.
fn sets_check(bytes: &[u8]) -> Result<(), der::Error> {
    let mut pending = vec![(AnyRef::from_der(bytes)?, 0)];
    while let Some((value, depth)) = pending.pop() {
        let tag = value.tag();
        let constructed =
            matches!(tag, Tag::Sequence | Tag::Set | Tag::ContextSpecific { constructed: true, .. });
        if !constructed {
            continue;
        }
        if depth == DEPTH_MAX {
            return Err(der::ErrorKind::Overlength.into());
        }
        let mut reader = SliceReader::new(value.value())?;
        let mut elements = 0;
        while !reader.is_finished() {
            elements += 1;
            if tag == Tag::Set && elements > SET_MAX {
                return Err(der::ErrorKind::Overlength.into());
            }
            pending.push((AnyRef::decode(&mut reader)?, depth + 1));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use der::{Any, Encode};

    use super::*;

    fn wrap(tag: Tag, content: Vec<u8>) -> Vec<u8> {
        Any::new(tag, content).unwrap().to_der().unwrap()
    }

    #[test]
    fn large_sets_and_deep_nesting_are_refused() {
        let nulls = |n: usize| [5, 0].repeat(n);
        sets_check(&wrap(Tag::Set, nulls(SET_MAX))).unwrap();
        sets_check(&wrap(Tag::Sequence, nulls(10_000))).unwrap();
        sets_check(&wrap(Tag::Set, nulls(SET_MAX + 1))).unwrap_err();
        sets_check(&wrap(Tag::Sequence, wrap(Tag::Set, nulls(SET_MAX + 1)))).unwrap_err();
        let nested =
            |n: usize| (1..n).fold(wrap(Tag::Sequence, Vec::new()), |inner, _| wrap(Tag::Sequence, inner));
        sets_check(&nested(DEPTH_MAX)).unwrap();
        sets_check(&nested(DEPTH_MAX + 1)).unwrap_err();
    }
}
