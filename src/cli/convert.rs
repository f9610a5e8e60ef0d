//! `hikikae convert`: a document in another form, for reading. Never a signed original.

use std::path::PathBuf;

use anyhow::Context as _;
use chrono::{DateTime, FixedOffset, NaiveDate, NaiveTime};
use clap::{Args, ValueEnum};
use hikikae::codec::fault::{Fault, Form};
use hikikae::codec::notebook::{self, Dispensed, Version, export};
use hikikae::codec::{cj1, fhir, rx_symbol, sj1};
use hikikae::prescription::dispensing::Dispensing;
use hikikae::prescription::document::Prescription;

use super::document::{Content, Said, read};
use super::{Answer, print};

/// Write a document in another form: a rendering, never a signed original
#[derive(Args)]
#[command(after_help = "\
Examples:
  hikikae convert --to sj1 signed.xml > prescription.sj1.csv
  hikikae convert --to cj1 result.xml > dispensing.cj1.csv
  hikikae convert --to fhir prescription.sj1.csv > prescription.json
  hikikae convert --to fhir dispensing.cj1.csv > dispensing.json
  hikikae convert --to sj1 signed.jws
  hikikae convert --to sj1 result.xml     (the prescription inside a dispensing result)
  hikikae convert --to notebook result.xml > notebook.txt
  hikikae convert --to notebook-07 result.xml > notebook.txt
  hikikae convert --to rx-symbol prescription.sj1.csv > symbol.txt

A Bundle of a dispensing result is written without the prescription inside: hikikae sign puts in the
one that was delivered. No signature is verified: see hikikae verify.")]
pub struct Convert {
    /// The form to write
    #[arg(long, value_enum, value_name = "FORM")]
    to: Target,
    /// SJ1, CJ1, a FHIR Bundle, or a signed document (EPS XML, compact JWS); - for standard input
    file: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Target {
    /// Prescription as CSV (処方箋)
    Sj1,
    /// Dispensing result as CSV (調剤結果)
    Cj1,
    /// FHIR Bundle of what the document is: a prescription of the JP ePrescription profile, or a dispensing result
    Fhir,
    /// Medicine notebook (電子版お薬手帳, JAHISTC08) of a signed dispensing result, Shift_JIS
    Notebook,
    /// The same in the version before, JAHISTC07
    #[value(name = "notebook-07")]
    Notebook07,
    /// Outpatient prescription symbol (院外処方箋2次元シンボル), Shift_JIS
    RxSymbol,
}

impl Convert {
    pub fn run(self) -> anyhow::Result<Answer> {
        let bytes = read(&self.file)?;
        let (written, unsaid) =
            rendering(self.to, &bytes).with_context(|| self.file.display().to_string())?;
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

fn rendering(to: Target, bytes: &[u8]) -> anyhow::Result<Rendering> {
    let content = Content::of(bytes)?;
    match (to, &content) {
        (Target::Sj1, _) => {
            let Said { value, form, .. } = content.prescription()?;
            let written = sj1::write(&value, &form);
            let unsaid = csv_unsaid(sj1::read(&written).map(|again| again.value == value));
            Ok((written, unsaid))
        }
        (Target::Cj1, _) => {
            let Said { value, form, .. } = content.dispensing()?;
            let written = cj1::write(&value, &form);
            let unsaid = csv_unsaid(cj1::read(&written).map(|again| again.value == value));
            Ok((written, unsaid))
        }
        (Target::Fhir, Content::Prescription(_)) => bundle_of_prescription(&content.prescription()?.value),
        (Target::Fhir, Content::Dispensing(..)) => bundle_of_dispensing(&content.dispensing()?.value),
        (Target::RxSymbol, _) => {
            Ok((rx_symbol::write(&content.prescription()?.value, &Form::default()), Vec::new()))
        }
        (Target::Notebook | Target::Notebook07, _) => {
            let version = if to == Target::Notebook07 { Version::Tc07 } else { Version::Tc08 };
            let (dispensing, prescription) = (content.dispensing()?.value, content.prescription()?.value);
            let dispensed = Dispensed { dispensing: &dispensing, prescription: &prescription };
            let notebook = export(&[dispensed], version).context("nothing was dispensed")?;
            Ok((notebook::write(&notebook, &Form::default()), Vec::new()))
        }
    }
}

/// What CSV has no room for, told by where it stands there. `again` says whether what was written reads as the same.
fn csv_unsaid(again: Result<bool, Vec<Fault>>) -> Vec<Fault> {
    unsaid(again, "commas, line breaks or tabs of a text were replaced")
}

fn unsaid(again: Result<bool, Vec<Fault>>, otherwise: &str) -> Vec<Fault> {
    match again {
        Ok(true) => Vec::new(),
        Ok(false) => vec![whole(otherwise)],
        Err(faults) => faults,
    }
}

/// A prescription as a Bundle. The number of the document and its time, which SJ1 does not have, are taken from the
/// issue date.
fn bundle_of_prescription(prescription: &Prescription) -> anyhow::Result<Rendering> {
    let date = midnight(prescription.issued_on)?;
    let number = format!("{}-00000000", prescription.issued_on.format("%Y"));
    let bundle = fhir::prescription::write(prescription, &fhir::prescription::Header { number, date });
    let again = fhir::prescription::read(&bundle).map(|read| read.value == *prescription);
    Ok((bundle, unsaid(again, "the Bundle does not say all that the prescription does")))
}

/// A dispensing result as a Bundle, made at the beginning of its day.
fn bundle_of_dispensing(dispensing: &Dispensing) -> anyhow::Result<Rendering> {
    let bundle = fhir::dispensing::write(dispensing, None, midnight(dispensing.dispensed_on)?.to_utc());
    let again = fhir::dispensing::read(&bundle).map(|read| read.dispensing == *dispensing);
    Ok((bundle, unsaid(again, "the Bundle does not say all that the result does")))
}

/// The beginning of a day in Japan.
fn midnight(day: NaiveDate) -> anyhow::Result<DateTime<FixedOffset>> {
    let japan = FixedOffset::east_opt(9 * 3600).context("the offset of Japan")?;
    day.and_time(NaiveTime::MIN).and_local_timezone(japan).single().context("the day has a midnight")
}

/// Something about the document as a whole.
fn whole(message: &str) -> Fault {
    Fault { place: "document".to_owned(), message: message.to_owned() }
}
