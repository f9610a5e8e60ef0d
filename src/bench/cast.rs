//! Who sends: the facilities and signers of a sandbox directory (`personas.json`, contract §6), with their keys.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::BenchError;
use crate::prescription::identifier::InstitutionCode;
use crate::sandbox::persona::{FacilityPersona, PractitionerPersona};
use crate::sandbox::pki::Credential;
use crate::store::directory::FacilityKind;
use crate::trust::{Certificate, SigningKey};

#[derive(Deserialize)]
struct Listing {
    base_url: String,
    facilities: Vec<ListedFacility>,
    practitioners: Vec<ListedPractitioner>,
}

#[derive(Deserialize)]
struct Files {
    cert: PathBuf,
    chain: Vec<PathBuf>,
    key: PathBuf,
}

#[derive(Deserialize)]
struct ListedFacility {
    kind: FacilityKind,
    code: InstitutionCode,
    name: String,
    #[serde(flatten)]
    files: Files,
}

#[derive(Deserialize)]
struct ListedPractitioner {
    role: String,
    registration_number: String,
    name: String,
    facility: InstitutionCode,
    #[serde(flatten)]
    files: Files,
}

/// A facility at work, with the person who signs there.
#[derive(Debug)]
pub struct Place {
    /// The facility.
    pub facility: FacilityPersona,
    /// Its key.
    pub credential: Credential,
    /// The physician or pharmacist.
    pub person: PractitionerPersona,
    /// The key that person signs with.
    pub signing: Credential,
}

/// All who send.
#[derive(Debug)]
pub struct Cast {
    /// Where the sandbox's server was reached last.
    pub base_url: String,
    /// The clinics, then the pharmacies.
    pub places: Vec<Place>,
    clinics: usize,
}

impl Cast {
    /// The facilities of the sandbox that have somebody to sign.
    ///
    /// # Errors
    ///
    /// [`BenchError`], when the directory is no sandbox's.
    pub fn open(directory: &Path) -> Result<Self, BenchError> {
        let path = directory.join("personas.json");
        let text =
            fs::read_to_string(&path).map_err(|source| BenchError::File { path: path.clone(), source })?;
        let listing: Listing = serde_json::from_str(&text)
            .map_err(|error| BenchError::Content { path, fault: error.to_string() })?;
        let of = |pharmacies: bool, role: &str| -> Result<Vec<Place>, BenchError> {
            let facilities = listing.facilities.iter();
            let those = facilities.filter(|facility| (facility.kind == FacilityKind::Pharmacy) == pharmacies);
            let place = |facility: &ListedFacility| -> Option<Result<Place, BenchError>> {
                let mut people = listing.practitioners.iter();
                let person = people.find(|person| person.facility == facility.code && person.role == role)?;
                Some(place(directory, facility, person))
            };
            those.filter_map(place).collect()
        };
        let mut places = of(false, "Medical Doctor")?;
        let clinics = places.len();
        places.extend(of(true, "Pharmacist")?);
        if clinics == 0 || clinics == places.len() {
            return Err(BenchError::Cast("clinic with a physician or pharmacy with a pharmacist"));
        }
        Ok(Self { base_url: listing.base_url, places, clinics })
    }

    /// The place of the clinic that a person's `round`th prescription comes from.
    pub fn clinic(&self, person: u64, round: u64) -> usize {
        nth(person + round, self.clinics)
    }

    /// The place of the pharmacy a person goes to.
    pub fn pharmacy(&self, person: u64) -> usize {
        self.clinics + nth(person, self.places.len() - self.clinics)
    }
}

fn nth(number: u64, of: usize) -> usize {
    usize::try_from(number).unwrap_or(0) % of
}

fn place(
    directory: &Path,
    facility: &ListedFacility,
    person: &ListedPractitioner,
) -> Result<Place, BenchError> {
    Ok(Place {
        facility: FacilityPersona {
            kind: facility.kind,
            code: facility.code.clone(),
            name: facility.name.clone(),
        },
        credential: credential(directory, &facility.files)?,
        person: PractitionerPersona {
            id: String::new(),
            role: person.role.clone(),
            registration_number: person.registration_number.clone(),
            name: person.name.clone(),
            romaji: String::new(),
            facility: person.facility.clone(),
        },
        signing: credential(directory, &person.files)?,
    })
}

fn credential(directory: &Path, files: &Files) -> Result<Credential, BenchError> {
    let certificate = |path: &Path| -> Result<Certificate, BenchError> {
        let path = directory.join(path);
        let text = fs::read(&path).map_err(|source| BenchError::File { path: path.clone(), source })?;
        let mut all = Certificate::from_pem_many(&text)?.into_iter();
        all.next().ok_or(BenchError::Content { path, fault: "no certificate".to_owned() })
    };
    Ok(Credential {
        certificate: certificate(&files.cert)?,
        key: SigningKey::load(&directory.join(&files.key))?,
        chain: files.chain.iter().map(|path| certificate(path)).collect::<Result<_, _>>()?,
        certificate_path: files.cert.clone(),
        key_path: files.key.clone(),
        chain_paths: files.chain.clone(),
    })
}
