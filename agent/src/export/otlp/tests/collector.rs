//! A collector in this process, over HTTP or gRPC, that replies as it is told.

use std::{
    collections::VecDeque,
    convert::Infallible,
    io::Read,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use flate2::read::GzDecoder;
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};
use prost::Message;
use tokio::{net::TcpListener, runtime::Runtime};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Code, Status, codec::CompressionEncoding, transport::Server};

use crate::export::{destination::OtlpTarget, otlp::settings::Protocol};

#[derive(Clone, Debug)]
pub(super) enum Reply {
    Http(StatusCode),
    Grpc(Code),
    Partial(i64),
}

#[derive(Default)]
struct State {
    requests: Vec<ExportTraceServiceRequest>,
    tenant: Option<String>,
    replies: VecDeque<Reply>,
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<State>>);

pub(super) struct Collector {
    protocol: Protocol,
    address: SocketAddr,
    shared: Shared,
    _runtime: Runtime,
}

impl Collector {
    pub(super) fn start(protocol: Protocol) -> Self {
        Self::start_at(protocol, "127.0.0.1:0".parse().unwrap())
    }

    pub(super) fn start_at(protocol: Protocol, address: SocketAddr) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let shared = Shared::default();
        let listener = runtime.block_on(TcpListener::bind(address)).unwrap();
        let address = listener.local_addr().unwrap();
        match protocol {
            Protocol::HttpProtobuf => drop(runtime.spawn(serve_http(listener, shared.clone()))),
            Protocol::Grpc => {
                let service =
                    TraceServiceServer::new(shared.clone()).accept_compressed(CompressionEncoding::Gzip);
                let server = Server::builder().add_service(service);
                drop(runtime.spawn(server.serve_with_incoming(TcpListenerStream::new(listener))));
            }
        }
        Self { protocol, address, shared, _runtime: runtime }
    }

    /// The next replies; after these, everything is taken.
    pub(super) fn will_reply(&self, replies: impl IntoIterator<Item = Reply>) {
        self.shared.0.lock().unwrap().replies.extend(replies);
    }

    pub(super) fn requests(&self) -> Vec<ExportTraceServiceRequest> {
        self.shared.0.lock().unwrap().requests.clone()
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

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn destination(&self) -> String {
        destination(self.protocol, self.address)
    }

    pub(super) fn target(&self) -> OtlpTarget {
        match self.protocol {
            Protocol::HttpProtobuf => OtlpTarget::Http(Some(self.url())),
            Protocol::Grpc => OtlpTarget::Grpc(Some(self.url())),
        }
    }
}

pub(super) fn destination(protocol: Protocol, address: SocketAddr) -> String {
    match protocol {
        Protocol::HttpProtobuf => format!("otlp-http=http://{address}"),
        Protocol::Grpc => format!("otlp-grpc=http://{address}"),
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
    fn receive(&self, request: ExportTraceServiceRequest, tenant: Option<&[u8]>) -> Option<Reply> {
        let mut state = self.0.lock().unwrap();
        state.requests.push(request);
        state.tenant = tenant.map(|tenant| String::from_utf8(tenant.to_vec()).unwrap());
        state.replies.pop_front()
    }
}

fn partial(rejected_spans: i64) -> ExportTraceServiceResponse {
    let partial = ExportTracePartialSuccess { rejected_spans, error_message: "too old".to_owned() };
    ExportTraceServiceResponse { partial_success: Some(partial) }
}

#[tonic::async_trait]
impl TraceService for Shared {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, Status> {
        let tenant = request.metadata().get("x-tenant").map(|value| value.as_bytes().to_vec());
        match self.receive(request.into_inner(), tenant.as_deref()) {
            Some(Reply::Grpc(code)) => Err(Status::new(code, "told to")),
            Some(Reply::Http(_)) => Err(Status::internal("told the wrong thing")),
            Some(Reply::Partial(rejected)) => Ok(tonic::Response::new(partial(rejected))),
            None => Ok(tonic::Response::new(ExportTraceServiceResponse::default())),
        }
    }
}

async fn serve_http(listener: TcpListener, shared: Shared) {
    while let Ok((stream, _)) = listener.accept().await {
        let shared = shared.clone();
        let service = service_fn(move |request| answer(request, shared.clone()));
        tokio::spawn(
            async move { http1::Builder::new().serve_connection(TokioIo::new(stream), service).await },
        );
    }
}

async fn answer(
    request: http::Request<Incoming>,
    shared: Shared,
) -> Result<Response<Full<Bytes>>, Infallible> {
    assert_eq!((request.method().as_str(), request.uri().path()), ("POST", "/v1/traces"));
    assert_eq!(request.headers()["content-type"], "application/x-protobuf");
    let tenant = request.headers().get("x-tenant").map(|value| value.as_bytes().to_vec());
    let compressed = request.headers().get("content-encoding").is_some_and(|encoding| encoding == "gzip");
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let mut plain = Vec::new();
    if compressed {
        GzDecoder::new(&*body).read_to_end(&mut plain).unwrap();
    } else {
        plain = body.to_vec();
    }
    let (status, message) = match shared.receive(Message::decode(&*plain).unwrap(), tenant.as_deref()) {
        Some(Reply::Http(status)) => (status, Vec::new()),
        Some(Reply::Partial(rejected)) => (StatusCode::OK, partial(rejected).encode_to_vec()),
        Some(Reply::Grpc(_)) | None => (StatusCode::OK, Vec::new()),
    };
    let mut response = Response::new(Full::from(message));
    *response.status_mut() = status;
    Ok(response)
}
