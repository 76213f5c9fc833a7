//! hyper: `server PORT`, or `client PORT`, which begins at a line of input and asks the same as recorded.js, but for
//! early hints, which it does not send.

#![expect(clippy::unwrap_used, reason = "a program of the tests: a panic is how it fails")]
#![expect(clippy::print_stdout, reason = "this is how it speaks to the test")]

use std::{convert::Infallible, env};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame, Incoming},
    client::conn::http2 as client,
    server::conn::http2 as server,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};

type Body = UnsyncBoxBody<Bytes, Infallible>;

fn text(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).boxed_unsync()
}

async fn handle(request: Request<Incoming>) -> Result<Response<Body>, hyper::Error> {
    let (path, is_head) = (request.uri().path().to_owned(), request.method() == Method::HEAD);
    let length = request.into_body().collect().await?.to_bytes().len();
    let mut answer = Response::new(text(if is_head { String::new() } else { format!("{length} bytes") }));
    if path == "/missing" {
        *answer.status_mut() = StatusCode::NOT_FOUND;
    }
    if path == "/trailers" {
        let trailers = HeaderMap::from_iter([("checksum".parse().unwrap(), "1".parse().unwrap())]);
        let frames = [Frame::data("ok".into()), Frame::trailers(trailers)].map(Ok);
        *answer.body_mut() = StreamBody::new(tokio_stream::iter(frames)).boxed_unsync();
    }
    Ok(answer)
}

async fn serve(port: u16) {
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    println!("listening");
    loop {
        let stream = TokioIo::new(listener.accept().await.unwrap().0);
        let builder = server::Builder::new(TokioExecutor::new());
        // Clients may go without a word.
        tokio::spawn(async move { builder.serve_connection(stream, service_fn(handle)).await.ok() });
    }
}

async fn call(port: u16) {
    let stream = TokioIo::new(TcpStream::connect(("127.0.0.1", port)).await.unwrap());
    let (sender, connection) = client::handshake(TokioExecutor::new(), stream).await.unwrap();
    let task = tokio::spawn(connection);
    let ask = async |method: Method, path: &str, content: String| {
        let uri = format!("http://127.0.0.1:{port}{path}");
        let request = Request::builder().method(method).uri(uri).body(text(content)).unwrap();
        let answer = sender.clone().send_request(request).await.unwrap();
        let status = answer.status();
        answer.into_body().collect().await.unwrap();
        status
    };
    let get = async |path: &str| ask(Method::GET, path, String::new()).await;
    get("/first").await;
    tokio::join!(get("/item/0?n=0"), get("/item/1?n=1"), get("/item/2?n=2"), get("/item/3?n=3"));
    ask(Method::POST, "/upload", "x".repeat(3000)).await;
    ask(Method::HEAD, "/head", String::new()).await;
    get("/trailers").await;
    assert_eq!(get("/missing").await, StatusCode::NOT_FOUND);
    drop(sender);
    task.await.unwrap().unwrap();
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [role, port] = arguments.as_slice() else { panic!("not so: {arguments:?}") };
    let port = port.parse().unwrap();
    if role == "server" {
        return serve(port).await;
    }
    println!("ready");
    std::io::stdin().read_line(&mut String::new()).unwrap();
    call(port).await;
    println!("done");
}
