//! The published vectors of RFC 7515 (appendix A), and every way a text is not a compact JWS.

use proptest::prelude::*;

use super::*;
use crate::trust::PublicKey;
use crate::trust::test_pki::PKI;

fn read(text: &str) -> Result<Compact<'_>, CompactError> {
    Compact::read(text)
}

/// A public key out of the numbers of a JWK.
fn rsa(modulus: &str, exponent: &str) -> PublicKey {
    let number = |text: &str| rsa::BigUint::from_bytes_be(&URL_SAFE_NO_PAD.decode(text).unwrap());
    let key = rsa::RsaPublicKey::new(number(modulus), number(exponent)).unwrap();
    let der = rsa::pkcs8::EncodePublicKey::to_public_key_der(&key).unwrap();
    PublicKey::from_spki(&der::Decode::from_der(der.as_bytes()).unwrap()).unwrap()
}

const A2_MODULUS: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
const A2: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
/// RFC 7515 A.3.
const A3: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
/// RFC 7515 A.5.
const A5: &str = "eyJhbGciOiJub25lIn0.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.";
/// RFC 7515 A.1.
const A1: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

#[test]
fn the_published_signatures_verify() {
    let compact = read(A2).unwrap();
    assert_eq!(Algorithm::of_header(&compact.header), Some(Algorithm::Rs256));
    assert!(compact.payload.starts_with(b"{\"iss\":\"joe\",\r\n"));
    let key = rsa(A2_MODULUS, "AQAB");
    key.verify(Algorithm::Rs256.scheme(), compact.signed.as_bytes(), &compact.signature).unwrap();
    key.verify(Algorithm::Ps256.scheme(), compact.signed.as_bytes(), &compact.signature).unwrap_err();

    let compact = read(A3).unwrap();
    let point: Vec<u8> = [
        vec![4],
        URL_SAFE_NO_PAD.decode("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU").unwrap(),
        URL_SAFE_NO_PAD.decode("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0").unwrap(),
    ]
    .concat();
    let key = ring::signature::UnparsedPublicKey::new(&ring::signature::ECDSA_P256_SHA256_FIXED, point);
    key.verify(compact.signed.as_bytes(), &compact.signature).unwrap();
    assert_eq!(Algorithm::of_header(&compact.header), Some(Algorithm::Es256));
}

#[test]
fn the_published_unsafe_ones_name_no_algorithm_of_ours() {
    for text in [A1, A5] {
        assert_eq!(Algorithm::of_header(&read(text).unwrap().header), None);
    }
}

#[test]
fn the_serialization_is_strict() {
    let (header, rest) = A3.split_once('.').unwrap();
    let (payload, signature) = rest.split_once('.').unwrap();
    let of = |text: &str| read(text).unwrap_err();
    let json =
        format!("{{\"payload\":\"{payload}\",\"protected\":\"{header}\",\"signature\":\"{signature}\"}}");
    assert_eq!(of(&json), CompactError::JsonSerialization);
    assert_eq!(of(&format!(" \n{json}")), CompactError::JsonSerialization);
    for text in ["", "a", "a.b", "a.b.c.d", &format!("{A3}.")] {
        assert_eq!(of(text), CompactError::Parts, "{text:.8}");
    }
    let loose = format!("{}V", &A3[..A3.len() - 1]);
    for text in [
        &format!("{A3}="),
        &format!(" {A3}"),
        &format!("{A3}\n"),
        &format!("{header}.{payload}.{}+", &signature[1..]),
        &format!("{header}.{}\n{}.{signature}", &payload[..8], &payload[8..]),
        &loose,
    ] {
        assert_eq!(of(text), CompactError::Base64url, "{text:.12}");
    }
    let with = |header: &str| format!("{}.{payload}.{signature}", URL_SAFE_NO_PAD.encode(header));
    for header in ["", "[]", "\"alg\"", "{\"alg\":}", "{} {}", "\u{feff}{}", "{\"a\":\"\\ud800\"}"] {
        assert_eq!(of(&with(header)), CompactError::Header, "{header}");
    }
    for header in [r#"{"alg":"ES256","alg":"ES256"}"#, r#"{"alg":"ES256","a\u006cg":"none"}"#] {
        assert_eq!(of(&with(header)), CompactError::Doubled, "{header}");
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(header in "[a-z]{1,8}", payload in any::<Vec<u8>>()) {
        let value = serde_json::json!({ "alg": "ES256", "more": header });
        let text = compact_sign(&value, &payload, Algorithm::Es256, &PKI.clinic.key, &PKI.random).unwrap();
        let compact = read(&text).unwrap();
        prop_assert_eq!(Value::Object(compact.header.clone()), value);
        prop_assert_eq!(&compact.payload, &payload);
        compact.verify(Algorithm::Es256, &PKI.clinic.certificate).unwrap();
        compact.verify(Algorithm::Es256, &PKI.pharmacy.certificate).unwrap_err();
    }
}
