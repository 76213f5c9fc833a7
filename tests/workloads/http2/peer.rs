//! hyper: `server PORT`, or `client TOKEN SERVER=PORT...`, which begins at a line of input. See live/http2_peers.rs.

#![expect(clippy::unwrap_used, reason = "a program of the tests: a panic is how it fails")]
#![expect(clippy::print_stdout, reason = "this is how it speaks to the test")]

#[path = "../tasks.rs"]
mod tasks;

use std::{
    collections::HashMap,
    env, future,
    sync::{Arc, Mutex, PoisonError},
};

use self::tasks::at_a_time;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame, Incoming},
    client::conn::http2 as client,
    ext::Protocol,
    server::conn::http2 as server,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{Notify, watch},
};
use tokio_stream::StreamExt as _;

type Error = Box<dyn std::error::Error + Send + Sync>;
type Body = UnsyncBoxBody<Bytes, Error>;

fn text(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).map_err(Error::from).boxed_unsync()
}

/// What frames there are at once, and a last one that comes later.
fn frames(
    first: Vec<Frame<Bytes>>,
    last: impl Future<Output = Result<Frame<Bytes>, Error>> + Send + 'static,
) -> Body {
    let (first, mut last) = (tokio_stream::iter(first.into_iter().map(Ok)), Some(last));
    let last = tokio_stream::once(()).then(move |()| last.take().unwrap());
    StreamBody::new(first.chain(last)).boxed_unsync()
}

fn sum(value: &'static str) -> Frame<Bytes> {
    Frame::trailers(HeaderMap::from_iter([(
        http::HeaderName::from_static("sum"),
        HeaderValue::from_static(value),
    )]))
}

/// What requests wait for, by their token.
type Left = Arc<Mutex<HashMap<String, watch::Sender<bool>>>>;

fn leave(left: &Left, token: &str) -> watch::Sender<bool> {
    left.lock().unwrap_or_else(PoisonError::into_inner).entry(token.to_owned()).or_default().clone()
}

async fn handle(request: Request<Incoming>, left: Left, away: Arc<Notify>) -> Result<Response<Body>, Error> {
    let path = request.uri().path().to_owned();
    let mut parts = path.split('/').skip(1);
    let (token, _, what, detail) = (parts.next(), parts.next(), parts.next(), parts.next());
    let gate = leave(&left, token.unwrap_or_default());
    let mut answer = Response::new(text("ok\n"));
    *answer.body_mut() = match what.unwrap_or_default() {
        "post" | "upload" => text(request.into_body().collect().await?.to_bytes().len().to_string()),
        "download" => text("x".repeat(300_000)),
        "trailers" => {
            let body = request.into_body().collect().await?;
            assert_eq!(body.trailers().unwrap()["sum"], "1");
            frames(vec![Frame::data("ok\n".into())], async { Ok(sum("2")) })
        }
        "head" => text(""),
        "status" => {
            *answer.status_mut() = detail.unwrap().parse::<StatusCode>().unwrap();
            text("ok\n")
        }
        "cancel" => frames(vec![Frame::data("x".into())], future::pending()),
        "hang" => future::pending().await,
        "reset" => return Err(h2::Error::from(h2::Reason::ENHANCE_YOUR_CALM).into()),
        "hold" => frames(vec![Frame::data("o".into())], async move {
            gate.subscribe().wait_for(|left| *left).await?;
            Ok(Frame::data("k\n".into()))
        }),
        "leave" => {
            away.notify_one();
            gate.send_replace(true);
            text("ok\n")
        }
        "tunnel" => {
            tokio::spawn(async move {
                let mut stream = TokioIo::new(hyper::upgrade::on(request).await.unwrap());
                let (mut from, mut to) = tokio::io::split(&mut stream);
                tokio::io::copy(&mut from, &mut to).await.unwrap();
                to.shutdown().await.unwrap();
            });
            Empty::new().map_err(Error::from).boxed_unsync()
        }
        _ => text("ok\n"),
    };
    Ok(answer)
}

async fn serve(port: u16) {
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    println!("listening");
    let left = Left::default();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (left, away) = (Arc::clone(&left), Arc::new(Notify::new()));
        let gone = Arc::clone(&away);
        tokio::spawn(async move {
            let service = service_fn(move |request| handle(request, Arc::clone(&left), Arc::clone(&away)));
            let mut builder = server::Builder::new(TokioExecutor::new());
            let connection =
                builder.enable_connect_protocol().serve_connection(TokioIo::new(stream), service);
            tokio::pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => Some(ended),
                () = gone.notified() => None,
            };
            if ended.is_none() {
                connection.as_mut().graceful_shutdown();
                // Clients may go without a word.
                connection.await.ok();
            }
        });
    }
}

#[derive(Clone)]
struct Client {
    connection: client::SendRequest<Body>,
    address: Arc<str>,
    prefix: Arc<str>,
}

impl Client {
    async fn connect(address: Arc<str>, prefix: Arc<str>) -> Self {
        let stream = TcpStream::connect(&*address).await.unwrap();
        let builder = client::Builder::new(TokioExecutor::new());
        let (connection, task) = builder.handshake(TokioIo::new(stream)).await.unwrap();
        // What became of it is seen by its requests.
        tokio::spawn(async { task.await.ok() });
        Self { connection, address, prefix }
    }

    fn request(&self, method: Method, path: &str, body: Body) -> Request<Body> {
        let uri = format!("http://{}{}{path}", self.address, self.prefix);
        Request::builder().method(method).uri(uri).body(body).unwrap()
    }

    async fn send(&mut self, method: Method, path: &str, body: Body) -> hyper::Result<Response<Incoming>> {
        self.connection.ready().await?;
        let request = self.request(method, path, body);
        self.connection.send_request(request).await
    }

    /// The content of an answer of status 200.
    async fn call(&mut self, method: Method, path: &str, body: Body) -> Bytes {
        let answer = self.send(method, path, body).await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        content(answer).await
    }

    async fn get(&mut self, path: &str) {
        assert_eq!(self.call(Method::GET, path, text("")).await, "ok\n", "{path}");
    }

    async fn run(mut self, server: &str) {
        let zeros = |length| text(vec![0; length]);
        at_a_time(20, 200, &self, |mut client, n| async move { client.get(&format!("get/{n}")).await }).await;
        at_a_time(5, 20, &self, move |mut client, n| async move {
            assert_eq!(client.call(Method::POST, &format!("post/{n}"), zeros(10_000)).await, "10000");
        })
        .await;
        assert_eq!(self.call(Method::POST, "upload", zeros(300_000)).await, "300000");
        assert_eq!(self.call(Method::GET, "download", text("")).await.len(), 300_000);
        let body = frames(vec![Frame::data("x".into())], async { Ok(sum("1")) });
        let mut request = self.request(Method::POST, "trailers", body);
        request.headers_mut().insert("trailer", HeaderValue::from_static("sum"));
        let answer =
            self.connection.send_request(request).await.unwrap().into_body().collect().await.unwrap();
        assert_eq!(answer.trailers().unwrap()["sum"], "2");
        assert_eq!(self.call(Method::HEAD, "head", text("")).await, "");
        for status in [404, 503] {
            let answer = self.send(Method::GET, &format!("status/{status}"), text("")).await.unwrap();
            assert_eq!(answer.status(), status);
            content(answer).await;
        }
        if server != "hyper" {
            self.get("hints").await;
        }
        drop(self.send(Method::GET, "cancel", text("")).await.unwrap());
        let hanging = self.connection.send_request(self.request(Method::GET, "hang", text("")));
        // What is answered was sent behind it.
        self.get("behind").await;
        drop(hanging);
        let reset = match self.send(Method::GET, "reset", text("")).await {
            Ok(answer) => answer.into_body().collect().await.map(drop),
            Err(error) => Err(error),
        };
        assert!(reset.is_err());
        assert_eq!(self.call(Method::POST, "early", zeros(1_000_000)).await, "ok\n");
        let mut held = Vec::new();
        for n in 0..5 {
            held.push(self.send(Method::GET, &format!("hold/{n}"), text("")).await.unwrap());
        }
        self.get("leave").await;
        for answer in held {
            assert_eq!(content(answer).await, "ok\n");
        }
        self = Self::connect(self.address, self.prefix).await;
        at_a_time(5, 5, &self, |mut client, n| async move { client.get(&format!("after/{n}")).await }).await;
        if server != "go" {
            self.tunnel().await;
        }
    }

    async fn tunnel(mut self) {
        let mut request = self.request(Method::CONNECT, "tunnel", text(""));
        request.extensions_mut().insert(Protocol::from_static("websocket"));
        let answer = self.connection.send_request(request).await.unwrap();
        let mut stream = TokioIo::new(hyper::upgrade::on(answer).await.unwrap());
        stream.write_all(b"through").await.unwrap();
        let mut read = [0; 7];
        stream.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"through");
        stream.shutdown().await.unwrap();
        assert_eq!(stream.read(&mut read).await.unwrap(), 0);
    }
}

async fn content(answer: Response<Incoming>) -> Bytes {
    answer.into_body().collect().await.unwrap().to_bytes()
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["server", port] => serve(port.parse().unwrap()).await,
        ["client", token, ref servers @ ..] => {
            println!("ready");
            std::io::stdin().read_line(&mut String::new()).unwrap();
            for argument in servers {
                let (server, port) = argument.split_once('=').unwrap();
                let address = format!("127.0.0.1:{port}").into();
                Client::connect(address, format!("/{token}/{server}/").into()).await.run(server).await;
            }
            println!("done");
        }
        _ => panic!("not so: {arguments:?}"),
    }
}
