//! Which signature an envelope must bear, over which element, by whom.

use chrono::{DateTime, Utc};
use roxmltree::NodeId;

use super::envelope::{EpsDispensing, EpsPrescription, ReferenceParts};
use crate::codec::jose::JosePrescription;
use crate::codec::signer::{DISPENSERS, PRESCRIBERS};
use crate::trust::verdict::{Check, CheckName, Outcome, Refusal, Verdict};
use crate::trust::xades::xades_verify;
use crate::trust::xml::Xml;
use crate::trust::{HcRole, TrustStore};

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
        match &self.parts.prescription {
            ReferenceParts::Eps(parts) => {
                verify(&self.xml, parts.signature_node, parts.document_node, &PRESCRIBERS, trust, at)
            }
            // That it reads was seen when the envelope was read.
            ReferenceParts::Jws(jws) => JosePrescription::read(jws.as_bytes())
                .map_or_else(|_| unsigned(at), |prescription| prescription.verify(trust, at)),
        }
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
    unsigned(at)
}

fn unsigned(at: DateTime<Utc>) -> Verdict {
    let outcome =
        Outcome::Failed { code: Refusal::DocumentInvalid, reason: "there is no signature".to_owned() };
    let checks = vec![Check { check: CheckName::Structure, subject: None, outcome }];
    Verdict { checks, level: None, signer: None, signing_time: None, base_time: at }
}

#[cfg(test)]
mod tests;
