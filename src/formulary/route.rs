//! 投与経路 from a code and names: digits 5 to 7 tell internal, injected and external apart; class, form letter and
//! words in the name tell external medicines further apart, and whether they act through the circulation.

use super::product::RouteClass;

/// The route class of a price, YJ or generic-name code of at least eight characters, and whether the medicine acts
/// through the circulation. `names` are what the product is called; `None` when the code is too short.
pub(super) fn route(code: &str, names: &[&str]) -> Option<(RouteClass, bool)> {
    let class = code.get(..3)?;
    let form = code.get(7..8)?;
    match code.get(4..7)?.parse::<u16>().ok()? {
        ..400 => Some((RouteClass::Internal, true)),
        400..700 => Some((RouteClass::Injection, true)),
        _ => {
            let route = external(class, form, names);
            Some((route, systemic(route, code)))
        }
    }
}

fn external(class: &str, form: &str, names: &[&str]) -> RouteClass {
    let says = |words: &[&str]| words.iter().any(|word| names.iter().any(|name| name.contains(word)));
    // 歯科用薬剤.
    if matches!(class, "271" | "273" | "274" | "276" | "279") {
        return RouteClass::OralCavity;
    }
    if says(&["腟", "膣", "産婦人科"]) || form == "H" || class == "252" {
        return RouteClass::Vaginal;
    }
    if form == "J" || says(&["坐剤", "坐薬", "注腸", "浣腸"]) || form == "K" || matches!(class, "235" | "255")
    {
        return RouteClass::Rectal;
    }
    // Drops for eye, ear and nose alike are listed among the eye medicines (131) and count as such.
    if class == "131" && (says(&["眼科", "点眼", "眼・耳", "眼耳"]) || !says(&["耳", "鼻"])) {
        return RouteClass::Eye;
    }
    if says(&["耳"]) {
        return RouteClass::Ear;
    }
    if says(&["鼻"]) || class == "132" || matches!(class, "241" | "249") && matches!(form, "R" | "Q") {
        return RouteClass::Nose;
    }
    if says(&["点眼", "眼軟膏", "眼科用", "眼検査", "眼瞼"]) {
        return RouteClass::Eye;
    }
    if says(&["口腔", "うがい", "含嗽", "ガーグル", "トローチ", "舌"])
        || matches!(class, "226" | "239" | "113")
        || class == "217" && form == "R"
    {
        return RouteClass::OralCavity;
    }
    if matches!(form, "S" | "T" | "U") {
        return if patch_is_systemic(class) { RouteClass::SystemicPatch } else { RouteClass::Skin };
    }
    if says(&["吸入"]) || form == "G" && class != "430" || matches!(class, "111" | "217" | "225" | "229") {
        return RouteClass::Inhaled;
    }
    RouteClass::Skin
}

/// A patch of these therapeutic classes is meant for the circulation; anaesthetic (121), disinfectant (261 to 263),
/// anti-inflammatory (264) and other dermatological plasters are meant for the place they stick to.
fn patch_is_systemic(class: &str) -> bool {
    matches!(
        class,
        "114"
            | "115"
            | "116"
            | "117"
            | "119"
            | "211"
            | "212"
            | "213"
            | "214"
            | "216"
            | "217"
            | "219"
            | "225"
            | "232"
            | "241"
            | "245"
            | "246"
            | "247"
            | "248"
            | "249"
            | "259"
            | "399"
            | "449"
            | "799"
            | "811"
            | "821"
    )
}

fn systemic(route: RouteClass, code: &str) -> bool {
    let class = code.get(..3).unwrap_or_default();
    match route {
        RouteClass::Internal | RouteClass::Injection | RouteClass::SystemicPatch => true,
        // Sedatives, analgesics, steroids, antibiotics, opioids, and domperidone among the digestives; laxatives,
        // haemorrhoid medicines and mesalazine stay where they are put.
        RouteClass::Rectal => {
            matches!(class, "112" | "113" | "114" | "225" | "613" | "811")
                || code.starts_with("2399714")
                || code.starts_with("2454") && code.get(7..8) == Some("J")
        }
        // 点鼻 outside the class of nose medicines: desmopressin, sumatriptan, buserelin, glucagon.
        RouteClass::Nose => matches!(class, "216" | "241" | "249" | "722"),
        // Midazolam for seizures, nitrates for angina.
        RouteClass::OralCavity => matches!(class, "113" | "217"),
        // Anaesthetics and amyl nitrite.
        RouteClass::Inhaled => matches!(class, "111" | "217"),
        // Oestrogen gels.
        RouteClass::Skin => class == "247",
        RouteClass::Eye | RouteClass::Ear | RouteClass::Vaginal => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_told_by_code_and_name() {
        for (code, name, expected, acts) in [
            ("2171022F2025", "ノルバスク錠５ｍｇ", RouteClass::Internal, true),
            ("2492416G1020", "ランタス注ソロスター", RouteClass::Injection, true),
            ("1319739Q1020", "キサラタン点眼液０．００５％", RouteClass::Eye, false),
            ("6119700M1020", "バンコマイシン眼軟膏１％", RouteClass::Eye, false),
            ("1315706Q1101", "サンベタゾン眼耳鼻科用液０．１％", RouteClass::Eye, false),
            ("1329706Q1039", "タリビッド耳科用液０．３％", RouteClass::Ear, false),
            ("1329710Q1027", "ナゾネックス点鼻液５０μｇ", RouteClass::Nose, false),
            ("2419700R2020", "デスモプレシン・スプレー１０協和", RouteClass::Nose, true),
            ("6250703G1022", "イナビル吸入粉末剤２０ｍｇ", RouteClass::Inhaled, false),
            ("2259703Y1025", "キュバール１００エアゾール", RouteClass::Inhaled, false),
            ("2399706M1087", "アフタゾロン口腔用軟膏０．１％", RouteClass::OralCavity, false),
            ("1139700Q1020", "ブコラム口腔用液２．５ｍｇ", RouteClass::OralCavity, true),
            ("1141700J2130", "アンヒバ坐剤小児用１００ｍｇ", RouteClass::Rectal, true),
            ("2399715J1020", "ペンタサ坐剤１ｇ", RouteClass::Rectal, false),
            ("2357701K6239", "グリセリン浣腸液５０％「ケンエー」", RouteClass::Rectal, false),
            ("2529704J1045", "フロリード腟坐剤１００ｍｇ", RouteClass::Vaginal, false),
            ("2649735S2024", "ロキソニンテープ１００ｍｇ", RouteClass::Skin, false),
            ("2473700M2026", "ル・エストロジェル０．０６％", RouteClass::Skin, true),
            ("2259707S3023", "ホクナリンテープ２ｍｇ", RouteClass::SystemicPatch, true),
            ("8219700T1020", "ワンデュロパッチ０．８４ｍｇ", RouteClass::SystemicPatch, true),
        ] {
            assert_eq!(route(code, &[name]), Some((expected, acts)), "{name}");
        }
        assert_eq!(route("2171022", &[]), None);
        assert_eq!(route("21710２２F2", &[]), None);
    }
}
