//! `hikikae sign`: SJ1, CJ1 or a FHIR Bundle into the signed document that a clinic or a pharmacy sends.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use hikikae::clock::Clock;
use hikikae::codec::eps_xml::{
    EpsPrescription, Signatory, dispensing_over_jws_sign, dispensing_sign, prescription_sign,
};
use hikikae::codec::fhir;
use hikikae::codec::jose::{self, JOSE, JosePrescription};
use hikikae::prescription::dispensing::Dispensing;
use hikikae::trust::jws::JwsSignatory;
use hikikae::trust::{Algorithm, Certificate, SigningKey};
use ring::rand::SystemRandom;

use super::document::{Envelope, Kind, bundle_read, cj1_read, read, sj1_read, told};
use super::{Answer, print};

/// Sign a prescription (処方箋) or a dispensing result (調剤結果); the signed document goes to standard output
#[derive(Args)]
#[command(after_help = "\
Examples:
  hikikae sign prescription --cert physician.pem --key physician.key prescription.sj1.csv > signed.xml
  hikikae sign dispensing --cert pharmacist.pem --key pharmacist.key \\
      --prescription delivered.xml dispensing.cj1.csv > result.xml
  hikikae sign prescription --form jose --cert physician.pem --key physician.key bundle.json > signed.jws
  hikikae sign dispensing --form jose --cert pharmacist.pem --key pharmacist.key \\
      --prescription signed.jws dispensing.cj1.csv > result.jws

Of a prescription, --form xml signs SJ1 and --form jose a Bundle, byte for byte. Of a dispensing
result, --form jose puts what --prescription names into the Bundle, unless it is there already, and
turns CJ1 into one; a prescription delivered in either form may be answered in either.

The document is checked before it is signed: faults are told on standard error, one a line, and the
exit code is 2. The exchange delivers a prescription as `document` in the answer of $accept (Base64);
that form, with its PrescriptionId, is what --prescription takes.")]
pub struct Sign {
    /// What is signed
    #[arg(value_enum)]
    what: What,
    /// The signer's HPKI certificate, PEM, first of the file; JOSE carries the others of the file as its chain
    #[arg(long, value_name = "FILE")]
    cert: PathBuf,
    /// Its private key, PKCS#8 PEM without password; RSA, for JOSE also P-256
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The form of the signed document
    #[arg(long, value_enum, default_value_t = Form::Xml)]
    form: Form,
    /// For a dispensing result: the prescription as the exchange delivered it
    #[arg(long, value_name = "SIGNED", required_if_eq("what", "dispensing"))]
    prescription: Option<PathBuf>,
    /// SJ1 or a Bundle for a prescription, CJ1 or a Bundle for a dispensing result; - for standard input
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
    /// Compact JWS of a FHIR Bundle
    Jose,
}

/// A prescription as the exchange delivered it.
enum Delivered<'b> {
    Xml(EpsPrescription<'b>),
    Jose(JosePrescription<'b>),
}

impl Sign {
    pub fn run(self) -> anyhow::Result<Answer> {
        let input = read(&self.input)?;
        let chain = chain(&self.cert)?;
        let key = SigningKey::load(&self.key).with_context(|| self.key.display().to_string())?;
        let (time, random) = (Clock::system().now(), SystemRandom::new());
        let signatory = JwsSignatory {
            chain: &chain,
            key: &key,
            algorithm: Algorithm::of_key(&key),
            time,
            random: &random,
        };
        let signed = match (self.what, &self.prescription) {
            (What::Prescription, None) => prescription(self.form, &input, &signatory)?,
            (What::Dispensing, Some(path)) => {
                let bytes = read(path)?;
                let delivered = Delivered::of(&bytes).with_context(|| path.display().to_string())?;
                match self.form {
                    Form::Xml => dispensing_xml(&input, &delivered, &signatory)?,
                    Form::Jose => dispensing_jose(&input, &delivered, &bytes, &signatory)?,
                }
            }
            (What::Prescription, Some(_)) => bail!("--prescription goes with a dispensing result only"),
            (What::Dispensing, None) => bail!("a dispensing result needs --prescription"),
        };
        print(signed)?;
        Ok(Answer::Yes)
    }
}

impl<'b> Delivered<'b> {
    fn of(bytes: &'b [u8]) -> anyhow::Result<Self> {
        if Kind::of(bytes) == Some(Kind::Jws) {
            let delivered = told(JosePrescription::read(bytes))?;
            bundle_read(delivered.payload())?;
            return Ok(Self::Jose(delivered));
        }
        if Envelope::of(bytes)? != Envelope::Prescription {
            bail!("a dispensing result, where a prescription is expected");
        }
        let delivered = told(EpsPrescription::read(bytes))?;
        if delivered.prescription_id().is_none() {
            bail!(
                "the clinic's original, without a PrescriptionId; give the form that the exchange delivered"
            );
        }
        Ok(Self::Xml(delivered))
    }

    fn media_type(&self) -> &'static str {
        match self {
            Self::Xml(_) => "application/xml",
            Self::Jose(_) => JOSE,
        }
    }

    /// Whether a result may answer this prescription; a JWS does not say which it is.
    fn answered_by(&self, result: &Dispensing) -> anyhow::Result<()> {
        let (Self::Xml(delivered), Some(other)) = (self, result.prescription_id) else { return Ok(()) };
        match delivered.prescription_id() {
            Some(id) if id != other => bail!("the CJ1 answers prescription {other}, not {id} as delivered"),
            _ => Ok(()),
        }
    }
}

fn xml_signatory<'s>(signatory: &JwsSignatory<'s>) -> anyhow::Result<Signatory<'s>> {
    let JwsSignatory { chain, key, time, random, .. } = *signatory;
    Ok(Signatory { certificate: chain.first().context("no certificate")?, key, time, random })
}

fn prescription(form: Form, input: &[u8], signatory: &JwsSignatory<'_>) -> anyhow::Result<Vec<u8>> {
    match (form, Kind::of(input)) {
        (Form::Xml, Some(Kind::Bundle)) => bail!("FHIR documents are signed with --form jose"),
        (Form::Xml, _) => {
            sj1_read(input)?;
            Ok(prescription_sign(input, &xml_signatory(signatory)?)?)
        }
        (Form::Jose, Some(Kind::Bundle)) => {
            bundle_read(input)?;
            Ok(jose::sign(input, signatory)?)
        }
        // The number and the time of the document, which only the clinic knows, would have to be made up.
        (Form::Jose, _) => bail!(
            "--form jose signs a FHIR Bundle; write one with hikikae convert --to fhir, give it the number \
             and the time of your document, and sign that"
        ),
    }
}

fn dispensing_xml(
    input: &[u8],
    delivered: &Delivered<'_>,
    signatory: &JwsSignatory<'_>,
) -> anyhow::Result<Vec<u8>> {
    if Kind::of(input) == Some(Kind::Bundle) {
        bail!("FHIR documents are signed with --form jose");
    }
    delivered.answered_by(&cj1_read(input)?.value)?;
    let signatory = xml_signatory(signatory)?;
    Ok(match delivered {
        Delivered::Xml(delivered) => dispensing_sign(delivered, input, &signatory)?,
        Delivered::Jose(delivered) => dispensing_over_jws_sign(delivered, input, &signatory)?,
    })
}

fn dispensing_jose(
    input: &[u8],
    delivered: &Delivered<'_>,
    bytes: &[u8],
    signatory: &JwsSignatory<'_>,
) -> anyhow::Result<Vec<u8>> {
    let given = (delivered.media_type(), bytes);
    let (result, inside) = if Kind::of(input) == Some(Kind::Bundle) {
        let document = told(fhir::dispensing::read(input))?;
        (document.dispensing, document.prescription)
    } else {
        (cj1_read(input)?.value, None)
    };
    delivered.answered_by(&result)?;
    match inside {
        Some(inside) if (inside.media_type.as_str(), inside.bytes.as_slice()) == given => {
            Ok(jose::sign(input, signatory)?)
        }
        Some(inside) => bail!("{}: another prescription than the one delivered", inside.place),
        None => {
            eprintln!("note: a Bundle was written that holds the prescription, and signed");
            Ok(jose::sign(&fhir::dispensing::write(&result, Some(given), signatory.time), signatory)?)
        }
    }
}

/// The certificates of a file, the signer's first.
fn chain(path: &Path) -> anyhow::Result<Vec<Certificate>> {
    let name = || path.display().to_string();
    let chain = Certificate::from_pem_many(&fs::read(path).with_context(name)?).with_context(name)?;
    if chain.is_empty() {
        bail!("{}: no certificate", name());
    }
    Ok(chain)
}
