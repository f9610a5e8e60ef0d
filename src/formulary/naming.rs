//! 成分名 to base ingredients: combinations taken apart, salts, hydrates and the like folded into the active moiety.
//! Works on names alone and knows neither codes nor files. Esters of steroids and of depot medicines stay: they are
//! different medicines.

use std::collections::HashMap;
use std::sync::LazyLock;

/// Names that the rules below do not lead to their base, each with it.
const CURATED: &str = include_str!("curated_names.csv");

static ALIASES: LazyLock<HashMap<&str, &str>> =
    LazyLock::new(|| CURATED.lines().skip(1).filter_map(|line| line.split_once(',')).collect());

/// What is added to a moiety without being the medicine, longest first so that a whole acid goes at once.
const ADDED: [&str; 61] = [
    "フェノールフタリン酸塩",
    "プロピレングリコール水和物",
    "ジメチルスルホキシド付加物",
    "メチレンジサリチル酸塩",
    "エタンスルホン酸塩",
    "メタンスルホン酸塩",
    "トリフェニル酢酸塩",
    "ラクトビオン酸塩",
    "ヘミペンタ水和物",
    "エタノール付加物",
    "ステアリン酸塩",
    "臭化水素酸塩",
    "サリチル酸塩",
    "フェンジゾ酸塩",
    "キシナホ酸塩",
    "グルコン酸塩",
    "ヒベンズ酸塩",
    "酒石酸水素塩",
    "アセトン付加物",
    "マレイン酸塩",
    "コハク酸塩",
    "シュウ酸塩",
    "リンゴ酸塩",
    "安息香酸塩",
    "クエン酸塩",
    "フマル酸塩",
    "エシル酸塩",
    "メシル酸塩",
    "トシル酸塩",
    "ベシル酸塩",
    "ジクエン酸塩",
    "マグネシウム",
    "二ナトリウム",
    "アルギニン",
    "エルブミン",
    "メグルミン",
    "カルシウム",
    "ナトリウム",
    "二カリウム",
    "一硫酸塩",
    "二塩酸塩",
    "三塩酸塩",
    "一水和物",
    "二水和物",
    "三水和物",
    "四水和物",
    "オラミン",
    "カリウム",
    "フマル酸",
    "酒石酸塩",
    "パモ酸塩",
    "リン酸塩",
    "ヨウ化物",
    "臭化物",
    "塩化物",
    "塩酸塩",
    "硫酸塩",
    "硝酸塩",
    "酢酸塩",
    "水和物",
    "付加物",
];

/// Beginnings of names in which the acid or the metal is itself what is given: only water is folded.
const MINERAL: [&str; 43] = [
    "塩化",
    "臭化",
    "ヨウ化",
    "炭酸",
    "沈降炭酸",
    "硫酸",
    "無水硫酸",
    "乾燥硫酸",
    "亜硫酸",
    "チオ硫酸",
    "硝酸",
    "亜硝酸",
    "次硝酸",
    "次没食子酸",
    "次亜塩素酸",
    "リン酸",
    "無水リン酸",
    "酸化",
    "水酸化",
    "乾燥水酸化",
    "硫化",
    "フッ化",
    "クエン酸",
    "無水クエン酸",
    "酢酸",
    "無水酢酸",
    "乳酸",
    "グルコン酸",
    "アスパラギン酸",
    "L-アスパラギン酸",
    "L-グルタミン酸",
    "安息香酸",
    "サリチル酸",
    "過マンガン酸",
    "亜セレン酸",
    "ケイ酸",
    "天然ケイ酸",
    "メタケイ酸",
    "合成ケイ酸",
    "ポリスチレンスルホン酸",
    "無機",
    "ホウ",
    "ヨウ素",
];

const WATER: [&str; 8] =
    ["一水和物", "二水和物", "三水和物", "四水和物", "五水和物", "七水和物", "十水和物", "水和物"];

/// The base ingredients of a listed name, in its order; `None` when the name is that of a class or leaves part of
/// the formula unsaid (…配合剤), so that it must be looked up elsewhere.
pub(super) fn bases(listed: &str) -> Option<Vec<String>> {
    let name = narrow(listed);
    if name.is_empty() || is_class(&name) {
        return None;
    }
    let mut bases = Vec::new();
    for part in parts(&name) {
        let base = base_of(part);
        if base.is_empty() {
            return None;
        }
        if !bases.contains(&base) {
            bases.push(base);
        }
    }
    Some(bases)
}

/// Whether a name tells a class of medicines instead of what is in them.
fn is_class(name: &str) -> bool {
    const ENDINGS: [&str; 8] =
        ["配合剤", "ビタミン剤", "ビタミン製剤", "アミノ酸製剤", "栄養剤", "基本液", "パップ剤", "感冒剤"];
    const BEGINNINGS: [&str; 2] = ["アミノ酸・糖", "総合アミノ酸製剤"];
    ENDINGS.iter().any(|ending| name.ends_with(ending))
        || BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
}

/// The base of one name that is no combination.
pub(super) fn base(name: &str) -> String {
    base_of(&narrow(name))
}

/// Full-width letters, digits and signs made narrow, spaces dropped.
fn narrow(name: &str) -> String {
    let mut narrow = String::with_capacity(name.len());
    for letter in name.chars() {
        match letter {
            '\u{3000}' | ' ' => {}
            'Ⅰ' => narrow.push('I'),
            'Ⅱ' => narrow.push_str("II"),
            'Ⅲ' => narrow.push_str("III"),
            'Ⅶ' => narrow.push_str("VII"),
            'Ⅷ' => narrow.push_str("VIII"),
            'Ⅸ' => narrow.push_str("IX"),
            'Ⅹ' => narrow.push('X'),
            '\u{ff01}'..='\u{ff5e}' => {
                narrow.push(char::from_u32(u32::from(letter) - 0xfee0).unwrap_or(letter));
            }
            _ => narrow.push(letter),
        }
    }
    narrow
}

/// The parts between middle dots; a dot in brackets joins.
fn parts(name: &str) -> Vec<&str> {
    let mut depth = 0_u32;
    name.split(|letter| {
        match letter {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        letter == '・' && depth == 0
    })
    .collect()
}

fn base_of(name: &str) -> String {
    let name = name.replace("(遺伝子組換え)", "");
    // Biosimilars carry their number: ［…後続１］.
    let mut rest = match (name.find('['), name.ends_with(']')) {
        (Some(start), true) => name.get(..start).unwrap_or(&name),
        _ => name.as_str(),
    };
    loop {
        if let Some(base) = ALIASES.get(rest) {
            return (*base).to_owned();
        }
        let mineral = MINERAL.iter().any(|beginning| rest.starts_with(beginning));
        let added: &[&str] = if mineral { &WATER } else { &ADDED };
        let shorter = added.iter().find_map(|added| {
            let shorter = rest.strip_suffix(added)?;
            // L-アルギニン is no salt of L-; nor is the tail of a short name a salt.
            (shorter.chars().nth(1).is_some() && !shorter.ends_with('-')).then_some(shorter)
        });
        match shorter {
            Some(shorter) => rest = shorter,
            None => return rest.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn salts_and_hydrates_are_folded() {
        for (listed, expected) in [
            ("アムロジピンベシル酸塩", "アムロジピン"),
            ("ジクロフェナクナトリウム", "ジクロフェナク"),
            ("アトルバスタチンカルシウム水和物", "アトルバスタチン"),
            ("ペメトレキセドナトリウムヘミペンタ水和物", "ペメトレキセド"),
            ("エリスロマイシンステアリン酸塩", "エリスロマイシン"),
            ("ビランテロールトリフェニル酢酸塩", "ビランテロール"),
            ("インスリン　アスパルト（遺伝子組換え）［インスリンアスパルト後続１］", "インスリンアスパルト"),
            ("無水カフェイン", "カフェイン"),
            ("ｄ－クロルフェニラミンマレイン酸塩", "クロルフェニラミン"),
            ("Ｌ－アルギニン塩酸塩", "L-アルギニン"),
            ("塩化カリウム", "塩化カリウム"),
            ("硫酸マグネシウム水和物", "硫酸マグネシウム"),
            ("Ｌ－アスパラギン酸カリウム", "L-アスパラギン酸カリウム"),
            ("ベタメタゾン吉草酸エステル", "ベタメタゾン吉草酸エステル"),
            ("無水エタノール", "無水エタノール"),
        ] {
            assert_eq!(base(listed), expected, "{listed}");
        }
    }

    #[test]
    fn combinations_are_taken_apart() {
        assert_eq!(
            bases("シタグリプチンリン酸塩水和物・イプラグリフロジン　Ｌ－プロリン").unwrap(),
            ["シタグリプチン", "イプラグリフロジン"]
        );
        assert_eq!(bases("Ｌ－アルギニン・Ｌ－アルギニン塩酸塩").unwrap(), ["L-アルギニン"]);
        assert_eq!(bases("非ピリン系感冒剤"), None);
        assert_eq!(bases("アミノ酸・糖・電解質・ビタミン"), None);
        assert_eq!(bases("総合アミノ酸製剤（ブドウ糖加）"), None);
        assert_eq!(bases("ジプロフィリン・ジヒドロコデイン配合剤"), None);
        assert_eq!(bases("・"), None);
        assert_eq!(bases(""), None);
    }

    #[test]
    fn aliases_are_bases_themselves() {
        for base in ALIASES.values() {
            assert_eq!(base_of(base), **base);
        }
    }
}
