//! Buckets: which of 4096 partitions a row belongs to, and identifiers that carry it masked (invariant 12).
//!
//! Owns the bits of our own identifiers. Knows no table and no SQL.
//!
//! A patient's bucket is 12 bits of a keyed hash of the patient id. A prescription id (処方箋ID) is a UUIDv8
//! (RFC 9562 5.8) whose `custom_b` holds the bucket XOR a keyed hash of its other bits, and an identity
//! token ends in the patient id XOR a keyed hash of its random part; so an act finds its partition from what the
//! caller shows, and a stranger sees neither the bucket nor that two ids share one.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use postgres_types::{FromSql, IsNull, ToSql, Type, private::BytesMut};
use ring::error::Unspecified;
use ring::hmac;
use ring::rand::SecureRandom;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::keys::Keys;

const BITS: u16 = 0x0fff;
const TOKEN_RANDOM: usize = 32;
const TOKEN_LENGTH: usize = TOKEN_RANDOM + 16;

/// A partition, 0 to 4095. `smallint` in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bucket(u16);

impl Bucket {
    /// The number of buckets.
    pub const COUNT: u16 = BITS + 1;

    /// The first 12 bits of an already keyed hash: the bucket of a row that is found by that hash, before its
    /// patient is known.
    pub fn of_hash(hash: &[u8; 32]) -> Self {
        Self(u16::from_be_bytes([hash[0], hash[1]]) >> 4)
    }

    /// The number, 0 to 4095.
    pub fn number(self) -> u16 {
        self.0
    }
}

impl ToSql for Bucket {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        i16::try_from(self.0)?.to_sql(ty, out)
    }

    fn accepts(ty: &Type) -> bool {
        <i16 as ToSql>::accepts(ty)
    }

    postgres_types::to_sql_checked!();
}

impl<'a> FromSql<'a> for Bucket {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        match u16::try_from(i16::from_sql(ty, raw)?) {
            Ok(number) if number <= BITS => Ok(Self(number)),
            _ => Err("a bucket outside 0 to 4095".into()),
        }
    }

    fn accepts(ty: &Type) -> bool {
        <i16 as FromSql>::accepts(ty)
    }
}

macro_rules! uuid_identifier {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSql, FromSql,
        )]
        #[serde(transparent)]
        #[postgres(transparent)]
        pub struct $type(Uuid);

        impl $type {
            /// The id as it was received or read; of any UUID, whether or not the exchange made it.
            pub fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID.
            pub fn as_uuid(&self) -> &Uuid {
                &self.0
            }

            /// Its 16 bytes, the row id to seal with.
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        /// Lower case with hyphens.
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl FromStr for $type {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::try_parse(text).map(Self)
            }
        }
    };
}

uuid_identifier! {
    /// Our own id of a person. Lasts through changes of insurer and never leaves the exchange in a document.
    PatientId
}

uuid_identifier! {
    /// 処方箋ID, assigned by the exchange; carries the patient's bucket masked.
    PrescriptionId
}

/// An opaque identity token: 32 random bytes and the masked patient id. A secret; only its hash is stored.
#[derive(Clone)]
pub struct IdentityToken(Zeroizing<[u8; TOKEN_LENGTH]>);

impl IdentityToken {
    /// The form that travels: Base64url without padding, 64 characters.
    pub fn encode(&self) -> Zeroizing<String> {
        Zeroizing::new(URL_SAFE_NO_PAD.encode(self.0.as_slice()))
    }

    /// Reads the form that travels. `None` when it is not shaped like a token.
    pub fn decode(text: &str) -> Option<Self> {
        let mut bytes = Zeroizing::new([0_u8; TOKEN_LENGTH]);
        match URL_SAFE_NO_PAD.decode_slice(text, bytes.as_mut_slice()) {
            Ok(TOKEN_LENGTH) => Some(Self(bytes)),
            _ => None,
        }
    }
}

/// Says that there is a token, not which.
impl fmt::Debug for IdentityToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdentityToken(…)")
    }
}

/// Finds buckets and mints identifiers that carry them. Cheap to clone.
#[derive(Clone)]
pub struct Buckets {
    key: Arc<hmac::Key>,
}

impl Buckets {
    /// Buckets by the key of the list. Another key gives every row another bucket.
    pub fn new(keys: &Keys) -> Self {
        Self { key: Arc::new(hmac::Key::new(hmac::HMAC_SHA256, keys.bucket().as_slice())) }
    }

    /// A new patient id.
    ///
    /// # Errors
    /// When the random generator fails.
    pub fn patient_mint(&self, rng: &dyn SecureRandom) -> Result<PatientId, Unspecified> {
        let mut bytes = [0_u8; 16];
        rng.fill(&mut bytes)?;
        Ok(PatientId(Uuid::new_v8(bytes)))
    }

    /// The bucket of a patient and of all that belongs to the patient.
    pub fn of_patient(&self, patient: PatientId) -> Bucket {
        Bucket(self.hash("patient", patient.as_bytes()) & BITS)
    }

    /// A new prescription id for a patient's bucket.
    ///
    /// # Errors
    /// When the random generator fails.
    pub fn prescription_mint(
        &self,
        rng: &dyn SecureRandom,
        bucket: Bucket,
    ) -> Result<PrescriptionId, Unspecified> {
        let mut bytes = [0_u8; 16];
        rng.fill(&mut bytes)?;
        Ok(PrescriptionId(self.carrier(bytes, bucket)))
    }

    /// The bucket a prescription id carries. Any UUID carries some bucket; only a minted one has its row there.
    pub fn of_prescription(&self, prescription: PrescriptionId) -> Bucket {
        self.carried(&prescription.0)
    }

    /// The id of a finding in a patient's bucket, always the same for the same hash.
    pub fn finding_id(&self, hash: &[u8; 32], bucket: Bucket) -> Uuid {
        let mut bytes = [0_u8; 16];
        bytes.copy_from_slice(&hash[..16]);
        self.carrier(bytes, bucket)
    }

    /// The bucket a finding's id carries.
    pub fn of_finding(&self, finding: &Uuid) -> Bucket {
        self.carried(finding)
    }

    fn carrier(&self, bytes: [u8; 16], bucket: Bucket) -> Uuid {
        // The mask covers the variant bits too, so they are set before it is computed.
        let mut bytes = Uuid::new_v8(bytes).into_bytes();
        let carried = bucket.0 ^ self.carrier_mask(&bytes);
        let [high, low] = carried.to_be_bytes();
        bytes[6] = high;
        bytes[7] = low;
        Uuid::new_v8(bytes)
    }

    fn carried(&self, id: &Uuid) -> Bucket {
        let bytes = id.as_bytes();
        let carried = u16::from_be_bytes([bytes[6], bytes[7]]) & BITS;
        Bucket(carried ^ self.carrier_mask(bytes))
    }

    /// 12 bits of a keyed hash of all bits but `ver` and `custom_b`.
    fn carrier_mask(&self, bytes: &[u8; 16]) -> u16 {
        let mut rest = *bytes;
        rest[6] = 0;
        rest[7] = 0;
        self.hash("prescription", &rest) & BITS
    }

    /// A new identity token for a patient.
    ///
    /// # Errors
    /// When the random generator fails.
    pub fn token_mint(
        &self,
        rng: &dyn SecureRandom,
        patient: PatientId,
    ) -> Result<IdentityToken, Unspecified> {
        let mut bytes = Zeroizing::new([0_u8; TOKEN_LENGTH]);
        let (random, carried) = bytes.split_at_mut(TOKEN_RANDOM);
        rng.fill(random)?;
        carried.copy_from_slice(&self.token_mask(random, *patient.as_bytes()));
        Ok(IdentityToken(bytes))
    }

    /// The patient an identity token carries. A forged one carries somebody too; only a row makes it a token.
    pub fn of_token(&self, token: &IdentityToken) -> PatientId {
        let (random, carried) = token.0.split_at(TOKEN_RANDOM);
        let mut masked = [0; 16];
        masked.copy_from_slice(carried);
        PatientId(Uuid::from_bytes(self.token_mask(random, masked)))
    }

    /// Puts a token's mask on an id, or takes it off.
    fn token_mask(&self, random: &[u8], mut id: [u8; 16]) -> [u8; 16] {
        for (byte, mask) in id.iter_mut().zip(self.tag("token", random).as_ref()) {
            *byte ^= mask;
        }
        id
    }

    fn hash(&self, domain: &str, value: &[u8]) -> u16 {
        let tag = self.tag(domain, value);
        u16::from_be_bytes([tag.as_ref()[0], tag.as_ref()[1]])
    }

    fn tag(&self, domain: &str, value: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(domain.as_bytes());
        context.update(&[0]);
        context.update(value);
        context.sign()
    }
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;

    use super::*;

    fn buckets() -> Buckets {
        Buckets::new(&Keys::generate(&SystemRandom::new()).unwrap())
    }

    #[test]
    fn an_id_gives_its_bucket_back_and_is_a_uuid_v8() {
        let buckets = buckets();
        let rng = SystemRandom::new();
        for number in 0..Bucket::COUNT {
            let id = buckets.prescription_mint(&rng, Bucket(number)).unwrap();
            assert_eq!(id.as_uuid().get_version_num(), 8);
            assert_eq!(id.as_uuid().get_variant(), uuid::Variant::RFC4122);
            let again: PrescriptionId = id.to_string().parse().unwrap();
            assert_eq!(buckets.of_prescription(again), Bucket(number));
        }
    }

    #[test]
    fn a_token_gives_its_patient_back_through_its_text_and_shows_nobody() {
        let buckets = buckets();
        let rng = SystemRandom::new();
        let patient = buckets.patient_mint(&rng).unwrap();
        let tokens = [(); 2].map(|()| buckets.token_mint(&rng, patient).unwrap());
        for token in &tokens {
            let text = token.encode();
            assert_eq!(text.len(), 64);
            assert_eq!(buckets.of_token(&IdentityToken::decode(&text).unwrap()), patient);
            assert!(!format!("{token:?}").contains(text.as_str()));
            assert!(!token.0.windows(16).any(|part| part == patient.as_bytes()));
        }
        assert_ne!(
            tokens[0].0[TOKEN_RANDOM..],
            tokens[1].0[TOKEN_RANDOM..],
            "the same patient looks different"
        );
        for noise in ["", "x", "====", &"A".repeat(63), &"A".repeat(65), "引換"] {
            assert!(IdentityToken::decode(noise).is_none());
        }
    }

    #[test]
    fn the_carried_bits_do_not_show_the_bucket() {
        // 4096 ids of one bucket: if the mask leaked, few values would be carried. Of 4096 draws from 4096
        // values about 2589 differ (4096·(1 − 1/e)), standard deviation about 32.
        let buckets = buckets();
        let rng = SystemRandom::new();
        let carried: std::collections::BTreeSet<u16> = (0..4096)
            .map(|_| {
                let id = buckets.prescription_mint(&rng, Bucket(77)).unwrap();
                u16::from_be_bytes([id.as_bytes()[6], id.as_bytes()[7]]) & BITS
            })
            .collect();
        assert!((2300..2900).contains(&carried.len()), "{}", carried.len());
    }

    #[test]
    fn patients_spread_evenly_over_the_buckets() {
        let buckets = buckets();
        let rng = SystemRandom::new();
        let mut sixteenths = [0_u32; 16];
        for _ in 0..16_000 {
            let bucket = buckets.of_patient(buckets.patient_mint(&rng).unwrap());
            sixteenths[usize::from(bucket.number() >> 8)] += 1;
        }
        // Each sixteenth expects 1000, standard deviation about 31.
        assert!(sixteenths.iter().all(|count| (800..1200).contains(count)), "{sixteenths:?}");
    }

    #[test]
    fn the_same_id_has_another_bucket_under_other_keys() {
        let rng = SystemRandom::new();
        let (one, other) = (buckets(), buckets());
        let differing = (0..64)
            .filter(|_| {
                let id = one.prescription_mint(&rng, Bucket(5)).unwrap();
                one.of_prescription(id) != other.of_prescription(id)
            })
            .count();
        assert!(differing > 50);
    }
}
