//! `hikikae verify`: the verdict on every signature of a signed document.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use chrono::{DateTime, Utc};
use clap::Args;
use hikikae::clock::Clock;
use hikikae::codec::eps_xml::{EpsDispensing, EpsPrescription};
use hikikae::codec::fault::Fault;
use hikikae::codec::fhir;
use hikikae::codec::fhir::dispensing::Embedded;
use hikikae::codec::jose::{JOSE, JoseDispensing, JosePrescription};
use hikikae::trust::verdict::{Check, CheckName, Outcome, Refusal, Verdict};
use hikikae::trust::{TrustPolicy, TrustStore};
use serde_json::{Value, json};
use uuid::Uuid;

use super::document::{Envelope, Kind, read, told};
use super::{Answer, print};

/// Verify the signatures of a prescription or a dispensing result, and say what each check found
#[derive(Args)]
#[command(after_help = "\
Examples:
  hikikae verify --trust .hikikae/demo/pki/trust signed.xml
  hikikae verify --trust anchors --at 2026-04-01T09:00:00+09:00 --json signed.xml
  hikikae verify --trust anchors signed.jws

DIR holds anchors in hpki/*.pem (signers) and tsa/*.pem (time stamps), and revocation lists in crl/*.
Certificates and lists that the document carries are used when they verify. Certificates are judged
at the time of the signature's time stamp when that verifies, else at --at.

Exit codes: 0 every signature is valid, 1 not valid, 2 not a signed document that can be read.")]
pub struct Verify {
    /// Directory of trust anchors and revocation lists; without it nobody is trusted
    #[arg(long, value_name = "DIR")]
    trust: Option<PathBuf>,
    /// The instant to judge at, RFC 3339; now when left out
    #[arg(long, value_name = "TIME", value_parser = instant)]
    at: Option<DateTime<Utc>>,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
    /// The signed document, EPS XML or compact JWS; - for standard input
    file: PathBuf,
}

fn instant(text: &str) -> Result<DateTime<Utc>, String> {
    let time = DateTime::parse_from_rfc3339(text);
    time.map(|time| time.to_utc()).map_err(|_| "expected a time such as 2026-04-01T09:00:00+09:00".to_owned())
}

/// What was verified: the document and each of its signatures, the outer one first.
struct Report {
    document: &'static str,
    prescription_id: Option<Uuid>,
    signatures: Vec<(&'static str, Verdict)>,
}

impl Verify {
    pub fn run(self) -> anyhow::Result<Answer> {
        let bytes = read(&self.file)?;
        let name = || self.file.display().to_string();
        let trust = match &self.trust {
            Some(directory) => trust_load(directory)?,
            None => TrustStore::new(TrustPolicy::default()),
        };
        let at = self.at.unwrap_or_else(|| Clock::system().now());
        let mut report = match Kind::of(&bytes) {
            Some(Kind::Bundle) => bail!("{}: a FHIR document without a signature", name()),
            Some(Kind::Sj1 | Kind::Cj1) => bail!("{}: CSV without a signature", name()),
            Some(Kind::Jws) => jws_report(&bytes, &trust, at).with_context(name)?,
            Some(Kind::Xml) | None => report(Envelope::of(&bytes).with_context(name)?, &bytes, &trust, at),
        };
        if self.trust.is_none() {
            report.trust_missed();
        }
        if self.json {
            print(format!("{:#}\n", report.to_json()?))?;
        } else {
            print(report.to_text())?;
        }
        Ok(if report.is_valid() { Answer::Yes } else { Answer::No })
    }
}

fn trust_load(directory: &Path) -> anyhow::Result<TrustStore> {
    if !directory.is_dir() {
        bail!("{}: no such directory", directory.display());
    }
    Ok(TrustStore::load(directory, TrustPolicy::default())?)
}

fn report(envelope: Envelope, bytes: &[u8], trust: &TrustStore, at: DateTime<Utc>) -> Report {
    match envelope {
        Envelope::Prescription => {
            let read = EpsPrescription::read(bytes);
            Report {
                document: "prescription",
                prescription_id: read.as_ref().ok().and_then(EpsPrescription::prescription_id),
                signatures: match read {
                    Ok(read) => vec![("prescription", read.verify(trust, at))],
                    Err(faults) => vec![("prescription", unstructured(faults, at))],
                },
            }
        }
        Envelope::Dispensing => {
            let read = EpsDispensing::read(bytes);
            Report {
                document: "dispensing",
                prescription_id: read.as_ref().ok().and_then(EpsDispensing::prescription_id),
                signatures: match read {
                    Ok(read) => vec![
                        ("dispensing", read.verify(trust, at)),
                        ("prescription", read.prescription_verify(trust, at)),
                    ],
                    Err(faults) => vec![("dispensing", unstructured(faults, at))],
                },
            }
        }
    }
}

/// The verdicts on a compact JWS; what it is stands in its payload.
fn jws_report(bytes: &[u8], trust: &TrustStore, at: DateTime<Utc>) -> anyhow::Result<Report> {
    let prescription = told(JosePrescription::read(bytes))?;
    if !fhir::dispensing::is_one(prescription.payload()) {
        let signatures = vec![("prescription", prescription.verify(trust, at))];
        return Ok(Report { document: "prescription", prescription_id: None, signatures });
    }
    let dispensing = told(JoseDispensing::read(bytes))?;
    let mut signatures = vec![("dispensing", dispensing.verify(trust, at))];
    let mut prescription_id = None;
    match dispensing.document() {
        Ok(document) => {
            prescription_id = document.dispensing.prescription_id;
            let inside = document.prescription.iter();
            signatures.extend(inside.map(|inside| ("prescription", embedded_verdict(inside, trust, at))));
        }
        Err(faults) => signatures.push(("prescription", unstructured(faults, at))),
    }
    Ok(Report { document: "dispensing", prescription_id, signatures })
}

/// The verdict on the prescription that a Bundle holds.
fn embedded_verdict(embedded: &Embedded, trust: &TrustStore, at: DateTime<Utc>) -> Verdict {
    let bytes = &embedded.bytes;
    let verdict = if embedded.media_type == JOSE {
        JosePrescription::read(bytes).map(|read| read.verify(trust, at))
    } else {
        EpsPrescription::read(bytes).map(|read| read.verify(trust, at))
    };
    verdict.unwrap_or_else(|faults| unstructured(faults, at))
}

/// The verdict on an envelope that is not built as it must be: one failed check a fault, as when the signature is not.
fn unstructured(faults: Vec<Fault>, at: DateTime<Utc>) -> Verdict {
    let check = |fault: Fault| {
        let outcome = Outcome::Failed { code: Refusal::DocumentInvalid, reason: fault.message };
        Check { check: CheckName::Structure, subject: Some(fault.place), outcome }
    };
    let checks = faults.into_iter().map(check).collect();
    Verdict { checks, level: None, signer: None, signing_time: None, base_time: at }
}

impl Report {
    fn is_valid(&self) -> bool {
        self.signatures.iter().all(|(_, verdict)| verdict.is_valid())
    }

    /// Says beside every missing anchor that none were given.
    fn trust_missed(&mut self) {
        for check in self.signatures.iter_mut().flat_map(|(_, verdict)| &mut verdict.checks) {
            if let Outcome::Failed { code: Refusal::CertificateUntrusted, reason } = &mut check.outcome {
                reason.push_str("; no trust anchors were given: use --trust DIR");
            }
        }
    }

    fn to_json(&self) -> anyhow::Result<Value> {
        let signature = |(over, verdict): &(&str, Verdict)| {
            let mut value = json!({ "signature": over, "valid": verdict.is_valid() });
            if let (Value::Object(all), Value::Object(verdict)) = (&mut value, serde_json::to_value(verdict)?)
            {
                all.extend(verdict);
            }
            Ok(value)
        };
        let signatures = self.signatures.iter().map(signature).collect::<anyhow::Result<Vec<_>>>()?;
        Ok(json!({
            "document": self.document,
            "prescription_id": self.prescription_id,
            "valid": self.is_valid(),
            "signatures": signatures,
        }))
    }

    fn to_text(&self) -> String {
        let mut text = format!("document        {}", self.document);
        if let Some(id) = self.prescription_id {
            let of = if self.document == "prescription" { "" } else { " of prescription" };
            let _ = write!(text, "{of} {id}");
        }
        text.push('\n');
        for (over, verdict) in &self.signatures {
            let whose = if *over == "dispensing" { "the pharmacist's" } else { "the prescriber's" };
            let _ = write!(text, "\nsignature       {over}, {whose}\n{verdict}\n");
        }
        if self.signatures.len() > 1 {
            text.push_str(if self.is_valid() { "\nboth valid\n" } else { "\nnot valid\n" });
        }
        text
    }
}
