//! After the story: where the sandbox is and how to talk to it.

use super::StoryError;
use crate::sandbox::telling::Teller;
use crate::sandbox::world::World;

/// What a reader of the story may do next.
///
/// # Errors
///
/// [`StoryError::Tell`]
pub fn farewell(world: &World, teller: &mut Teller) -> Result<(), StoryError> {
    let (base_url, directory) = (world.client.base_url(), world.directory().display());
    teller.plain("")?;
    teller.title(
        "砂場は動いています / The sandbox is up. Ctrl-C stops it; the next start finds everything again.",
    )?;
    teller.plain(&format!("   base URL    {base_url}"))?;
    teller.plain(&format!("   personas    {directory}/personas.json"))?;
    teller.plain(&format!("   trust       {directory}/pki/trust"))?;
    teller.plain("")?;
    teller.plain("   患者 / Patients")?;
    for patient in &world.personas.patients {
        teller.plain(&format!("     {}  {} / {}", patient.name, patient.note.ja, patient.note.en))?;
    }
    if let Some(facility) = world.personas.facilities.first() {
        teller.plain("")?;
        teller.plain("   トークンの取り方 / A token, with openssl and curl:")?;
        teller.plain(&token_recipe(base_url, &directory.to_string(), facility.code.as_str()))?;
    }
    Ok(())
}

/// A shell script that makes an RFC 7523 assertion with ES256. OpenSSL signs in DER; JWS wants r and s, 32 bytes
/// each (RFC 7518 3.4).
fn token_recipe(base_url: &str, directory: &str, code: &str) -> String {
    let stem = format!("{directory}/pki/facilities/{code}");
    format!(
        r#"
     b64() {{ base64 -w0 | tr '+/' '-_' | tr -d '='; }}
     X5C=$(openssl x509 -in {stem}.pem -outform DER | base64 -w0)
     NOW=$(date +%s)
     HEAD=$(printf '{{"alg":"ES256","typ":"JWT","x5c":["%s"]}}' "$X5C" | b64)
     BODY=$(printf '{{"iss":"{code}","sub":"{code}","aud":"{base_url}/oauth2/token","jti":"%s","iat":%s,"exp":%s}}' \
       "$(openssl rand -hex 16)" "$NOW" "$((NOW+240))" | b64)
     SIG=$(printf '%s.%s' "$HEAD" "$BODY" | openssl dgst -sha256 -sign {stem}.key |
       openssl asn1parse -inform DER | sed -n 's/.*INTEGER *://p' |
       while read -r n; do printf '%064s' "$n" | tr ' ' 0; done |
       perl -ne 'chomp; print pack "H*", $_' | b64)
     curl -s {base_url}/oauth2/token -d grant_type=client_credentials \
       -d client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer \
       -d client_assertion="$HEAD.$BODY.$SIG"
"#
    )
}
