//! What is compared: the lines of the document at hand on the one side, the periods of the patient's history on
//! the other. Callers convert documents into these; the rules see nothing else.

use std::borrow::Cow;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::finding::UncheckedReason;
use super::period::{Interval, Supply};
use crate::formulary::{Formulary, IngredientId, Product, RouteClass};
use crate::prescription::identifier::{DrugCode, InstitutionCode};
use crate::prescription::state::Kind;

/// 情報区分: what a line names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LineContent {
    /// 医薬品, a medicine under insurance.
    Drug,
    /// 医療材料, a material such as a needle.
    Material,
    /// 非保険薬, a medicine outside insurance.
    NonInsured,
}

/// One line of the document that is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Where the line stands, for people and programs: `SJ1[line 12]`. No part of a finding's identity.
    pub place: String,
    /// RP番号, the number of the order group.
    pub rp: u16,
    /// The number of the line in its group.
    pub line: u16,
    /// What the line names.
    pub content: LineContent,
    /// The drug's code; `None` when the document gives none.
    pub code: Option<DrugCode>,
    /// The drug's name as the document writes it.
    pub name: String,
    /// The first day: issue date of a prescription, dispensing date of a result, unless the document says later.
    pub start: NaiveDate,
    /// How long it will last.
    pub supply: Supply,
}

/// The document that is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// The prescribing institution; also when a pharmacy checks what it dispenses.
    pub institution: InstitutionCode,
    /// History under these document ids is the proposal itself (the version it amends, the prescription it
    /// dispenses, earlier parts of it) and is not compared.
    pub documents: Vec<String>,
    /// 分割: which part of a split prescription it is. Its other parts are not compared.
    pub split: Option<SplitPart>,
    /// Its lines.
    pub lines: Vec<Candidate>,
}

impl Proposal {
    /// Whether a period is none of the proposal's own: neither one of its documents nor another part of the same
    /// split. An allergy is nobody's.
    pub(super) fn is_compared(&self, period: &Period) -> bool {
        let own = self.documents.contains(&period.document);
        let other_part = period.institution.as_ref() == Some(&self.institution)
            && self.split.zip(period.split).is_some_and(|(own, other)| own.is_other_part(other));
        period.source == Source::Allergy || !(own || other_part)
    }
}

/// 分割調剤: one part of a split prescription. Each part is a document of its own; nothing in it names the others,
/// so that institution, issue date and number of parts must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitPart {
    /// 処方箋交付年月日.
    pub issued_on: NaiveDate,
    /// 分割回数.
    pub parts: u8,
    /// 分割回, from 1.
    pub part: u8,
}

impl SplitPart {
    /// Whether both are different parts of one split. Two prescriptions split alike on one day are still compared
    /// part by part, so that a true duplicate of a split prescription shows.
    fn is_other_part(self, other: Self) -> bool {
        self.issued_on == other.issued_on && self.parts == other.parts && self.part != other.part
    }
}

/// What a period rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Prescribed and not yet dispensed.
    Prescribed,
    /// Dispensed, as the dispensing result says.
    Dispensed,
    /// 院内処方, prescribed and given out by the institution itself.
    InHouse,
    /// アレルギー: not taken but not tolerated, whatever its period.
    Allergy,
    /// 自己申告: taken by the patient's own account, which nobody has verified.
    SelfReported,
}

impl Source {
    /// What a prescription of this kind counts as once it is registered.
    pub fn registered(kind: Kind) -> Self {
        match kind {
            Kind::Electronic | Kind::Paper => Self::Prescribed,
            Kind::InHouse => Self::InHouse,
        }
    }
}

/// What an entry names that has no product code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Substance {
    /// 成分名, with or without its salt.
    pub ingredient: String,
    /// 投与経路; any when `None`. Means nothing for an allergy.
    #[serde(default, with = "route_name", skip_serializing_if = "Option::is_none")]
    pub route: Option<RouteClass>,
}

/// A route class by its name.
mod route_name {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    use crate::formulary::RouteClass;

    #[expect(clippy::ref_option, clippy::trivially_copy_pass_by_ref, reason = "the signature serde calls")]
    pub(super) fn serialize<S: Serializer>(
        route: &Option<RouteClass>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match route {
            Some(route) => serializer.serialize_str(route.as_str()),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<RouteClass>, D::Error> {
        let name = Option::<String>::deserialize(deserializer)?;
        name.map(|name| RouteClass::from_name(&name).ok_or_else(|| D::Error::custom("unknown route class")))
            .transpose()
    }
}

/// One medicine in the patient's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Period {
    /// What it rests on.
    pub source: Source,
    /// The id of the prescription or dispensing.
    pub document: String,
    /// What the line names.
    pub content: LineContent,
    /// The drug's code; `None` when the document gives none.
    pub code: Option<DrugCode>,
    /// The drug's name as the document writes it.
    pub name: String,
    /// The ingredient, of an entry that names no product; its code is then not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub substance: Option<Substance>,
    /// 服用期間. Means nothing for an allergy.
    pub interval: Interval,
    /// The prescribing institution, or the one that recorded the allergy; `None` when it was none that has a code, as
    /// when the patient did.
    pub institution: Option<InstitutionCode>,
    /// Its name, or who else it was.
    pub institution_name: String,
    /// 分割: the part of a split prescription it comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<SplitPart>,
}

/// A line or period together with the product its code leads to.
pub(super) struct Resolved<'a, T> {
    pub(super) subject: &'a T,
    pub(super) product: Cow<'a, Product>,
}

/// Leads a period to its product, or to what stands for its ingredient: one entry, or one for every route where
/// the route is not known.
///
/// # Errors
/// Why it cannot be checked.
pub(super) fn resolve_period<'a>(
    period: &'a Period,
    formulary: &'a Formulary,
) -> Result<Vec<Resolved<'a, Period>>, UncheckedReason> {
    let Some(substance) = &period.substance else {
        let product = Cow::Borrowed(resolve(period.content, period.code.as_ref(), formulary)?);
        return Ok(vec![Resolved { subject: period, product }]);
    };
    let (holder, id) = holder(&substance.ingredient, formulary).ok_or(UncheckedReason::UnknownIngredient)?;
    let routes = match &substance.route {
        Some(route) => std::slice::from_ref(route),
        None => RouteClass::ALL.as_slice(),
    };
    let stand_in = |route: &RouteClass| Resolved {
        subject: period,
        product: Cow::Owned(stand_in(&substance.ingredient, id, *route, holder)),
    };
    Ok(routes.iter().map(stand_in).collect())
}

/// Some product that holds the ingredient of that name, and which of its ingredients it is.
fn holder<'a>(name: &str, formulary: &'a Formulary) -> Option<(&'a Product, IngredientId)> {
    let id = formulary.ingredient(name)?;
    formulary.products().find(|product| product.components.contains(&id)).map(|product| (product, id))
}

/// A product of one ingredient by one route, of which nothing else is known.
fn stand_in(ingredient: &str, id: IngredientId, route: RouteClass, holder: &Product) -> Product {
    Product {
        name: ingredient.to_owned(),
        receipt_code: None,
        yj_code: None,
        price_code: None,
        generic_code: None,
        route,
        components: Box::new([id]),
        // A suppository may or may not act through the circulation: the reading that warns.
        systemic: matches!(
            route,
            RouteClass::Internal | RouteClass::Injection | RouteClass::Rectal | RouteClass::SystemicPatch
        ),
        therapeutic_class: String::new(),
        ..holder.clone()
    }
}

/// Dummy codes (電子処方箋 ダミーコード) a document carries where no code exists.
const DUMMY_DRUGS: [&str; 2] = ["666660000", "2000000X0000"];
const DUMMY_MATERIAL: &str = "777770000";

/// Leads a line to its product, or says why it cannot be checked.
pub(super) fn resolve<'a>(
    content: LineContent,
    code: Option<&DrugCode>,
    formulary: &'a Formulary,
) -> Result<&'a Product, UncheckedReason> {
    match content {
        LineContent::Material => return Err(UncheckedReason::Material),
        LineContent::NonInsured => return Err(UncheckedReason::NonInsured),
        LineContent::Drug => {}
    }
    let code = code.ok_or(UncheckedReason::NoCode)?;
    if DUMMY_DRUGS.contains(&code.as_str()) {
        return Err(UncheckedReason::NoCode);
    }
    // レセプト電算コード of materials begin with 7.
    if code.as_str() == DUMMY_MATERIAL || matches!(code, DrugCode::Receipt(digits) if digits.starts_with('7'))
    {
        return Err(UncheckedReason::Material);
    }
    formulary.product(code).ok_or(UncheckedReason::UnknownCode)
}
