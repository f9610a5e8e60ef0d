//! Which signature an envelope must bear, over which element, by whom.

use chrono::{DateTime, Utc};
use roxmltree::NodeId;

use super::envelope::{EpsDispensing, EpsPrescription};
use crate::trust::verdict::{Check, CheckName, Outcome, Refusal, Verdict};
use crate::trust::xades::xades_verify;
use crate::trust::xml::Xml;
use crate::trust::{HcRole, TrustStore};

const PRESCRIBERS: [HcRole; 2] = [HcRole::MedicalDoctor, HcRole::Dentist];
const DISPENSERS: [HcRole; 1] = [HcRole::Pharmacist];

impl EpsPrescription<'_> {
    /// Verifies the prescriber's signature: over `PrescriptionDocument`, by a physician or a dentist.
    pub fn verify(&self, trust: &TrustStore, at: DateTime<Utc>) -> Verdict {
        let parts = &self.parts;
        verify(&self.xml, parts.signature_node, parts.document_node, &PRESCRIBERS, trust, at)
    }
}

impl EpsDispensing<'_> {
    /// Verifies the pharmacist's signature: over `Dispensing`, which holds the prescription with its signature.
    pub fn verify(&self, trust: &TrustStore, at: DateTime<Utc>) -> Verdict {
        let parts = &self.parts;
        verify(&self.xml, parts.signature_node, parts.dispensing_node, &DISPENSERS, trust, at)
    }

    /// Verifies the prescriber's signature on the prescription inside.
    pub fn prescription_verify(&self, trust: &TrustStore, at: DateTime<Utc>) -> Verdict {
        let parts = &self.parts.prescription;
        verify(&self.xml, parts.signature_node, parts.document_node, &PRESCRIBERS, trust, at)
    }
}

fn verify(
    xml: &Xml<'_>,
    signature: NodeId,
    content: NodeId,
    roles: &[HcRole],
    trust: &TrustStore,
    at: DateTime<Utc>,
) -> Verdict {
    if let (Some(signature), Some(content)) = (xml.node(signature), xml.node(content)) {
        return xades_verify(xml, signature, content, roles, trust, at);
    }
    let outcome = Outcome::Failed { code: Refusal::DocumentInvalid, reason: "there is no signature".to_owned() };
    let checks = vec![Check { check: CheckName::Structure, subject: None, outcome }];
    Verdict { checks, level: None, signer: None, signing_time: None, base_time: at }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::{AnchorKind, Certificate, TrustPolicy};

    #[test]
    fn zz_sample() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/samples/Prescription-004_01.xml");
        let bytes = std::fs::read(path).unwrap();
        let read = EpsPrescription::read(&bytes).unwrap();
        let mut trust = TrustStore::new(TrustPolicy::default());
        for node in read.xml.nodes().filter(|n| n.tag_name().name() == "EncapsulatedX509Certificate") {
            use base64::prelude::*;
            let der = BASE64_STANDARD.decode(node.text().unwrap().replace('\n', "")).unwrap();
            let c = Certificate::from_der(&der).unwrap();
            if c.is_self_issued() {
                eprintln!("{:?}", c.subject());
                let kind = if c.subject().common_name().is_some_and(|n| n.contains("TimeStamp")) { AnchorKind::Tsa } else { AnchorKind::Hpki };
                trust.anchor_add(kind, c);
            }
        }
        let verdict = read.verify(&trust, "2026-11-20T00:00:00Z".parse().unwrap());
        eprintln!("{verdict}");
        panic!();
    }
}
