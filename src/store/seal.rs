//! Sealing (封緘): encryption of every personal value before it reaches the database, and keyed hashes to
//! look values up by. Invariant 8: nothing readable at rest.
//!
//! Owns the sealed form. Knows no table: the caller names the place a value belongs to.
//!
//! Sealed form: version (1 byte), key id (4 bytes, big endian), nonce (12), AES-256-GCM ciphertext and tag. The key is
//! HKDF-SHA-256 of the master key with the row's id as info; the additional data is the place (table, row, column), so
//! that a value moved to another row or column does not open. Version `1` holds the value as it is; `2` holds it as an
//! LZ4 block after its length (4 bytes, little endian), and its additional data begins with the version, so that one
//! cannot be taken for the other.

use std::sync::Arc;

use lz4_flex::block::{compress_into, decompress_size_prepended, get_maximum_output_size};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, MAX_TAG_LEN, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::SecureRandom;
use ring::{hkdf, hmac};

use super::keys::Keys;

const PLAIN: u8 = 1;
const PACKED: u8 = 2;
/// Values up to here hardly get smaller.
const SMALL: usize = 256;
const HEADER: usize = 1 + 4 + NONCE_LEN;
/// Bytes of the length before an LZ4 block.
const LENGTH: usize = 4;
const SALT: &[u8] = b"hikikae seal 1";

/// The random generator the store draws nonces and identifiers from.
pub type Rng = Arc<dyn SecureRandom + Send + Sync>;

/// Why a value could not be sealed or opened. Carries nothing of the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The bytes are not a sealed value of a known form.
    #[error("not a sealed value")]
    Malformed,
    /// Sealed with a key that is not in the key list.
    #[error("sealed with key {0}, which is not in the key list")]
    UnknownKey(u32),
    /// The bytes were changed, or belong to another table, row or column.
    #[error("the sealed value is not authentic at this place")]
    NotAuthentic,
    /// The random generator or the cipher failed.
    #[error("sealing failed")]
    Failed,
}

/// The place a sealed value belongs to.
#[derive(Clone, Copy, Debug)]
pub struct SealContext<'a> {
    /// Table name.
    pub table: &'a str,
    /// The row's own id as bytes (for a prescription its 16 bytes).
    pub row: &'a [u8],
    /// Column name.
    pub column: &'a str,
}

impl SealContext<'_> {
    /// Length-prefixed, so that no two places have the same bytes, after the version unless it is the first.
    fn bytes(&self, version: u8) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(25 + self.table.len() + self.row.len() + self.column.len());
        bytes.extend((version != PLAIN).then_some(version));
        for part in [self.table.as_bytes(), self.row, self.column.as_bytes()] {
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part);
        }
        bytes
    }
}

/// Seals and opens. Cheap to clone.
#[derive(Clone)]
pub struct Sealer {
    /// What is extracted (RFC 5869 2.2) from each master key, by its id; the newest last.
    masters: Arc<[(u32, hkdf::Prk)]>,
    rng: Rng,
}

impl Sealer {
    /// A sealer with the keys of the list and a source of nonces.
    pub fn new(keys: &Keys, rng: Rng) -> Self {
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, SALT);
        Self { masters: keys.seals().map(|(id, key)| (id, salt.extract(key.as_slice()))).collect(), rng }
    }

    /// Seals `plaintext` for the place, with the newest key; packed when that makes it smaller.
    ///
    /// # Errors
    /// [`SealError::Failed`].
    pub fn seal(&self, context: &SealContext<'_>, plaintext: &[u8]) -> Result<Vec<u8>, SealError> {
        if plaintext.len() > SMALL {
            // Packed where it is sealed, so that there is no other copy.
            let mut sealed = vec![0; HEADER + LENGTH + get_maximum_output_size(plaintext.len())];
            let (length, block) = sealed[HEADER..].split_at_mut(LENGTH);
            let packed = compress_into(plaintext, block).map_err(|_| SealError::Failed)?;
            if LENGTH + packed < plaintext.len() {
                let whole = u32::try_from(plaintext.len()).map_err(|_| SealError::Failed)?;
                length.copy_from_slice(&whole.to_le_bytes());
                sealed.truncate(HEADER + LENGTH + packed);
                return self.seal_in_place(PACKED, context, sealed);
            }
        }
        self.seal_plain(context, plaintext)
    }

    fn seal_plain(&self, context: &SealContext<'_>, plaintext: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut sealed = Vec::with_capacity(HEADER + plaintext.len() + MAX_TAG_LEN);
        sealed.resize(HEADER, 0);
        sealed.extend_from_slice(plaintext);
        self.seal_in_place(PLAIN, context, sealed)
    }

    /// Seals what stands after room for the header.
    fn seal_in_place(
        &self,
        version: u8,
        context: &SealContext<'_>,
        mut sealed: Vec<u8>,
    ) -> Result<Vec<u8>, SealError> {
        let (id, master) = self.masters.last().ok_or(SealError::Failed)?;
        let mut nonce = [0_u8; NONCE_LEN];
        self.rng.fill(&mut nonce).map_err(|_| SealError::Failed)?;
        sealed[0] = version;
        sealed[1..5].copy_from_slice(&id.to_be_bytes());
        sealed[5..HEADER].copy_from_slice(&nonce);
        let tag = row_key(master, context.row)?
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(context.bytes(version)),
                &mut sealed[HEADER..],
            )
            .map_err(|_| SealError::Failed)?;
        sealed.extend_from_slice(tag.as_ref());
        Ok(sealed)
    }

    /// Opens a value sealed for the place. Anything that is not exactly what [`Sealer::seal`] made for this
    /// place is refused.
    ///
    /// # Errors
    /// [`SealError`]
    pub fn open(&self, context: &SealContext<'_>, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let (header, body) = sealed.split_at_checked(HEADER).ok_or(SealError::Malformed)?;
        let [version @ (PLAIN | PACKED), id @ ..] = header else { return Err(SealError::Malformed) };
        let (id, nonce) = id.split_at(4);
        let id = u32::from_be_bytes(id.try_into().map_err(|_| SealError::Malformed)?);
        let nonce: [u8; NONCE_LEN] = nonce.try_into().map_err(|_| SealError::Malformed)?;
        let master = self.masters.iter().find(|(known, _)| *known == id);
        let (_, master) = master.ok_or(SealError::UnknownKey(id))?;
        let mut plaintext = body.to_vec();
        let length = row_key(master, context.row)?
            .open_in_place(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(context.bytes(*version)),
                &mut plaintext,
            )
            .map_err(|_| SealError::NotAuthentic)?
            .len();
        plaintext.truncate(length);
        if *version == PLAIN {
            return Ok(plaintext);
        }
        decompress_size_prepended(&plaintext).map_err(|_| SealError::Malformed)
    }
}

fn row_key(master: &hkdf::Prk, row: &[u8]) -> Result<LessSafeKey, SealError> {
    let key = master.expand(&[row], &AES_256_GCM).map(UnboundKey::from).map_err(|_| SealError::Failed)?;
    Ok(LessSafeKey::new(key))
}

/// Keyed hashes of personal values, to find a row by a value the row does not show. Cheap to clone.
#[derive(Clone)]
pub struct Lookup {
    key: Arc<hmac::Key>,
}

impl Lookup {
    /// Look-ups with the key of the list.
    pub fn new(keys: &Keys) -> Self {
        Self { key: Arc::new(hmac::Key::new(hmac::HMAC_SHA256, keys.lookup().as_slice())) }
    }

    /// HMAC-SHA-256 over the domain and the parts, each with its length before it. The domain keeps equal
    /// values of different meaning apart.
    pub fn hash(&self, domain: &str, parts: &[impl AsRef<[u8]>]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.key);
        for part in std::iter::once(domain.as_bytes()).chain(parts.iter().map(AsRef::as_ref)) {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut hash = [0_u8; 32];
        hash.copy_from_slice(context.sign().as_ref());
        hash
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ring::rand::SystemRandom;

    use super::*;

    const PLACE: SealContext<'_> = SealContext { table: "patient", row: b"row 1", column: "particulars" };

    fn sealer() -> Sealer {
        let rng = SystemRandom::new();
        Sealer::new(&Keys::generate(&rng).unwrap(), Arc::new(rng))
    }

    #[test]
    fn every_flipped_byte_and_every_cut_is_refused() {
        let sealer = sealer();
        let value = sealer.seal(&PLACE, "山田 花子".as_bytes()).unwrap();
        assert_eq!(sealer.open(&PLACE, &value).unwrap(), "山田 花子".as_bytes());
        for at in 0..value.len() {
            for bit in 0..8 {
                let mut tampered = value.clone();
                tampered[at] ^= 1 << bit;
                assert!(sealer.open(&PLACE, &tampered).is_err(), "byte {at} bit {bit}");
            }
            assert!(sealer.open(&PLACE, &value[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn what_gets_smaller_is_packed_and_cannot_be_taken_for_what_is_not() {
        let sealer = sealer();
        let long = "201,1,1,1,2,620004625,ノルバスク錠５ｍｇ,1,1,錠\n".repeat(20);
        let mut value = sealer.seal(&PLACE, long.as_bytes()).unwrap();
        assert!(value[0] == PACKED && value.len() < long.len() / 2);
        assert_eq!(sealer.open(&PLACE, &value).unwrap(), long.as_bytes());
        value[0] = PLAIN;
        assert_eq!(sealer.open(&PLACE, &value), Err(SealError::NotAuthentic));
        for other in [0, 3, 255] {
            value[0] = other;
            assert_eq!(sealer.open(&PLACE, &value), Err(SealError::Malformed));
        }
        let noise: Vec<u8> = value[HEADER..].iter().copied().cycle().take(SMALL + 1).collect();
        let short = sealer.seal(&PLACE, &noise[..SMALL]).unwrap();
        assert_eq!((short[0], short.len()), (PLAIN, HEADER + SMALL + MAX_TAG_LEN));
    }

    #[test]
    fn values_sealed_before_there_was_packing_open() {
        let sealer = sealer();
        let long = vec![b'x'; 1000];
        let value = sealer.seal_plain(&PLACE, &long).unwrap();
        assert_eq!(sealer.open(&PLACE, &value).unwrap(), long);
    }

    #[test]
    fn a_value_opens_only_at_its_own_place() {
        let sealer = sealer();
        let value = sealer.seal(&PLACE, b"value").unwrap();
        for other in [
            SealContext { table: "card", ..PLACE },
            SealContext { row: b"row 2", ..PLACE },
            SealContext { column: "name", ..PLACE },
            SealContext { table: "patien", row: b"trow 1", ..PLACE },
        ] {
            assert_eq!(sealer.open(&other, &value), Err(SealError::NotAuthentic));
        }
    }

    #[test]
    fn after_a_rotation_the_newest_key_seals_and_the_older_still_open() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.json");
        let rng = SystemRandom::new();
        let before = Sealer::new(&Keys::load_or_create(&path, &rng).unwrap(), Arc::new(rng.clone()));
        let old = before.seal(&PLACE, b"old").unwrap();
        super::super::keys::rotate(&path, &rng).unwrap();
        let after = Sealer::new(&Keys::load(&path).unwrap(), Arc::new(rng));
        let new = after.seal(&PLACE, b"new").unwrap();
        assert_eq!(after.open(&PLACE, &old).unwrap(), b"old");
        assert_eq!(new[1..5], 2_u32.to_be_bytes());
        assert_eq!(before.open(&PLACE, &new), Err(SealError::UnknownKey(2)));
    }

    #[test]
    fn equal_values_do_not_look_equal() {
        let sealer = sealer();
        assert_ne!(sealer.seal(&PLACE, b"same").unwrap(), sealer.seal(&PLACE, b"same").unwrap());
    }

    #[test]
    fn a_hash_tells_domains_and_boundaries_apart() {
        let lookup = Lookup::new(&Keys::generate(&SystemRandom::new()).unwrap());
        assert_eq!(lookup.hash("a", &["bc", "d"]), lookup.hash("a", &["bc", "d"]));
        assert_ne!(lookup.hash("a", &["bc", "d"]), lookup.hash("a", &["b", "cd"]));
        assert_ne!(lookup.hash("a", &["bc", "d"]), lookup.hash("ab", &["c", "d"]));
        assert_ne!(lookup.hash("a", &["bc"]), lookup.hash("a", &["bc", ""]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn sealing_round_trips(plaintext in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..300), proptest::collection::vec(0..4_u8, 0..3000),
        ]) {
            let sealer = sealer();
            let value = sealer.seal(&PLACE, &plaintext).unwrap();
            prop_assert_eq!(sealer.open(&PLACE, &value).unwrap(), plaintext);
        }

        #[test]
        fn opening_noise_never_panics(noise in proptest::collection::vec(any::<u8>(), 0..80)) {
            prop_assert!(sealer().open(&PLACE, &noise).is_err());
        }
    }
}
