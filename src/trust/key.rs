//! Signing keys, for the signing tool, the sandbox and tests. The server itself holds none of these and only
//! verifies. RSA goes through the `rsa` crate, whose private-key operations are not constant in time
//! (RUSTSEC-2023-0071): never put one behind a network service.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use der::{Decode, Encode};
use ring::rand::SecureRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
};
use rsa::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, EncodePublicKey as _};
use rsa::sha2::{Digest as _, Sha256, Sha384, Sha512};
use rsa::{Pkcs1v15Sign, Pss, RsaPrivateKey};
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use zeroize::Zeroizing;

use super::pem;
use super::public_key::{PublicKey, SignatureScheme};

/// Why a key cannot be had or cannot sign.
#[derive(Debug, thiserror::Error)]
pub enum SigningKeyError {
    /// Not one PEM block `PRIVATE KEY` (unencrypted PKCS#8) of an RSA or P-256 key.
    #[error("not an unencrypted PKCS#8 key of RSA or P-256 in PEM")]
    Malformed,
    /// The scheme asked for is not one of this kind of key.
    #[error("the key cannot sign in this way")]
    Scheme,
    /// The operation failed.
    #[error("the key operation failed")]
    Operation,
    /// The file cannot be read or written.
    #[error("key file: {0}")]
    File(#[from] std::io::Error),
}

enum Secret {
    Rsa(Box<RsaPrivateKey>),
    P256,
}

/// A private key that can sign. Cloning shares it; there is no `Debug` of the secret.
#[derive(Clone)]
pub struct SigningKey {
    secret: Arc<Secret>,
    pkcs8: Arc<Zeroizing<Vec<u8>>>,
    spki: SubjectPublicKeyInfoOwned,
}

impl SigningKey {
    /// A new RSA key of `bits`.
    ///
    /// # Errors
    /// [`SigningKeyError::Operation`].
    pub fn rsa_generate(bits: usize, random: &dyn SecureRandom) -> Result<Self, SigningKeyError> {
        let key = RsaPrivateKey::new(&mut RingRng(random), bits);
        Self::from_rsa(key.map_err(|_| SigningKeyError::Operation)?)
    }

    /// A new P-256 key.
    ///
    /// # Errors
    /// [`SigningKeyError::Operation`].
    pub fn p256_generate(random: &dyn SecureRandom) -> Result<Self, SigningKeyError> {
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, random)
            .map_err(|_| SigningKeyError::Operation)?;
        Self::from_pkcs8_der(document.as_ref())
    }

    /// Reads PKCS#8 in PEM, unencrypted.
    ///
    /// # Errors
    /// [`SigningKeyError::Malformed`].
    pub fn from_pkcs8_pem(text: &[u8]) -> Result<Self, SigningKeyError> {
        let blocks = pem::blocks(text, "PRIVATE KEY").map_err(|_| SigningKeyError::Malformed)?;
        let [block] = <[_; 1]>::try_from(blocks).map_err(|_| SigningKeyError::Malformed)?;
        Self::from_pkcs8_der(&Zeroizing::new(block))
    }

    fn from_pkcs8_der(der: &[u8]) -> Result<Self, SigningKeyError> {
        if let Ok(key) = RsaPrivateKey::from_pkcs8_der(der) {
            return Self::from_rsa(key);
        }
        // The random source only checks the pair here; whoever signs passes in their own.
        let pair = p256(der, &ring::rand::SystemRandom::new(), SignatureScheme::EcdsaSha256Asn1)?;
        let spki = p256_spki(pair.public_key().as_ref()).map_err(|_| SigningKeyError::Malformed)?;
        Ok(Self { secret: Arc::new(Secret::P256), pkcs8: Arc::new(Zeroizing::new(der.to_vec())), spki })
    }

    fn from_rsa(key: RsaPrivateKey) -> Result<Self, SigningKeyError> {
        let pkcs8 = key.to_pkcs8_der().map_err(|_| SigningKeyError::Operation)?.to_bytes();
        let spki = key.to_public_key().to_public_key_der().map_err(|_| SigningKeyError::Operation)?;
        let spki =
            SubjectPublicKeyInfoOwned::from_der(spki.as_bytes()).map_err(|_| SigningKeyError::Operation)?;
        Ok(Self { secret: Arc::new(Secret::Rsa(Box::new(key))), pkcs8: Arc::new(pkcs8), spki })
    }

    /// Reads a PEM file.
    ///
    /// # Errors
    /// [`SigningKeyError::File`] and [`SigningKeyError::Malformed`].
    pub fn load(path: &Path) -> Result<Self, SigningKeyError> {
        Self::from_pkcs8_pem(&Zeroizing::new(fs::read(path)?))
    }

    /// Writes a new PEM file that only its owner can read (mode 0600).
    ///
    /// # Errors
    /// [`SigningKeyError::File`], also when the file exists: a key is never overwritten.
    pub fn save_new(&self, path: &Path) -> Result<(), SigningKeyError> {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(self.to_pkcs8_pem().as_bytes())?;
        file.sync_all()?;
        Ok(())
    }

    /// The key as PKCS#8 PEM.
    pub fn to_pkcs8_pem(&self) -> Zeroizing<String> {
        Zeroizing::new(pem::block("PRIVATE KEY", &self.pkcs8))
    }

    /// The public half, as a certificate carries it.
    pub fn spki(&self) -> &SubjectPublicKeyInfoOwned {
        &self.spki
    }

    /// The public half, for verifying.
    ///
    /// # Errors
    /// [`SigningKeyError::Malformed`], which a key made here does not give.
    pub fn public_key(&self) -> Result<PublicKey, SigningKeyError> {
        PublicKey::from_spki(&self.spki).map_err(|_| SigningKeyError::Malformed)
    }

    /// The scheme this key signs certificates, lists and time stamps with.
    pub fn x509_scheme(&self) -> SignatureScheme {
        match *self.secret {
            Secret::Rsa(_) => SignatureScheme::RsaPkcs1Sha256,
            Secret::P256 => SignatureScheme::EcdsaSha256Asn1,
        }
    }

    /// Whether the key belongs to the certificate.
    pub fn is_key_of(&self, certificate: &super::Certificate) -> bool {
        self.public_key().is_ok_and(|key| key == *certificate.public_key())
    }

    /// Signs `message`.
    ///
    /// # Errors
    /// [`SigningKeyError::Scheme`] when the scheme does not fit the key.
    pub fn sign(
        &self,
        scheme: SignatureScheme,
        message: &[u8],
        random: &dyn SecureRandom,
    ) -> Result<Vec<u8>, SigningKeyError> {
        use SignatureScheme as S;
        match (&*self.secret, scheme) {
            (Secret::Rsa(key), S::RsaPkcs1Sha256) => rsa_pkcs1::<Sha256>(key, message),
            (Secret::Rsa(key), S::RsaPkcs1Sha384) => rsa_pkcs1::<Sha384>(key, message),
            (Secret::Rsa(key), S::RsaPkcs1Sha512) => rsa_pkcs1::<Sha512>(key, message),
            (Secret::Rsa(key), S::RsaPssSha256) => {
                let mut rng = RingRng(random);
                key.sign_with_rng(&mut rng, Pss::new::<Sha256>(), &Sha256::digest(message))
                    .map_err(|_| SigningKeyError::Operation)
            }
            (Secret::P256, S::EcdsaSha256Asn1 | S::EcdsaP256Sha256Fixed) => {
                let signature = p256(&self.pkcs8, random, scheme)?.sign(random, message);
                Ok(signature.map_err(|_| SigningKeyError::Operation)?.as_ref().to_vec())
            }
            _ => Err(SigningKeyError::Scheme),
        }
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match *self.secret {
            Secret::Rsa(_) => "SigningKey(RSA)",
            Secret::P256 => "SigningKey(P-256)",
        })
    }
}

fn p256(
    pkcs8: &[u8],
    random: &dyn SecureRandom,
    scheme: SignatureScheme,
) -> Result<EcdsaKeyPair, SigningKeyError> {
    let algorithm = match scheme {
        SignatureScheme::EcdsaP256Sha256Fixed => &ECDSA_P256_SHA256_FIXED_SIGNING,
        _ => &ECDSA_P256_SHA256_ASN1_SIGNING,
    };
    EcdsaKeyPair::from_pkcs8(algorithm, pkcs8, random).map_err(|_| SigningKeyError::Malformed)
}

fn p256_spki(point: &[u8]) -> Result<SubjectPublicKeyInfoOwned, der::Error> {
    use const_oid::db::rfc5912::{ID_EC_PUBLIC_KEY, SECP_256_R_1};
    let parameters = der::Any::from_der(&SECP_256_R_1.to_der()?)?;
    Ok(SubjectPublicKeyInfoOwned {
        algorithm: AlgorithmIdentifierOwned { oid: ID_EC_PUBLIC_KEY, parameters: Some(parameters) },
        subject_public_key: der::asn1::BitString::from_bytes(point)?,
    })
}

fn rsa_pkcs1<D>(key: &RsaPrivateKey, message: &[u8]) -> Result<Vec<u8>, SigningKeyError>
where
    D: rsa::sha2::Digest + rsa::pkcs8::AssociatedOid,
{
    key.sign(Pkcs1v15Sign::new::<D>(), &D::digest(message)).map_err(|_| SigningKeyError::Operation)
}

/// The random source of `ring` in the shape the `rsa` crate takes.
struct RingRng<'a>(&'a dyn SecureRandom);

impl rsa::rand_core::RngCore for RingRng<'_> {
    fn next_u32(&mut self) -> u32 {
        rsa::rand_core::impls::next_u32_via_fill(self)
    }

    fn next_u64(&mut self) -> u64 {
        rsa::rand_core::impls::next_u64_via_fill(self)
    }

    /// The trait has no error here; without randomness nothing may be signed.
    fn fill_bytes(&mut self, dest: &mut [u8]) {
        assert!(self.try_fill_bytes(dest).is_ok(), "the random source failed");
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), rsa::rand_core::Error> {
        self.0.fill(dest).map_err(|_| rsa::rand_core::Error::new("the random source failed"))
    }
}

impl rsa::rand_core::CryptoRng for RingRng<'_> {}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::trust::test_pki::PKI;

    #[test]
    fn each_scheme_of_a_key_verifies_and_no_other_signs() {
        use SignatureScheme as S;
        let all = [
            S::RsaPkcs1Sha256,
            S::RsaPkcs1Sha384,
            S::RsaPkcs1Sha512,
            S::RsaPssSha256,
            S::EcdsaSha256Asn1,
            S::EcdsaSha384Asn1,
            S::EcdsaP256Sha256Fixed,
        ];
        for (key, own) in [(&PKI.physician.key, &all[..4]), (&PKI.clinic.key, &[all[4], all[6]][..])] {
            let public = key.public_key().unwrap();
            for scheme in all {
                let signature = key.sign(scheme, b"text", &PKI.random);
                assert_eq!(signature.is_ok(), own.contains(&scheme), "{scheme:?}");
                if let Ok(signature) = signature {
                    public.verify(scheme, b"text", &signature).unwrap();
                    public.verify(scheme, b"test", &signature).unwrap_err();
                    for other in all.into_iter().filter(|other| *other != scheme) {
                        public.verify(other, b"text", &signature).unwrap_err();
                    }
                }
            }
        }
    }

    #[test]
    fn a_key_survives_its_file_which_only_its_owner_reads() {
        let directory = tempfile::tempdir().unwrap();
        for (name, identity) in [("rsa.key", &PKI.physician), ("ec.key", &PKI.clinic)] {
            let path = directory.path().join(name);
            identity.key.save_new(&path).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            assert!(SigningKey::load(&path).unwrap().is_key_of(&identity.certificate));
            assert!(!SigningKey::load(&path).unwrap().is_key_of(&PKI.patient.certificate));
            assert!(matches!(identity.key.save_new(&path), Err(SigningKeyError::File(_))));
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for text in [b"".as_slice(), PKI.clinic.certificate.to_pem().as_bytes()] {
            assert!(matches!(SigningKey::from_pkcs8_pem(text), Err(SigningKeyError::Malformed)));
        }
        let shown = format!("{:?}", PKI.physician.key);
        assert_eq!(shown, "SigningKey(RSA)");
    }
}
