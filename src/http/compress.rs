//! gzip (RFC 1952) of the answers of endpoints that say so. None does whose answer holds a secret beside text that
//! somebody else chose (BREACH): the length of what is compressed tells of it.

use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::BodyExt;
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::reply::Response;

use super::problem::Problem;
use crate::exchange::error::ExchangeError;

/// Shorter bodies gain nothing.
const WORTH_IT: usize = 1024;
/// Longer ones are compressed off the threads that serve requests.
const QUICK: usize = 32 << 10;

/// Compresses what `filter` answers when the caller takes gzip.
pub(super) fn compressed(filter: BoxedFilter<(Response,)>) -> BoxedFilter<(Response,)> {
    filter
        .and(warp::header::headers_cloned())
        .then(|response: Response, headers: HeaderMap| async move {
            if response.status() != StatusCode::OK {
                return response;
            }
            answer(response, takes_gzip(&headers)).await.unwrap_or_else(Problem::response)
        })
        .boxed()
}

async fn answer(response: Response, gzip: bool) -> Result<Response, Problem> {
    let (mut parts, body) = response.into_parts();
    parts.headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    let broken = || Problem::from(ExchangeError::Internal("an answer that is at hand can be read"));
    let mut body = body.collect().await.map_err(|_| broken())?.to_bytes();
    if gzip && body.len() >= WORTH_IT {
        let whole = body.clone();
        let packed = if whole.len() > QUICK {
            tokio::task::spawn_blocking(move || pack(&whole)).await.map_err(|_| broken())?
        } else {
            pack(&whole)
        };
        body = packed.map_err(|_| broken())?;
        parts.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(Response::from_parts(parts, body.into()))
}

fn pack(bytes: &[u8]) -> std::io::Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 2), Compression::fast());
    encoder.write_all(bytes)?;
    encoder.finish().map(Bytes::from)
}

/// Whether `Accept-Encoding` takes gzip (RFC 9110 12.5.3): by name, else by `*`.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let given = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let (mut named, mut any) = (None, None);
    for coding in given.flat_map(|value| value.split(',')) {
        let mut parts = coding.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        let taken = weight.is_none_or(|weight| weight.parse().is_ok_and(|weight: f32| weight > 0.0));
        match name.as_str() {
            "gzip" | "x-gzip" => named = Some(taken),
            "*" => any = Some(taken),
            _ => {}
        }
    }
    named.or(any).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_taken_by_name_or_with_all() {
        let takes = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::ACCEPT_ENCODING, HeaderValue::from_static(value));
            }
            takes_gzip(&headers)
        };
        for values in [&["gzip"][..], &["br, GZip;q=0.5"], &["*"], &["deflate", "x-gzip"], &["gzip, *;q=0"]] {
            assert!(takes(values), "{values:?}");
        }
        for values in
            [&[][..], &["identity"], &["gzip;q=0"], &["*;q=0"], &["gzip;q=0, *"], &["gzip;q=x"], &[""]]
        {
            assert!(!takes(values), "{values:?}");
        }
    }
}
