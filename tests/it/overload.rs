//! More than the server can do, and clients that will not let go: what is refused, what goes on.

#![expect(clippy::unwrap_used, reason = "a server that does not listen fails its tests")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hikikae::http::admission::Capacity;
use hikikae::http::server::{Limits, serve};
use reqwest::{Client, Response, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;
use warp::Filter;
use warp::reply::Response as Answer;

use crate::door::code;

/// What the slow reader is to be sent: more than the buffers of a connection.
const LONG: usize = 64 << 20;

/// A server whose work lasts until it is let go.
struct Busy {
    address: SocketAddr,
    work: Arc<Semaphore>,
    _stop: oneshot::Sender<()>,
}

impl Busy {
    async fn start(limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let work = Arc::new(Semaphore::new(0));
        let waiting = Arc::clone(&work);
        let held = warp::path("work").and(warp::body::bytes()).then(move |_| {
            let waiting = Arc::clone(&waiting);
            async move {
                waiting.acquire().await.unwrap().forget();
                Answer::new("done".into())
            }
        });
        let long = warp::path("long").map(|| Answer::new(vec![b' '; LONG].into()));
        let well = warp::path("healthz").map(|| Answer::new("ok".into()));
        let routes = held.or(long).unify().or(well).unify().boxed();
        let (stop, stopped) = oneshot::channel();
        tokio::spawn(serve(listener, None, routes, limits, async { drop(stopped.await) }));
        Self { address, work, _stop: stop }
    }

    fn ask(&self, client: &Client, path: &str) -> JoinHandle<Response> {
        let call = client.post(format!("http://{}/{path}", self.address)).body("{}");
        tokio::spawn(async move { call.send().await.unwrap() })
    }
}

#[tokio::test]
async fn what_finds_no_place_is_refused_at_once_and_the_rest_is_done() {
    let capacity = Capacity { working: 2, waiting: 3, burst: Duration::from_mins(1), ..Capacity::default() };
    let busy = Busy::start(Limits { capacity, ..Limits::default() }).await;
    let client = Client::builder().no_proxy().build().unwrap();
    let mut asked: Vec<_> = (0..12).map(|_| busy.ask(&client, "work")).collect();
    // Seven are refused while nothing is finished.
    let mut refused = 0;
    while refused < 7 {
        let (answer, _, rest) = futures_util::future::select_all(asked).await;
        asked = rest;
        let answer = answer.unwrap();
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.headers()["retry-after"], "1");
        assert_eq!(code(&answer.json().await.unwrap()), "overloaded");
        refused += 1;
    }
    let well = busy.ask(&client, "healthz").await.unwrap();
    assert_eq!(well.status(), StatusCode::OK, "whether the server is well is answered all the same");
    busy.work.add_permits(5);
    for answer in asked {
        assert_eq!(answer.await.unwrap().status(), StatusCode::OK);
    }
    busy.work.add_permits(1);
    assert_eq!(
        busy.ask(&client, "work").await.unwrap().status(),
        StatusCode::OK,
        "all places are free again"
    );
}

#[tokio::test]
async fn bodies_that_do_not_come_to_an_end_take_bounded_memory() {
    let capacity = Capacity { memory: 1000, ..Capacity::default() };
    let busy = Busy::start(Limits { capacity, ..Limits::default() }).await;
    busy.work.add_permits(2);
    let client = Client::builder().no_proxy().build().unwrap();
    let mut slow = TcpStream::connect(busy.address).await.unwrap();
    let head = "POST /work HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\nConnection: close\r\n\r\n";
    slow.write_all(head.as_bytes()).await.unwrap();
    slow.write_all(&[b' '; 999]).await.unwrap();
    // Until the server has taken what is there, there is room for one more.
    while busy.ask(&client, "work").await.unwrap().status() == StatusCode::OK {
        busy.work.add_permits(1);
    }
    slow.write_all(b" ").await.unwrap();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(busy.ask(&client, "work").await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn who_sends_or_takes_nothing_is_let_go() {
    let limits = Limits { connections: 1, patience: Duration::from_millis(300), ..Limits::default() };
    let busy = Busy::start(limits).await;
    let begun = [
        "",
        "POST /work HTT",
        "POST /work HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n12",
        "POST /long HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
    ];
    for request in begun {
        // The only connection is held until the server ends it: only then another one is answered.
        let mut held = TcpStream::connect(busy.address).await.unwrap();
        held.write_all(request.as_bytes()).await.unwrap();
        while well(busy.address).await.is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        drop(held);
    }
}

/// Whether the server answers on a new connection.
async fn well(address: SocketAddr) -> Option<()> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    answer.starts_with("HTTP/1.1 200").then_some(())
}
