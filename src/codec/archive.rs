//! Files as one archive (ZIP, APPNOTE 6.3.10), stored as they are: a reader needs nothing to get the same bytes back.

use std::io::{Cursor, Write as _};

use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// Media type of an archive.
pub const MEDIA_TYPE: &str = "application/zip";

/// A file: its path within the archive, and its bytes.
pub type Entry = (String, Vec<u8>);

/// The archive of these files, in their order.
///
/// # Errors
///
/// When a path stands twice or the whole is too large for the format.
pub fn write(entries: &[Entry]) -> Result<Vec<u8>, ZipError> {
    let options =
        SimpleFileOptions::default().compression_method(CompressionMethod::Stored).unix_permissions(0o600);
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (path, bytes) in entries {
        archive.start_file(path.as_str(), options)?;
        archive.write_all(bytes)?;
    }
    Ok(archive.finish()?.into_inner())
}
