//! The sink's gRPC face: unary calls over HTTP/2 (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>).

use std::{
    convert::Infallible,
    io,
    net::TcpStream,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::export_request;
use crate::span::{Span, from_request};

const METHOD: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// Serves a connection until its end; what arrives goes to `keep`.
pub(super) fn serve(
    stream: TcpStream,
    keep: impl FnMut(Result<Vec<Span>, String>) + Send + 'static,
) -> io::Result<()> {
    let keep = Arc::new(Mutex::new(keep));
    let service = service_fn(move |request| {
        let keep = Arc::clone(&keep);
        async move {
            let spans = spans(request).await;
            let status = if spans.is_ok() { "0" } else { "3" };
            (keep.lock().unwrap_or_else(PoisonError::into_inner))(spans);
            Ok::<_, Infallible>(answer(status))
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        stream.set_nonblocking(true)?;
        let stream = TokioIo::new(tokio::net::TcpStream::from_std(stream)?);
        // How the connection ends is the client's business.
        drop(http2::Builder::new(TokioExecutor::new()).serve_connection(stream, service).await);
        Ok(())
    })
}

async fn spans(request: Request<Incoming>) -> Result<Vec<Span>, String> {
    if request.uri().path() != METHOD {
        return Err(format!("unexpected gRPC call {}", request.uri().path()));
    }
    let body = request.into_body().collect().await.map_err(|e| format!("gRPC request: {e}"))?.to_bytes();
    // A flag, which says that nothing is compressed, and a length.
    match body.split_first_chunk::<5>() {
        Some(([0, ..], message)) => export_request(message).map(|export| from_request(&export)),
        _ => Err(format!("{} bytes are not an uncompressed gRPC message", body.len())),
    }
}

/// An empty message, and the status in the trailers.
fn answer(status: &'static str) -> Response<impl hyper::body::Body<Data = Bytes, Error = Infallible>> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(status));
    let body = Full::new(Bytes::from_static(&[0; 5])).with_trailers(async move { Some(Ok(trailers)) });
    let mut response = Response::new(body);
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    response
}
