//! A backend in this process, over HTTP or gRPC, with or without TLS, that replies as it is told.

use std::{
    collections::VecDeque,
    convert::Infallible,
    io::Read,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use flate2::read::GzDecoder;
use http::{Response, StatusCode};
use http_body_util::BodyExt;
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};
use prost::Message;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    runtime::Runtime,
};
use tokio_rustls::TlsAcceptor;
use tonic::{Code, Status, codec::CompressionEncoding};
use tonic_types::{ErrorDetails, StatusExt};
use tower_service::Service;

use crate::export::{delivery::settings::Protocol, destination::OtlpTarget};

#[derive(Clone, Debug)]
pub(super) enum Reply {
    Http(StatusCode),
    /// With this `Retry-After`.
    HttpAfter(StatusCode, String),
    Grpc(Code),
    /// With this much in its `RetryInfo`.
    GrpcAfter(Code, Duration),
    Partial(i64),
    /// With a body of this size.
    HttpLong(StatusCode, usize),
    /// A partial success whose message is this long.
    PartialLong(i64, usize),
    /// Not at all.
    Never,
    /// A head with this status, then nothing.
    HttpHeadOnly(StatusCode),
}

#[derive(Default)]
struct State {
    requests: Vec<ExportTraceServiceRequest>,
    zipkin: Vec<serde_json::Value>,
    tenant: Option<String>,
    /// Codings that the last request offered for the answer of a gRPC call.
    accepted: Option<String>,
    replies: VecDeque<Reply>,
    /// The coding of the answers of gRPC calls.
    answers_in: Option<CompressionEncoding>,
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<State>>);

pub(super) struct Collector {
    protocol: Protocol,
    address: SocketAddr,
    shared: Shared,
    runtime: Option<Runtime>,
}

impl Collector {
    pub(super) fn start(protocol: Protocol) -> Self {
        Self::start_at(protocol, "127.0.0.1:0".parse().unwrap(), None)
    }

    pub(super) fn start_at(protocol: Protocol, address: SocketAddr, tls: Option<TlsAcceptor>) -> Self {
        // A thread of its own: some tests hold the time of theirs.
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let shared = Shared::default();
        let listener = std::net::TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let serving = shared.clone();
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let (shared, tls) = (serving.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => shared.serve(protocol, stream).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                shared.serve(protocol, stream).await;
                            }
                        }
                    }
                });
            }
        });
        Self { protocol, address, shared, runtime: Some(runtime) }
    }

    /// The next replies; after these, everything is taken.
    pub(super) fn will_reply(&self, replies: impl IntoIterator<Item = Reply>) {
        self.shared.0.lock().unwrap().replies.extend(replies);
    }

    /// From the next connection on.
    pub(super) fn answers_in(&self, coding: CompressionEncoding) {
        self.shared.0.lock().unwrap().answers_in = Some(coding);
    }

    pub(super) fn requests(&self) -> Vec<ExportTraceServiceRequest> {
        self.shared.0.lock().unwrap().requests.clone()
    }

    pub(super) fn zipkin(&self) -> Vec<serde_json::Value> {
        self.shared.0.lock().unwrap().zipkin.clone()
    }

    pub(super) fn spans(&self) -> usize {
        let groups = |request: &ExportTraceServiceRequest| -> usize {
            request
                .resource_spans
                .iter()
                .flat_map(|group| &group.scope_spans)
                .map(|scope| scope.spans.len())
                .sum()
        };
        self.shared.0.lock().unwrap().requests.iter().map(groups).sum()
    }

    pub(super) fn tenant(&self) -> Option<String> {
        self.shared.0.lock().unwrap().tenant.clone()
    }

    pub(super) fn accepted_codings(&self) -> Option<String> {
        self.shared.0.lock().unwrap().accepted.clone()
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn destination(&self) -> String {
        destination(self.protocol, self.address)
    }

    pub(super) fn target(&self) -> OtlpTarget {
        target(self.protocol, self.url())
    }
}

impl Drop for Collector {
    /// Without waiting, which a test that holds the time must not do.
    fn drop(&mut self) {
        self.runtime.take().into_iter().for_each(Runtime::shutdown_background);
    }
}

pub(super) fn target(protocol: Protocol, url: String) -> OtlpTarget {
    match protocol {
        Protocol::HttpProtobuf => OtlpTarget::Http(Some(url)),
        Protocol::Grpc => OtlpTarget::Grpc(Some(url)),
        Protocol::Zipkin => panic!("Zipkin does not speak OTLP"),
    }
}

pub(super) fn destination(protocol: Protocol, address: SocketAddr) -> String {
    match protocol {
        Protocol::HttpProtobuf => format!("otlp-http=http://{address}"),
        Protocol::Grpc => format!("otlp-grpc=http://{address}"),
        Protocol::Zipkin => format!("zipkin=http://{address}"),
    }
}

/// A request of one span, encoded.
pub(super) fn request_of(name: &str) -> Vec<u8> {
    let span = Span { name: name.to_owned(), ..Span::default() };
    let scope = ScopeSpans { spans: vec![span], ..ScopeSpans::default() };
    let group = ResourceSpans { scope_spans: vec![scope], ..ResourceSpans::default() };
    ExportTraceServiceRequest { resource_spans: vec![group] }.encode_to_vec()
}

pub(super) fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

impl Shared {
    async fn serve(&self, protocol: Protocol, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let stream = TokioIo::new(stream);
        // How a connection ends is the other side's business.
        match protocol {
            Protocol::HttpProtobuf | Protocol::Zipkin => {
                let service = service_fn(|request| self.answer(protocol, request));
                drop(http1::Builder::new().serve_connection(stream, service).await);
            }
            Protocol::Grpc => {
                let grpc = TraceServiceServer::new(self.clone())
                    .accept_compressed(CompressionEncoding::Gzip)
                    .accept_compressed(CompressionEncoding::Zstd);
                let grpc = match self.0.lock().unwrap().answers_in {
                    Some(coding) => grpc.send_compressed(coding),
                    None => grpc,
                };
                let service = service_fn(|request| grpc.clone().call(request));
                drop(http2::Builder::new(TokioExecutor::new()).serve_connection(stream, service).await);
            }
        }
    }

    async fn answer(
        &self,
        protocol: Protocol,
        request: http::Request<Incoming>,
    ) -> Result<Response<Reading>, Infallible> {
        let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let (content, path) = match protocol {
            Protocol::HttpProtobuf => ("application/x-protobuf", "/v1/traces"),
            Protocol::Zipkin => ("application/json", "/api/v2/spans"),
            Protocol::Grpc => panic!("gRPC has its own"),
        };
        assert_eq!((request.method().as_str(), request.uri().path()), ("POST", path));
        assert_eq!(header("content-type").as_deref(), Some(content));
        let (tenant, coding) = (header("x-tenant"), header("content-encoding"));
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let mut plain = Vec::new();
        match coding.as_deref() {
            None => plain = body.to_vec(),
            Some("gzip") => drop(GzDecoder::new(&*body).read_to_end(&mut plain).unwrap()),
            Some("zstd") => plain = zstd::decode_all(&*body).unwrap(),
            Some(other) => panic!("content-encoding {other}"),
        }
        let reply = match protocol {
            Protocol::Zipkin => {
                self.0.lock().unwrap().zipkin.push(serde_json::from_slice(&plain).unwrap());
                self.receive(ExportTraceServiceRequest::default(), tenant)
            }
            Protocol::HttpProtobuf | Protocol::Grpc => {
                self.receive(Message::decode(&*plain).unwrap(), tenant)
            }
        };
        let mut response = Response::new(Reading::new(Bytes::new()));
        match reply {
            None if protocol == Protocol::Zipkin => *response.status_mut() = StatusCode::ACCEPTED,
            None => {}
            Some(Reply::Http(status)) => *response.status_mut() = status,
            Some(Reply::HttpAfter(status, after)) => {
                *response.status_mut() = status;
                response.headers_mut().insert("retry-after", after.parse().unwrap());
            }
            Some(Reply::Partial(rejected)) => {
                *response.body_mut() = Reading::new(partial(rejected, 0).encode_to_vec());
            }
            Some(Reply::PartialLong(rejected, length)) => {
                *response.body_mut() = Reading::new(partial(rejected, length).encode_to_vec());
            }
            Some(Reply::HttpLong(status, length)) => {
                *response.status_mut() = status;
                *response.body_mut() = Reading::new(vec![b'x'; length]);
            }
            Some(Reply::HttpHeadOnly(status)) => {
                *response.status_mut() = status;
                *response.body_mut() = Reading { text: None, endless: true };
            }
            Some(Reply::Never) => std::future::pending().await,
            Some(reply @ (Reply::Grpc(_) | Reply::GrpcAfter(..))) => panic!("{reply:?} over HTTP"),
        }
        Ok(response)
    }

    fn receive(&self, request: ExportTraceServiceRequest, tenant: Option<String>) -> Option<Reply> {
        let mut state = self.0.lock().unwrap();
        state.requests.push(request);
        state.tenant = tenant;
        state.replies.pop_front()
    }
}

/// The body of an answer.
struct Reading {
    text: Option<Bytes>,
    endless: bool,
}

impl Reading {
    fn new(text: impl Into<Bytes>) -> Self {
        Self { text: Some(text.into()).filter(|text| !text.is_empty()), endless: false }
    }
}

impl http_body::Body for Reading {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        match self.text.take() {
            Some(text) => Poll::Ready(Some(Ok(http_body::Frame::data(text)))),
            None if self.endless => Poll::Pending,
            None => Poll::Ready(None),
        }
    }
}

fn partial(rejected_spans: i64, length: usize) -> ExportTraceServiceResponse {
    let error_message = format!("too old{}", "!".repeat(length));
    let partial = ExportTracePartialSuccess { rejected_spans, error_message };
    ExportTraceServiceResponse { partial_success: Some(partial) }
}

#[tonic::async_trait]
impl TraceService for Shared {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, Status> {
        let field = |name: &str| request.metadata().get(name).map(|value| value.to_str().unwrap().to_owned());
        let tenant = field("x-tenant");
        self.0.lock().unwrap().accepted = field("grpc-accept-encoding");
        match self.receive(request.into_inner(), tenant) {
            Some(Reply::Grpc(code)) => Err(Status::new(code, "told to")),
            Some(Reply::GrpcAfter(code, after)) => {
                let details = ErrorDetails::with_retry_info(Some(after));
                Err(Status::with_error_details(code, "told to", details))
            }
            Some(
                reply
                @ (Reply::Http(_) | Reply::HttpAfter(..) | Reply::HttpLong(..) | Reply::HttpHeadOnly(_)),
            ) => panic!("{reply:?} over gRPC"),
            Some(Reply::Partial(rejected)) => Ok(tonic::Response::new(partial(rejected, 0))),
            Some(Reply::PartialLong(rejected, length)) => Ok(tonic::Response::new(partial(rejected, length))),
            Some(Reply::Never) => std::future::pending().await,
            None => Ok(tonic::Response::new(ExportTraceServiceResponse::default())),
        }
    }
}
