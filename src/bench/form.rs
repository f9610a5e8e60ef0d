//! The signed forms of documents: what each is sent as, and how each is signed over the same draft.

use bytes::Bytes;
use chrono::{DateTime, Datelike as _, Utc};
use ring::rand::SystemRandom;

use super::BenchError;
use super::cast::Place;
use super::population::Drawn;
use crate::clock::japanese_date;
use crate::codec::eps_xml::{EpsPrescription, Signatory, dispensing_sign, prescription_sign};
use crate::codec::{cj1, fhir, jose, sj1};
use crate::trust::jws::JwsSignatory;
use crate::trust::{Algorithm, Certificate};

/// A signed form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// EPS XML with XAdES.
    #[default]
    Xml,
    /// Compact JWS of a FHIR Bundle.
    Jose,
}

impl Form {
    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Xml => "application/xml",
            Self::Jose => "application/jose",
        }
    }

    /// The extension of a file of such documents.
    pub(super) fn extension(self) -> &'static str {
        match self {
            Self::Xml => "xml.pack",
            Self::Jose => "jose.pack",
        }
    }

    pub(super) fn prescription(
        self,
        drawn: Drawn,
        sj1: &[u8],
        by: &Place,
        now: DateTime<Utc>,
    ) -> Result<Bytes, BenchError> {
        let random = SystemRandom::new();
        Ok(match self {
            Self::Xml => prescription_sign(sj1, &xades(by, now, &random))?,
            Self::Jose => {
                let prescription = sj1::read(sj1).map_err(|_| BenchError::Unreadable("SJ1"))?.value;
                let number = format!(
                    "{}-{:08}",
                    japanese_date(now).year(),
                    (drawn.person * 1000 + drawn.round) % 100_000_000
                );
                let header = fhir::prescription::Header { number, date: now.fixed_offset() };
                jws(&fhir::prescription::write(&prescription, &header), by, now, &random)?
            }
        }
        .into())
    }

    pub(super) fn dispensing(
        self,
        delivered: &[u8],
        cj1: &[u8],
        by: &Place,
        now: DateTime<Utc>,
    ) -> Result<Bytes, BenchError> {
        let random = SystemRandom::new();
        Ok(match self {
            Self::Xml => {
                let prescription =
                    EpsPrescription::read(delivered).map_err(|_| BenchError::Unreadable("delivered form"))?;
                dispensing_sign(&prescription, cj1, &xades(by, now, &random))?
            }
            Self::Jose => {
                let result = cj1::read(cj1).map_err(|_| BenchError::Unreadable("CJ1"))?.value;
                let document = fhir::dispensing::write(&result, Some((self.media_type(), delivered)), now);
                jws(&document, by, now, &random)?
            }
        }
        .into())
    }
}

fn xades<'s>(by: &'s Place, time: DateTime<Utc>, random: &'s SystemRandom) -> Signatory<'s> {
    Signatory { certificate: &by.signing.certificate, key: &by.signing.key, time, random }
}

fn jws(
    document: &[u8],
    by: &Place,
    time: DateTime<Utc>,
    random: &SystemRandom,
) -> Result<Vec<u8>, BenchError> {
    let chain: Vec<Certificate> =
        [&by.signing.certificate].into_iter().chain(&by.signing.chain).cloned().collect();
    let key = &by.signing.key;
    let signatory = JwsSignatory { chain: &chain, key, algorithm: Algorithm::of_key(key), time, random };
    Ok(jose::sign(document, &signatory)?)
}
