//! The accept loop: TLS when configured, bounded connections, bodies and patience, graceful drain. Who gets in is
//! [`admission`](super::admission)'s. Knows nothing of routes.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;
use tower_service::Service;
use warp::filters::BoxedFilter;
use warp::reply::Response;

use super::admission::{Admission, Capacity};
use super::operator;
use super::problem::Problem;

/// How many times the limit of a body is read and thrown away before the connection is cut.
const DISCARDED: usize = 32;

/// The certificate a client showed in the TLS handshake, DER.
#[derive(Clone, Debug)]
pub struct ClientCertificate(pub Arc<[u8]>);

/// Whatever answers requests.
pub trait Answers: Clone + Send + Sync + 'static {
    /// Answers one.
    fn answer(&self, request: Request<Full<Bytes>>) -> impl Future<Output = Response> + Send;
}

impl Answers for BoxedFilter<(Response,)> {
    async fn answer(&self, request: Request<Full<Bytes>>) -> Response {
        match warp::service(self.clone()).call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

/// What bounds a server's work.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Open connections.
    pub connections: usize,
    /// What may be in work and in memory at once; beyond it the answer is `overloaded`.
    pub capacity: Capacity,
    /// Bytes of a request body.
    pub body: usize,
    /// For a handshake, for the next request's headers, for its body, and for a client to take some of its answer, each.
    pub patience: Duration,
    /// For requests in work when the server is told to stop.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            capacity: Capacity::default(),
            body: 2 << 20,
            patience: Duration::from_secs(10),
            drain: Duration::from_secs(20),
        }
    }
}

/// Serves `routes` until `stop` resolves, then lets requests in work finish.
pub async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    routes: impl Answers,
    limits: Limits,
    stop: impl Future<Output = ()>,
) {
    let connections = Arc::new(Semaphore::new(limits.connections));
    let admission = Arc::new(Admission::new(limits.capacity));
    let graceful = GracefulShutdown::new();
    tokio::pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, most likely: wait for some to come back.
                tracing::error!(%error, "accepting a connection failed");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&connections).try_acquire_owned() else {
            continue; // Closing at once tells the client; waiting would hold it.
        };
        let _ = stream.set_nodelay(true);
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(limits.patience));
        let stream = Box::pin(stream);
        let (routes, admission, tls, watcher) =
            (routes.clone(), Arc::clone(&admission), tls.clone(), graceful.watcher());
        tokio::spawn(async move {
            let _permit = permit;
            match tls {
                None => connection(stream, None, false, routes, admission, limits, watcher).await,
                Some(tls) => {
                    let Ok(Ok(stream)) = tokio::time::timeout(limits.patience, tls.accept(stream)).await
                    else {
                        return;
                    };
                    let session = stream.get_ref().1;
                    let certificate = session
                        .peer_certificates()
                        .and_then(<[_]>::first)
                        .map(|der| ClientCertificate(der.as_ref().into()));
                    let http2 = session.alpn_protocol() == Some(b"h2");
                    connection(stream, certificate, http2, routes, admission, limits, watcher).await;
                }
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(limits.drain, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests still in work after the drain time were dropped");
    }
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    certificate: Option<ClientCertificate>,
    http2: bool,
    routes: impl Answers,
    admission: Arc<Admission>,
    limits: Limits,
    watcher: hyper_util::server::graceful::Watcher,
) {
    let service = service_fn(move |request| {
        let (routes, admission, certificate) = (routes.clone(), Arc::clone(&admission), certificate.clone());
        async move { Ok::<_, Infallible>(answer(request, certificate, routes, &admission, limits).await) }
    });
    let io = TokioIo::new(stream);
    // A connection that breaks is the client's affair.
    if http2 {
        let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(64)
            .keep_alive_interval(Some(limits.patience))
            .serve_connection(io, service);
        let _ = watcher.watch(connection).await;
    } else {
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.patience)
            .serve_connection(io, service);
        let _ = watcher.watch(connection).await;
    }
}

/// One request: its whole body in time, in size and in memory, then its turn, then the routes. Whether the server is
/// well can be asked at any time.
async fn answer(
    request: Request<Incoming>,
    certificate: Option<ClientCertificate>,
    routes: impl Answers,
    admission: &Admission,
    limits: Limits,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let reading = body_read(body, limits.body, admission);
    let (body, _memory) = match tokio::time::timeout(limits.patience, reading).await {
        Ok(Ok(body)) => body,
        Ok(Err(refused)) => return close(refused),
        Err(_) => return close(malformed("the request body did not arrive in time")),
    };
    let _admitted = if operator::PATHS.contains(&parts.uri.path()) {
        None
    } else {
        match admission.enter().await {
            Some(admitted) => Some(admitted),
            None => return overloaded().response(),
        }
    };
    if let Some(certificate) = certificate {
        parts.extensions.insert(certificate);
    }
    let request = Request::from_parts(parts, Full::<Bytes>::new(body));
    routes.answer(request).await
}

/// The whole body with the memory it takes. A body somewhat too long is read to its end and thrown away, because a
/// client that is still writing would never see the answer.
async fn body_read(
    mut body: Incoming,
    limit: usize,
    admission: &Admission,
) -> Result<(Bytes, Option<OwnedSemaphorePermit>), Problem> {
    let too_large = || {
        let text = format!("a request body has at most {limit} bytes");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", text)
    };
    if body.size_hint().lower() > (DISCARDED * limit) as u64 {
        return Err(too_large());
    }
    let (mut kept, mut length, mut memory) = (BytesMut::new(), 0, None::<OwnedSemaphorePermit>);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| malformed("the request body broke off"))?;
        let Ok(data) = frame.into_data() else { continue };
        length += data.len();
        if length > DISCARDED * limit {
            return Err(too_large());
        }
        if length > limit {
            (kept, memory) = (BytesMut::new(), None);
            continue;
        }
        let more = admission.memory(data.len()).ok_or_else(overloaded)?;
        match &mut memory {
            Some(memory) => memory.merge(more),
            None => memory = Some(more),
        }
        kept.extend_from_slice(&data);
    }
    if length > limit { Err(too_large()) } else { Ok((kept.freeze(), memory)) }
}

fn malformed(text: &'static str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "malformed", text)
}

fn overloaded() -> Problem {
    let text = "the server has all the work it can do; try again with the same Idempotency-Key";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", text).retry_after(Duration::from_secs(1))
}

/// The rest of an unread body makes the connection useless.
fn close(problem: Problem) -> Response {
    let mut response = problem.response();
    response.headers_mut().insert(http::header::CONNECTION, http::HeaderValue::from_static("close"));
    response
}
