//! tonic: `server PORT SERVICE`, or `client PORT SERVICE WHAT`, which begins at a line of input. WHAT is `load`, `scan`,
//! `bulk`, `endings`, `answers` or a method of endings.rs. See live/grpc.rs and its neighbours.

#![expect(clippy::unwrap_used, reason = "a program of the tests: a panic is how it fails")]
#![expect(clippy::print_stdout, reason = "this is how it speaks to the test")]

#[path = "endings.rs"]
mod endings;
#[path = "../tasks.rs"]
mod tasks;

use std::{
    convert::Infallible,
    env,
    sync::Arc,
    time::{Duration, Instant},
};

use self::tasks::at_a_time;

use bytes::{Buf as _, BufMut as _, Bytes};
use http::uri::PathAndQuery;
use tokio::sync::Notify;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{
    Code, Request, Response, Status, Streaming,
    body::Body,
    client,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    server,
    transport::{Channel, Server},
};
use tower::service_fn;

/// Messages are bytes: no code is generated.
#[derive(Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

fn number<T: std::str::FromStr<Err: std::fmt::Debug>>(message: &Bytes) -> T {
    std::str::from_utf8(message).unwrap().parse().unwrap()
}

async fn status(request: Request<Bytes>) -> Result<Response<Bytes>, Status> {
    let code = Code::from_i32(number(request.get_ref()));
    if code == Code::Ok {
        return Ok(Response::new(request.into_inner()));
    }
    Err(Status::new(code, "as asked"))
}

async fn upload(request: Request<Streaming<Bytes>>) -> Result<Response<Bytes>, Status> {
    let mut messages = request.into_inner();
    let mut count = 0;
    while messages.message().await?.is_some() {
        count += 1;
    }
    Ok(Response::new(count.to_string().into()))
}

async fn download(
    request: Request<Bytes>,
) -> Result<Response<impl Stream<Item = Result<Bytes, Status>>>, Status> {
    let count = number::<usize>(request.get_ref());
    Ok(Response::new(tokio_stream::iter((0..count).map(|message| Ok(message.to_string().into())))))
}

async fn slow(_: Request<Bytes>) -> Result<Response<impl Stream<Item = Result<Bytes, Status>>>, Status> {
    let messages =
        tokio_stream::iter(["first", "last"].into_iter().enumerate()).then(|(number, text)| async move {
            tokio::time::sleep(Duration::from_secs(2) * number as u32).await;
            Ok(Bytes::from(text))
        });
    Ok(Response::new(messages))
}

async fn handle(service: Arc<str>, over: Arc<Notify>, request: http::Request<Body>) -> http::Response<Body> {
    let path = request.uri().path().to_owned();
    let method = path.strip_prefix('/').and_then(|path| path.strip_prefix(&*service));
    let mut server = server::Grpc::new(Raw);
    match method {
        Some("/Unary") => {
            let echo = async |request: Request<Bytes>| Ok(Response::new(request.into_inner()));
            server.unary(service_fn(echo), request).await
        }
        Some("/Status") => server.unary(service_fn(status), request).await,
        Some("/Upload") => server.client_streaming(service_fn(upload), request).await,
        Some("/Download") => server.server_streaming(service_fn(download), request).await,
        Some("/Chat") => {
            let echo = async |request: Request<Streaming<Bytes>>| Ok(Response::new(request.into_inner()));
            server.streaming(service_fn(echo), request).await
        }
        Some("/Slow") => server.server_streaming(service_fn(slow), request).await,
        Some("/Wait") => server.server_streaming(service_fn(endings::wait), request).await,
        Some("/Stop") => server.server_streaming(service_fn(endings::stop), request).await,
        Some("/Drain") => {
            let drain = |request| endings::drain(request, Arc::clone(&over));
            server.server_streaming(service_fn(drain), request).await
        }
        _ => Status::unimplemented("no such method").into_http(),
    }
}

async fn serve(port: u16, service: String) {
    let service: Arc<str> = service.into();
    let over = Arc::new(Notify::new());
    let ending = Arc::clone(&over);
    let methods = service_fn(move |request| {
        let (service, over) = (Arc::clone(&service), Arc::clone(&over));
        async move { Ok::<_, Infallible>(handle(service, over, request).await) }
    });
    println!("listening");
    let address = ([127, 0, 0, 1], port).into();
    Server::builder().serve_with_shutdown(address, methods, ending.notified()).await.unwrap();
}

#[derive(Clone)]
struct Client {
    channel: Channel,
    service: Arc<str>,
}

impl Client {
    fn path(&self, method: &str) -> PathAndQuery {
        PathAndQuery::try_from(format!("/{}/{method}", self.service)).unwrap()
    }

    fn request<T>(&self, number: &str, content: T) -> Request<T> {
        let mut request = Request::new(content);
        request.metadata_mut().insert("number", number.parse().unwrap());
        request
    }

    /// Sends one message; what comes back, as it comes.
    async fn answers(&self, method: &str, request: Request<Bytes>) -> Result<Streaming<Bytes>, Status> {
        let mut client = client::Grpc::new(self.channel.clone());
        client.ready().await.map_err(|error| Status::from_error(error.into()))?;
        Ok(client.server_streaming(request, self.path(method), Raw).await?.into_inner())
    }

    /// Sends these messages; what comes back.
    async fn call(&self, method: &str, number: String, messages: Vec<Bytes>) -> Result<Vec<Bytes>, Status> {
        let request = self.request(&number, tokio_stream::iter(messages));
        let mut client = client::Grpc::new(self.channel.clone());
        client.ready().await.unwrap();
        let mut answers = client.streaming(request, self.path(method), Raw).await?.into_inner();
        let mut received = Vec::new();
        while let Some(answer) = answers.message().await? {
            received.push(answer);
        }
        Ok(received)
    }

    async fn load(self) {
        let calls = env::var("CALLS").map_or(1000, |few| few.parse().unwrap());
        at_a_time(50, calls, &self, |client, n| async move {
            let message = Bytes::from(vec![b'x'; n]);
            let answers = client.call("Unary", format!("u{n}"), vec![message.clone()]).await.unwrap();
            assert_eq!(answers, [message]);
        })
        .await;
        at_a_time(10, calls / 10, &self, |client, n| async move {
            let messages = vec![Bytes::from("x"); 5];
            assert_eq!(client.call("Upload", format!("r{n}"), messages).await.unwrap(), ["5"]);
        })
        .await;
        at_a_time(10, calls / 10, &self, |client, n| async move {
            let answers = client.call("Download", format!("d{n}"), vec!["7".into()]).await.unwrap();
            assert_eq!(answers.len(), 7);
        })
        .await;
        at_a_time(10, calls / 10, &self, |client, n| async move {
            let messages = vec![Bytes::from("x"); 4];
            assert_eq!(client.call("Chat", format!("c{n}"), messages.clone()).await.unwrap(), messages);
        })
        .await;
        for code in 0..17 {
            let answer = self.call("Status", format!("s{code}"), vec![code.to_string().into()]).await;
            assert_eq!(answer.map_or_else(|status| status.code(), |_| Code::Ok), Code::from_i32(code));
        }
        let start = Instant::now();
        assert_eq!(self.call("Slow", "l0".to_owned(), vec![Bytes::new()]).await.unwrap().len(), 2);
        println!("slow {}", start.elapsed().as_micros());
    }

    /// Many messages, which the library puts into each frame.
    async fn bulk(self) {
        let messages = vec![Bytes::from(vec![b'x'; 1024]); 10_000];
        assert_eq!(self.call("Upload", "b0".to_owned(), messages).await.unwrap(), ["10000"]);
    }

    async fn scan(self) {
        at_a_time(10, 10_000, &self, |client, n| async move {
            let method = format!("Random{}", n * 7919 % 1_000_003);
            let status = client.call(&method, "x".to_owned(), vec![Bytes::new()]).await.unwrap_err();
            assert_eq!(status.code(), Code::Unimplemented);
        })
        .await;
    }
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (role, port, service, what) = match arguments.as_slice() {
        [role, port, service] => (role, port, service, "load"),
        [role, port, service, what] => (role, port, service, what.as_str()),
        _ => panic!("not so: {arguments:?}"),
    };
    if role == "server" {
        return serve(port.parse().unwrap(), service.clone()).await;
    }
    println!("ready");
    std::io::stdin().read_line(&mut String::new()).unwrap();
    let address = Channel::from_shared(format!("http://127.0.0.1:{port}")).unwrap();
    let client = Client { channel: address.connect().await.unwrap(), service: service.as_str().into() };
    match what {
        "load" => client.load().await,
        "scan" => client.scan().await,
        "bulk" => client.bulk().await,
        "endings" => client.endings().await,
        "answers" => client.answered().await,
        method => client.open(method).await,
    }
    println!("done");
}
