//! Documents signed under the test certificates, for the tests of this room.

use std::path::PathBuf;

use uuid::Uuid;

use super::{Conversion, EpsPrescription, Signatory, dispensing_sign, prescription_sign};
use crate::trust::test_pki::{Identity, PKI};
use crate::trust::{AnchorKind, TrustStore};

pub const SJ1: &str = "SJ1\n1,1,1234567,13,試験診療所\n201,1,1,1,2,622688101,試験錠２５μｇ,2,1,錠\n";
pub const CJ1: &str = "CJ1,\n1,試験　患者,2,20110101,,,,,,\n";
pub const ID: Uuid = Uuid::from_u128(0x1439_e0c5_7c1d_8512_861d_263d_e484_17bf);

/// The test anchors with the signing authority among them, as a service keeps it that is sent only the signers'
/// certificates.
pub fn trust() -> TrustStore {
    let mut trust = PKI.store.clone();
    trust.anchor_add(AnchorKind::Hpki, PKI.hpki.certificate.clone());
    trust
}

pub fn signatory(identity: &Identity) -> Signatory<'_> {
    Signatory { certificate: &identity.certificate, key: &identity.key, time: PKI.now, random: &PKI.random }
}

pub fn original_by(identity: &Identity) -> String {
    let document = prescription_sign(SJ1.as_bytes(), &signatory(identity)).unwrap();
    String::from_utf8(document).unwrap()
}

/// A prescription by the test physician.
pub fn original() -> String {
    original_by(&PKI.physician)
}

/// The delivered form of an original.
pub fn delivered(original: &str) -> String {
    let read = EpsPrescription::read_original(original.as_bytes()).unwrap();
    let line = SJ1.lines().nth(2).unwrap();
    let conversion =
        Conversion::of_line(line, Some(("622688101", "試験錠")), Some(("2419001F4022", "試験&錠")), None)
            .unwrap();
    String::from_utf8(read.delivered(ID, &[conversion]).unwrap()).unwrap()
}

/// A dispensing result by the test pharmacist.
pub fn dispensing(delivered: &str) -> String {
    let read = EpsPrescription::read(delivered.as_bytes()).unwrap();
    let document = dispensing_sign(&read, CJ1.as_bytes(), &signatory(&PKI.pharmacist)).unwrap();
    String::from_utf8(document).unwrap()
}

/// The field sample, where it lies beside the project.
pub fn sample() -> Option<String> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("../shared/samples/Prescription-004_01.xml")).ok();
    if text.is_none() {
        eprintln!("skipped: the field sample is not here");
    }
    text
}
