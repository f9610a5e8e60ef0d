//! `hikikae sign`: SJ1 or CJ1 into the signed document that a clinic or a pharmacy sends.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use hikikae::clock::Clock;
use hikikae::codec::eps_xml::{EpsPrescription, Signatory, dispensing_sign, prescription_sign};
use hikikae::trust::{Certificate, SigningKey};
use ring::rand::SystemRandom;

use super::document::{Envelope, Kind, cj1_read, read, sj1_read, told};
use super::{Answer, print};

/// Sign a prescription (処方箋) or a dispensing result (調剤結果); the signed document goes to standard output
#[derive(Args)]
#[command(after_help = "\
Examples:
  hikikae sign prescription --cert physician.pem --key physician.key prescription.sj1.csv > signed.xml
  hikikae sign dispensing --cert pharmacist.pem --key pharmacist.key \\
      --prescription delivered.xml dispensing.cj1.csv > result.xml

The document is checked before it is signed: faults are told on standard error, one a line, and the
exit code is 2. The exchange delivers a prescription as `document` in the answer of $accept (Base64);
that form, with its PrescriptionId, is what --prescription takes.")]
pub struct Sign {
    /// What is signed
    #[arg(value_enum)]
    what: What,
    /// The signer's HPKI certificate, PEM; the first of the file when there are several
    #[arg(long, value_name = "FILE")]
    cert: PathBuf,
    /// Its private key, PKCS#8 PEM without password, RSA
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The form of the signed document
    #[arg(long, value_enum, default_value_t = Form::Xml)]
    form: Form,
    /// For a dispensing result: the prescription as the exchange delivered it
    #[arg(long, value_name = "SIGNED", required_if_eq("what", "dispensing"))]
    prescription: Option<PathBuf>,
    /// SJ1 for a prescription, CJ1 for a dispensing result; - for standard input
    #[arg(value_name = "IN")]
    input: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    Prescription,
    Dispensing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// EPS XML with XAdES
    Xml,
    /// Compact JWS of a FHIR Bundle; not offered yet
    Jose,
}

impl Sign {
    pub fn run(self) -> anyhow::Result<Answer> {
        if self.form == Form::Jose {
            bail!("--form jose is not offered yet; sign SJ1 or CJ1 with --form xml");
        }
        let payload = read(&self.input)?;
        if Kind::of(&payload) == Some(Kind::Fhir) {
            bail!("FHIR documents cannot be signed yet; give SJ1 or CJ1");
        }
        let certificate = certificate(&self.cert)?;
        let key = SigningKey::load(&self.key).with_context(|| self.key.display().to_string())?;
        let random = SystemRandom::new();
        let signatory =
            Signatory { certificate: &certificate, key: &key, time: Clock::system().now(), random: &random };
        let signed = match (self.what, &self.prescription) {
            (What::Prescription, None) => {
                sj1_read(&payload)?;
                prescription_sign(&payload, &signatory)?
            }
            (What::Dispensing, Some(path)) => dispensing(&payload, path, &signatory)?,
            (What::Prescription, Some(_)) => bail!("--prescription goes with a dispensing result only"),
            (What::Dispensing, None) => bail!("a dispensing result needs --prescription"),
        };
        print(signed)?;
        Ok(Answer::Yes)
    }
}

fn dispensing(payload: &[u8], path: &Path, signatory: &Signatory<'_>) -> anyhow::Result<Vec<u8>> {
    let result = cj1_read(payload)?.value;
    let name = || path.display().to_string();
    let bytes = read(path)?;
    if Envelope::of(&bytes).with_context(name)? != Envelope::Prescription {
        bail!("{}: a dispensing result, where a prescription is expected", name());
    }
    let delivered = told(EpsPrescription::read(&bytes)).with_context(name)?;
    let Some(id) = delivered.prescription_id() else {
        bail!(
            "{}: the clinic's original, without a PrescriptionId; give the form that the exchange delivered",
            name()
        );
    };
    if let Some(other) = result.prescription_id.filter(|other| *other != id) {
        bail!("the CJ1 answers prescription {other}, and {} is {id}", name());
    }
    Ok(dispensing_sign(&delivered, payload, signatory)?)
}

fn certificate(path: &Path) -> anyhow::Result<Certificate> {
    let name = || path.display().to_string();
    let text = fs::read(path).with_context(name)?;
    let first = Certificate::from_pem_many(&text).with_context(name)?.into_iter().next();
    first.with_context(|| format!("{}: no certificate", name()))
}
