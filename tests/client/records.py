"""SJ1 prescriptions and CJ1 dispensing results as text records: UTF-8, LF, commas, no quoting.

Knows the record layouts and a list of widely dispensed drugs. Knows nothing of signatures or HTTP.
"""

import unicodedata
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

TOKYO = timezone(timedelta(hours=9))


@dataclass(frozen=True)
class Drug:
    receipt: str  # レセプト電算コード
    yj: str
    name: str
    unit: str
    topical: bool = False

    @property
    def dosage_form(self):
        return "3" if self.topical else "1"


ONCE_AFTER_BREAKFAST = ("1011000400000000", "１日１回朝食後　服用")
THRICE_AFTER_MEALS = ("1013044400000000", "１日３回朝昼夕食後　服用")
ONCE_APPLIED = ("2B71000000000000", "１日１回　塗布")

# Candidates; the sandbox's formulary may lack some, so the caller asks it once which of them it knows.
DRUGS = [
    Drug("622533701", "2329021F1013", "レバミピド錠１００ｍｇ「オーツカ」", "錠"),
    Drug("613130595", "3136004F2138", "メチコバール錠５００μｇ　０．５ｍｇ", "錠"),
    Drug("610463198", "2344009F2015", "マグミット錠３３０ｍｇ", "錠"),
    Drug("612370067", "2316009F1022", "ミヤＢＭ錠", "錠"),
    Drug("610443053", "3399007H1013", "バイアスピリン錠１００ｍｇ", "錠"),
    Drug("621974701", "3962002F2027", "メトグルコ錠２５０ｍｇ", "錠"),
    Drug("620002023", "1141007F1063", "カロナール錠２００　２００ｍｇ", "錠"),
    Drug("622571801", "2189017F1030", "ロスバスタチン錠２．５ｍｇ「ＤＳＥＰ」", "錠"),
    Drug("622404401", "2329030F1020", "タケキャブ錠１０ｍｇ", "錠"),
    Drug("621694102", "3399003F1014", "リマプロストアルファデクス錠５μｇ「サワイ」", "錠"),
    Drug("622080801", "2329029M2023", "ネキシウムカプセル２０ｍｇ", "カプセル"),
    Drug("620098801", "1149019F1560", "ロキソニン錠６０ｍｇ", "錠"),
    Drug("622143501", "2149048F1022", "アジルバ錠２０ｍｇ", "錠"),
    Drug("620007818", "2171022F4036", "アムロジピンＯＤ錠５ｍｇ「トーワ」", "錠"),
    Drug("621752101", "2233002F2111", "カルボシステイン錠５００ｍｇ「トーワ」", "錠"),
    Drug("622249101", "4490023F1091", "フェキソフェナジン塩酸塩錠６０ｍｇ「ＳＡＮＩＫ」", "錠"),
    Drug("620005047", "3327002F1010", "トラネキサム酸錠２５０ｍｇ「ＹＤ」", "錠"),
    Drug("622484401", "4490026F2067", "モンテルカスト錠１０ｍｇ「ＫＭ」", "錠"),
    Drug("620009451", "2329023F1012", "ランソプラゾールＯＤ錠１５ｍｇ「トーワ」", "錠"),
    Drug("622516602", "4490033F1028", "ビラノア錠２０ｍｇ", "錠"),
    Drug("622057201", "3949003F1023", "フェブリク錠１０ｍｇ", "錠"),
    Drug("620480601", "2354003F2014", "センノシド錠１２ｍｇ「サワイ」", "錠"),
    Drug("622093501", "3969014F1024", "トラゼンタ錠５ｍｇ", "錠"),
    Drug("622224901", "3339004F1029", "エリキュース錠２．５ｍｇ", "錠"),
    Drug("621980701", "3969011F1020", "エクア錠５０ｍｇ", "錠"),
    Drug("620856206", "3943001F1012", "アロプリノール錠１００ｍｇ「サワイ」", "錠"),
    Drug("622703201", "1190027F2029", "デエビゴ錠５ｍｇ", "錠"),
    Drug("610454087", "1339005F1296", "メリスロン錠６ｍｇ", "錠"),
    Drug("622573101", "2183007F1025", "パルモディア錠０．１ｍｇ", "錠"),
    Drug("620515902", "2431004F1056", "チラーヂンＳ錠５０μｇ", "錠"),
    Drug("620009049", "3339950Q1074", "ヒルドイドローション０．３％", "ｇ", True),
    Drug("667120036", "7121703X1330", "プロペト", "ｇ", True),
]


def _half_width_table():
    table = {}
    for code in range(0xFF61, 0xFFA0):
        half = chr(code)
        full = unicodedata.normalize("NFKC", half)
        table[full] = half
        for mark, combining in (("ﾞ", "\u3099"), ("ﾟ", "\u309a")):
            joined = unicodedata.normalize("NFC", full + combining)
            if len(joined) == 1:
                table[joined] = half + mark
    table["　"] = " "
    return table


_HALF = _half_width_table()


def half_width(kana):
    """Katakana or hiragana as half-width katakana, the form of the ｶﾅ fields."""
    as_katakana = "".join(chr(ord(c) + 0x60) if "ぁ" <= c <= "ん" else c for c in kana)
    return "".join(_HALF.get(c, c) for c in as_katakana)


def today():
    return datetime.now(TOKYO).date()


def digits(day):
    return day.strftime("%Y%m%d")


def sex_code(patient):
    return {"male": "1", "female": "2"}.get(patient["sex"], "1")


def insurance_kind(insurer):
    if len(insurer) == 6 or insurer.startswith("00"):
        return "2"
    return "7" if insurer.startswith("39") else "1"


def _insured(patient):
    return patient.get("symbol") or "", patient["number"], patient.get("branch_number") or ""


def sj1_lines(clinic, doctor, patient, drugs, days=7, issued=None, expires=None):
    """The records of one prescription, one RP per drug, as a list of lines without the line ends.

    A remark (81) with a random mark makes every document new.
    """
    code = clinic["code"]
    symbol, number, branch = _insured(patient)
    lines = [
        "SJ1",
        f"1,{'3' if code[2] == '3' else '1'},{code[3:]},{code[:2]},{clinic['name']}",
        "2,100-0001,東京都千代田区千代田一丁目",
        "3,03-0000-0000,,",
        "4,2,01,内科",
        f"5,{doctor.get('registration_number', '')[:15]},,{doctor['name']}",
        f"11,,{patient['name']},{half_width(patient.get('kana') or '')}",
        f"12,{sex_code(patient)}",
        f"13,{patient['birth_date'].replace('-', '')}",
        f"21,{insurance_kind(patient['insurer_number'])}",
        f"22,{patient['insurer_number']}",
        f"23,{symbol},{number},1,{branch}",
        "24,030,070",
        f"51,{digits(issued or today())}",
    ]
    if expires:
        lines.append(f"52,{digits(expires)}")
    lines.append(f"81,1,,{uuid.uuid4()}")
    for rp, drug in enumerate(drugs, 1):
        usage, label = ONCE_APPLIED if drug.topical else ONCE_AFTER_BREAKFAST
        lines += [f"101,{rp},{drug.dosage_form},,{'1' if drug.topical else days}", f"111,{rp},3,{usage},{label},1"]
        if drug.topical:
            lines.append(f"181,{rp},1,,両腕,,")
        lines.append(f"201,{rp},1,1,2,{drug.receipt},{drug.name},{'25' if drug.topical else '1'},1,{drug.unit}")
    return lines


def cj1_lines(pharmacy, pharmacist, clinic, doctor, patient, prescription_id, drugs, days=7):
    """The records of one dispensing result answering `prescription_id`."""
    symbol, number, branch = _insured(patient)
    code, origin = pharmacy["code"], clinic["code"]
    lines = [
        "CJ1,",
        f"1,{patient['name']},{sex_code(patient)},{patient['birth_date'].replace('-', '')},,,,,,,"
        f"{half_width(patient.get('kana') or '')}",
        f"5,{digits(today())},",
        f"6,1,{patient['insurer_number']},{symbol},{number},{branch}",
        f"7,{prescription_id},",
        f"11,{pharmacy['name']},{code[:2]},{code[2]},{code[3:]},100-0002,東京都千代田区,03-0000-0001,",
        f"15,{pharmacist['name']},,",
        f"51,{clinic['name']},{origin[:2]},{origin[2]},{origin[3:]},",
        f"55,{doctor['name']},内科,",
    ]
    for rp, drug in enumerate(drugs, 1):
        usage, label = ONCE_APPLIED if drug.topical else ONCE_AFTER_BREAKFAST
        amount = "25" if drug.topical else "1"
        quantity, counted, form = ("1", "調剤", "5") if drug.topical else (days, "日分", "1")
        lines += [
            f"201,{rp},{drug.name},{amount},{drug.unit},2,{drug.receipt},",
            f"301,{rp},{label},{quantity},{counted},{form},3,{usage},",
        ]
    lines.append(f"501,{uuid.uuid4()},")
    return lines


def payload(lines):
    return "\n".join(lines).encode("utf-8")
