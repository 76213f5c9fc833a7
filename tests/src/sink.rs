//! An OTLP collector on the loopback interface that keeps what it is sent, over HTTP and gRPC on one port.

mod grpc;
mod inbox;

use std::{
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

pub use self::inbox::Inbox;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;

use crate::{
    http::Connection,
    span::{Span, from_request},
};

/// Spans and faults of a sink; shared with its threads.
#[derive(Default)]
struct State {
    spans: Vec<Span>,
    faults: Vec<String>,
}

/// The sink: answers every export with success.
pub struct Sink {
    port: u16,
    state: Arc<Mutex<State>>,
}

impl Sink {
    pub fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("bind the sink");
        let port = listener.local_addr().expect("address of the sink").port();
        let state = Arc::<Mutex<State>>::default();
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                thread::spawn(move || {
                    let keep = move |arrived| match arrived {
                        Ok(spans) => lock(&state).spans.extend::<Vec<Span>>(spans),
                        Err(fault) => lock(&state).faults.push(fault),
                    };
                    take(stream, keep);
                });
            }
        });
        Self { port, state }
    }

    /// What `--export otlp-http=` and `otlp-grpc=` want.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// All spans so far; fails if the exporter sent something that is not OTLP.
    pub fn spans(&self) -> Vec<Span> {
        let state = lock(&self.state);
        assert!(state.faults.is_empty(), "the sink was sent what is not OTLP: {:?}", state.faults);
        state.spans.clone()
    }
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves a connection in the protocol that its first bytes are of.
fn take(stream: TcpStream, mut keep: impl FnMut(Result<Vec<Span>, String>) + Send + 'static) {
    // The preface of HTTP/2 (RFC 9113, section 3.4), of which three bytes are enough: no method starts like that.
    let mut first = [0; 3];
    let served = match stream.peek(&mut first) {
        Ok(_) if first == *b"PRI" => return grpc::serve(stream, keep).expect("serve gRPC"),
        Ok(_) => serve(stream, |spans| keep(Ok(spans))),
        Err(error) => Err(format!("read: {error}")),
    };
    if let Err(fault) = served {
        keep(Err(fault));
    }
}

/// Serves a connection over HTTP until its end; what arrives goes to `keep`.
pub fn serve(stream: TcpStream, mut keep: impl FnMut(Vec<Span>)) -> Result<(), String> {
    let mut connection = Connection::new(stream);
    while let Some(request) = connection.receive(false).map_err(|e| format!("read: {e}"))? {
        if !request.start_line.starts_with("POST /v1/traces ") {
            connection.send("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").ok();
            return Err(format!("unexpected request {:?}", request.start_line));
        }
        if let Some(coding) = request.header("content-encoding") {
            return Err(format!("content-encoding {coding} was not asked for"));
        }
        let export = export_request(&request.body)?;
        keep(from_request(&export));
        connection
            .send("HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n")
            .map_err(|e| format!("write: {e}"))?;
    }
    Ok(())
}

fn export_request(body: &[u8]) -> Result<ExportTraceServiceRequest, String> {
    ExportTraceServiceRequest::decode(body)
        .map_err(|e| format!("{} bytes are not an export request: {e}", body.len()))
}
