//! `hikikae convert`: a document in another form, for reading. Never a signed original.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use hikikae::codec::eps_xml::{EpsDispensing, EpsPrescription};
use hikikae::codec::{cj1, sj1};

use super::document::{Envelope, Kind, cj1_read, read, sj1_inside, sj1_read, told};
use super::{Answer, print};

/// Write a document in another form: a rendering, never a signed original
#[derive(Args)]
#[command(after_help = "\
Examples:
  hikikae convert --to sj1 signed.xml > prescription.sj1.csv
  hikikae convert --to cj1 result.xml > dispensing.cj1.csv
  hikikae convert --to sj1 result.xml     (the prescription inside a dispensing result)

No signature is verified: see hikikae verify.")]
pub struct Convert {
    /// The form to write
    #[arg(long, value_enum, value_name = "FORM")]
    to: Target,
    /// SJ1, CJ1 or a signed EPS XML document; - for standard input
    file: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Target {
    /// Prescription as CSV (処方箋)
    Sj1,
    /// Dispensing result as CSV (調剤結果)
    Cj1,
    /// JP Core documents; not offered yet
    Fhir,
    /// Medicine notebook (電子版お薬手帳); not offered yet
    Notebook,
    /// Outpatient prescription symbol (院外処方箋2次元シンボル); not offered yet
    RxSymbol,
}

impl Convert {
    pub fn run(self) -> anyhow::Result<Answer> {
        if !matches!(self.to, Target::Sj1 | Target::Cj1) {
            bail!("this form is not offered yet; --to sj1 and --to cj1 are");
        }
        let bytes = read(&self.file)?;
        let payload = payload(self.to, &bytes).with_context(|| self.file.display().to_string())?;
        let written = if self.to == Target::Cj1 {
            let read = cj1_read(&payload)?;
            cj1::write(&read.value, &read.form)
        } else {
            let read = sj1_read(&payload)?;
            sj1::write(&read.value, &read.form)
        };
        eprintln!("note: this is a rendering, not a signed original");
        print(written)?;
        Ok(Answer::Yes)
    }
}

/// The CSV asked for, out of whatever holds it.
fn payload(to: Target, bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    Ok(match (Kind::of(bytes), to) {
        (Some(Kind::Sj1), Target::Sj1) | (Some(Kind::Cj1), Target::Cj1) => bytes.to_vec(),
        (Some(Kind::Sj1), _) => bail!("a prescription holds no dispensing result"),
        (Some(Kind::Cj1), _) => bail!("CJ1 alone does not hold the prescription; give the signed document"),
        (Some(Kind::Xml), _) => match (Envelope::of(bytes)?, to) {
            (Envelope::Prescription, Target::Cj1) => bail!("a prescription holds no dispensing result"),
            (Envelope::Prescription, _) => told(EpsPrescription::read(bytes))?.payload().to_vec(),
            (Envelope::Dispensing, Target::Cj1) => told(EpsDispensing::read(bytes))?.payload().to_vec(),
            (Envelope::Dispensing, _) => sj1_inside(&told(EpsDispensing::read(bytes))?)?.to_vec(),
        },
        (Some(Kind::Fhir), _) => bail!("FHIR documents cannot be converted yet"),
        (None, _) => bail!("neither SJ1, CJ1 nor a signed XML document"),
    })
}
