//! `hikikae convert`: a document in another form, for reading. Never a signed original.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use chrono::{FixedOffset, NaiveTime};
use clap::{Args, ValueEnum};
use hikikae::codec::eps_xml::{EpsDispensing, EpsPrescription};
use hikikae::codec::fault::{Fault, Form};
use hikikae::codec::notebook::{self, Dispensed, export};
use hikikae::codec::{cj1, fhir, rx_symbol, sj1};
use hikikae::prescription::document::Prescription;

use super::document::{Envelope, Kind, cj1_read, read, sj1_inside, sj1_read, told};
use super::{Answer, print};

/// Write a document in another form: a rendering, never a signed original
#[derive(Args)]
#[command(after_help = "\
Examples:
  hikikae convert --to sj1 signed.xml > prescription.sj1.csv
  hikikae convert --to cj1 result.xml > dispensing.cj1.csv
  hikikae convert --to fhir prescription.sj1.csv > prescription.json
  hikikae convert --to sj1 prescription.json
  hikikae convert --to sj1 result.xml     (the prescription inside a dispensing result)
  hikikae convert --to notebook result.xml > notebook.txt
  hikikae convert --to rx-symbol prescription.sj1.csv > symbol.txt

No signature is verified: see hikikae verify.")]
pub struct Convert {
    /// The form to write
    #[arg(long, value_enum, value_name = "FORM")]
    to: Target,
    /// SJ1, CJ1, a signed EPS XML document or the Bundle of a prescription; - for standard input
    file: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Target {
    /// Prescription as CSV (処方箋)
    Sj1,
    /// Dispensing result as CSV (調剤結果)
    Cj1,
    /// Prescription as a document Bundle of the JP ePrescription profile
    Fhir,
    /// Medicine notebook (電子版お薬手帳) of a signed dispensing result, Shift_JIS
    Notebook,
    /// Outpatient prescription symbol (院外処方箋2次元シンボル), Shift_JIS
    RxSymbol,
}

impl Convert {
    pub fn run(self) -> anyhow::Result<Answer> {
        let bytes = read(&self.file)?;
        let context = || self.file.display().to_string();
        let payload = |to| payload(to, &bytes).with_context(context);
        let (written, unsaid) = match (Kind::of(&bytes), self.to) {
            (Some(Kind::Fhir), Target::Sj1) => sj1_of_bundle(&bytes).with_context(context)?,
            (_, Target::Cj1) => {
                let read = cj1_read(&payload(Target::Cj1)?)?;
                (cj1::write(&read.value, &read.form), Vec::new())
            }
            (_, Target::Sj1) => {
                let read = sj1_read(&payload(Target::Sj1)?)?;
                (sj1::write(&read.value, &read.form), Vec::new())
            }
            (_, Target::Fhir) => bundle_of_sj1(&sj1_read(&payload(Target::Fhir)?)?.value)?,
            (_, Target::RxSymbol) => {
                let read = sj1_read(&payload(Target::Sj1)?)?;
                (rx_symbol::write(&read.value, &Form::default()), Vec::new())
            }
            (_, Target::Notebook) => {
                let (dispensing, prescription) = (payload(Target::Cj1)?, payload(Target::Sj1)?);
                (notebook_of(&dispensing, &prescription)?, Vec::new())
            }
        };
        eprintln!("note: this is a rendering, not a signed original");
        print(written)?;
        for fault in &unsaid {
            eprintln!("not said: {fault}");
        }
        Ok(if unsaid.is_empty() { Answer::Yes } else { Answer::No })
    }
}

/// A form, and what of the document it could not say.
type Rendering = (Vec<u8>, Vec<Fault>);

/// A prescription as a Bundle. The number of the document and its time, which SJ1 does not have, are taken from the
/// issue date.
fn bundle_of_sj1(prescription: &Prescription) -> anyhow::Result<Rendering> {
    let japan = FixedOffset::east_opt(9 * 3600).context("the offset of Japan")?;
    let midnight = prescription.issued_on.and_time(NaiveTime::MIN).and_local_timezone(japan);
    let date = midnight.single().context("the issue date has a midnight")?;
    let number = format!("{}-00000000", prescription.issued_on.format("%Y"));
    let bundle = fhir::prescription::write(prescription, &fhir::prescription::Header { number, date });
    let unsaid = match fhir::prescription::read(&bundle) {
        Ok(read) if read.value == *prescription => Vec::new(),
        Ok(_) => vec![whole("the Bundle does not say all that the prescription does")],
        Err(faults) => faults,
    };
    Ok((bundle, unsaid))
}

/// The prescription of a Bundle as SJ1. What SJ1 has no room for is told by where it stands in SJ1.
fn sj1_of_bundle(bytes: &[u8]) -> anyhow::Result<Rendering> {
    let read = told(fhir::prescription::read(bytes))?;
    for warning in &read.warnings {
        eprintln!("warning: {warning}");
    }
    let written = sj1::write(&read.value, &Form::default());
    let unsaid = match sj1::read(&written) {
        Ok(again) if again.value == read.value => Vec::new(),
        Ok(_) => vec![whole("commas, line breaks or tabs of a text were replaced")],
        Err(faults) => faults,
    };
    Ok((written, unsaid))
}

/// The notebook of one dispensing result and its prescription.
fn notebook_of(dispensing: &[u8], prescription: &[u8]) -> anyhow::Result<Vec<u8>> {
    let (dispensing, prescription) = (cj1_read(dispensing)?.value, sj1_read(prescription)?.value);
    let dispensed = Dispensed { dispensing: &dispensing, prescription: &prescription };
    let notebook = export(&[dispensed]).context("nothing was dispensed")?;
    Ok(notebook::write(&notebook, &Form::default()))
}

/// Something about the document as a whole.
fn whole(message: &str) -> Fault {
    Fault { place: "document".to_owned(), message: message.to_owned() }
}

/// The CSV asked for, out of whatever holds it.
fn payload(to: Target, bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    Ok(match (Kind::of(bytes), to) {
        (Some(Kind::Sj1), Target::Sj1 | Target::Fhir) | (Some(Kind::Cj1), Target::Cj1) => bytes.to_vec(),
        (Some(Kind::Sj1), _) => bail!("a prescription holds no dispensing result"),
        (Some(Kind::Cj1), _) => bail!("CJ1 alone does not hold the prescription; give the signed document"),
        (Some(Kind::Xml), _) => match (Envelope::of(bytes)?, to) {
            (Envelope::Prescription, Target::Cj1) => bail!("a prescription holds no dispensing result"),
            (Envelope::Prescription, _) => told(EpsPrescription::read(bytes))?.payload().to_vec(),
            (Envelope::Dispensing, Target::Cj1) => told(EpsDispensing::read(bytes))?.payload().to_vec(),
            (Envelope::Dispensing, _) => sj1_inside(&told(EpsDispensing::read(bytes))?)?.to_vec(),
        },
        (Some(Kind::Fhir), _) => bail!("a Bundle of a prescription can be converted to SJ1 only"),
        (None, _) => bail!("neither SJ1, CJ1 nor a signed XML document"),
    })
}
