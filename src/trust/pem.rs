//! PEM (RFC 7468) blocks of one label out of a text; anything between blocks is ignored, as OpenSSL writes it.

/// The text is not PEM of the label asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PemError {
    /// A block is opened and not closed, or its Base64 is wrong.
    #[error("a PEM block is damaged")]
    Damaged,
    /// There is no block of the label.
    #[error("no PEM block of the expected kind")]
    Missing,
}

/// The contents of every block of `label`, in order; at least one.
pub fn blocks(text: &[u8], label: &str) -> Result<Vec<Vec<u8>>, PemError> {
    let text = std::str::from_utf8(text).map_err(|_| PemError::Damaged)?;
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(&begin) {
        let length = rest[start..].find(&end).ok_or(PemError::Damaged)? + end.len();
        let block = &rest[start..start + length];
        let (_, der) = der::pem::decode_vec(block.as_bytes()).map_err(|_| PemError::Damaged)?;
        found.push(der);
        rest = &rest[start + length..];
    }
    if found.is_empty() { Err(PemError::Missing) } else { Ok(found) }
}

/// One block: `label` around the Base64 of `der`, lines of 64.
pub fn block(label: &str, der: &[u8]) -> String {
    use base64::Engine as _;
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text + &format!("-----END {label}-----\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found_between_other_text() {
        let text = format!(
            "subject: x\n{}between\n{}",
            block("CERTIFICATE", b"one"),
            block("CERTIFICATE", &[7; 100])
        );
        assert_eq!(blocks(text.as_bytes(), "CERTIFICATE").unwrap(), vec![b"one".to_vec(), vec![7; 100]]);
        assert_eq!(blocks(text.as_bytes(), "X509 CRL"), Err(PemError::Missing));
    }

    #[test]
    fn an_open_block_is_damaged() {
        assert_eq!(blocks(b"-----BEGIN CERTIFICATE-----\nAAAA\n", "CERTIFICATE"), Err(PemError::Damaged));
        let wrong = b"-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n";
        assert_eq!(blocks(wrong, "CERTIFICATE"), Err(PemError::Damaged));
    }
}
