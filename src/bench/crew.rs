//! Connections to the server that stay open, what is sent over them and what comes back.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::BenchError;

/// Longer than any answer takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A request that can be sent at any time by whoever holds the place's token.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// Whose token it goes out under.
    pub place: usize,
    /// The method.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// Media type of the body.
    pub content_type: Option<&'static str>,
    /// The identity token.
    pub identity: Option<String>,
    /// Whether it bears a fresh `Idempotency-Key` each time.
    pub keyed: bool,
    /// The body.
    pub body: Bytes,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its body.
    pub body: Bytes,
}

/// Where requests go, and the tokens they go under.
pub struct Target {
    /// `host:port`
    pub authority: String,
    /// The address.
    pub address: SocketAddr,
    tokens: RwLock<Arc<Vec<HeaderValue>>>,
    /// Begins every `Idempotency-Key` of this run.
    run: String,
    keys: AtomicU64,
}

/// A connection of one sender, made anew when it breaks.
pub struct Connection {
    target: Arc<Target>,
    open: Option<SendRequest<Full<Bytes>>>,
}

impl Answer {
    /// The contract's code of a refusal, else its status; `None` when it is none.
    pub fn refusal(&self) -> Option<String> {
        if self.status.is_success() {
            return None;
        }
        let code =
            self.json().pointer("/issue/0/details/coding/0/code").and_then(Value::as_str).map(str::to_owned);
        Some(code.unwrap_or_else(|| self.status.as_u16().to_string()))
    }

    /// The body as JSON; `null` when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

impl Target {
    /// The server at `url`, which must be on this machine unless `remote` says otherwise.
    ///
    /// # Errors
    ///
    /// [`BenchError`]
    pub async fn find(url: &str, remote: bool, run: String) -> Result<Self, BenchError> {
        let authority = url.trim_end_matches('/').strip_prefix("http://").filter(|rest| !rest.contains('/'));
        let authority = authority.ok_or(BenchError::Url)?.to_owned();
        let found = tokio::net::lookup_host(&authority).await.map(Iterator::collect::<Vec<_>>);
        let silent = |source: String| BenchError::Silent(authority.clone(), source);
        let addresses = found.map_err(|source| silent(source.to_string()))?;
        let address = *addresses.first().ok_or_else(|| silent("it has no address".to_owned()))?;
        if !remote && !addresses.iter().all(|address| address.ip().is_loopback()) {
            return Err(BenchError::Remote(authority));
        }
        let tokens = RwLock::new(Arc::new(Vec::new()));
        Ok(Self { authority, address, tokens, run, keys: AtomicU64::new(0) })
    }

    /// Puts the tokens of all places in force.
    pub fn tokens_replace(&self, tokens: Vec<HeaderValue>) {
        *self.tokens.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(tokens);
    }

    fn request(&self, prepared: &Prepared) -> Result<Request<Full<Bytes>>, http::Error> {
        let mut request = Request::builder()
            .method(&prepared.method)
            .uri(&prepared.path)
            .header(header::HOST, &self.authority)
            .body(Full::new(prepared.body.clone()))?;
        let headers = request.headers_mut();
        let tokens = Arc::clone(&self.tokens.read().unwrap_or_else(PoisonError::into_inner));
        if let Some(token) = tokens.get(prepared.place) {
            headers.insert(header::AUTHORIZATION, token.clone());
        }
        if let Some(content_type) = prepared.content_type {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        if let Some(identity) = &prepared.identity {
            headers.insert("identity-token", HeaderValue::from_str(identity)?);
        }
        if prepared.keyed {
            let key = format!("{}-{}", self.run, self.keys.fetch_add(1, Ordering::Relaxed));
            headers.insert("idempotency-key", HeaderValue::from_str(&key)?);
        }
        Ok(request)
    }
}

impl Connection {
    /// A connection, not yet made.
    pub fn of(target: &Arc<Target>) -> Self {
        Self { target: Arc::clone(target), open: None }
    }

    /// Sends a request; `None` when no answer came.
    pub async fn send(&mut self, prepared: &Prepared) -> Option<Answer> {
        let answer = tokio::time::timeout(PATIENCE, self.exchange(prepared)).await.ok().flatten();
        if answer.is_none() {
            self.open = None;
        }
        answer
    }

    async fn exchange(&mut self, prepared: &Prepared) -> Option<Answer> {
        let request = self.target.request(prepared).ok()?;
        let response = self.ready().await?.send_request(request).await.ok()?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.ok()?.to_bytes();
        Some(Answer { status: head.status, body })
    }

    async fn ready(&mut self) -> Option<&mut SendRequest<Full<Bytes>>> {
        let usable = match &mut self.open {
            Some(open) => open.ready().await.is_ok(),
            None => false,
        };
        if !usable {
            let stream = TcpStream::connect(self.target.address).await.ok()?;
            stream.set_nodelay(true).ok()?;
            let (open, connection) = handshake(TokioIo::new(stream)).await.ok()?;
            // It ends with its sender.
            tokio::spawn(connection);
            self.open = Some(open);
        }
        self.open.as_mut()
    }
}

/// So many connections, made before a clock runs: systems keep theirs open.
///
/// # Errors
///
/// [`BenchError::Silent`] when one cannot be made.
pub async fn connected(target: &Arc<Target>, count: usize) -> Result<Vec<Connection>, BenchError> {
    let mut connections = Vec::with_capacity(count);
    for _ in 0..count {
        let mut connection = Connection::of(target);
        if connection.ready().await.is_none() {
            let source = "it takes no further connection".to_owned();
            return Err(BenchError::Silent(target.authority.clone(), source));
        }
        connections.push(connection);
    }
    Ok(connections)
}

/// Sends all requests over `senders` connections, and answers in their order. For preparing, not for measuring.
///
/// # Errors
///
/// [`BenchError::Refused`] at the first that is refused or not answered.
pub async fn send_all(
    target: &Arc<Target>,
    senders: usize,
    act: &'static str,
    requests: Vec<Prepared>,
    progress: impl Fn(usize, usize) + Send + Sync + 'static,
) -> Result<Vec<Answer>, BenchError> {
    let (requests, next, progress) = (Arc::new(requests), Arc::new(AtomicUsize::new(0)), Arc::new(progress));
    let mut crew = JoinSet::new();
    for _ in 0..senders {
        let (requests, next, progress) = (Arc::clone(&requests), Arc::clone(&next), Arc::clone(&progress));
        let mut connection = Connection::of(target);
        crew.spawn(async move {
            let mut answers = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(request) = requests.get(at) else { return Ok(answers) };
                let got = match connection.send(request).await {
                    Some(answer) if answer.status.is_success() => {
                        answers.push((at, answer));
                        progress(at + 1, requests.len());
                        continue;
                    }
                    Some(answer) => answer.refusal().unwrap_or_default(),
                    None => "nothing".to_owned(),
                };
                return Err(BenchError::Refused { act, got });
            }
        });
    }
    let mut all: Vec<(usize, Answer)> = Vec::with_capacity(requests.len());
    while let Some(answers) = crew.join_next().await {
        all.extend(answers.map_err(|_| BenchError::Worker)??);
    }
    all.sort_by_key(|(at, _)| *at);
    Ok(all.into_iter().map(|(_, answer)| answer).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn other_machines_are_left_alone_unless_told() {
        let find = |url, remote| Target::find(url, remote, "run".to_owned());
        assert!(matches!(find("http://192.0.2.1:80", false).await, Err(BenchError::Remote(_))));
        assert!(find("http://192.0.2.1:80", true).await.is_ok());
        assert!(find("http://127.0.0.1:8080/", false).await.is_ok());
        for other in ["https://127.0.0.1:1", "127.0.0.1:1", "http://127.0.0.1:1/fhir"] {
            assert!(matches!(find(other, false).await, Err(BenchError::Url)), "{other}");
        }
    }
}
