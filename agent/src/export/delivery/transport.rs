//! Transport: one request to the collector and its answer, over HTTP/1.1 or as a gRPC call over HTTP/2.
//!
//! Both go through one HTTP client: a unary gRPC call is a POST whose body has five bytes in front and whose status
//! comes in the trailers (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>).

use std::{error::Error, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Uri,
    header::{CONTENT_ENCODING, CONTENT_TYPE, TE, USER_AGENT},
};
use http_body_util::{BodyExt, Full};
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use opentelemetry_otlp::{OTEL_EXPORTER_OTLP_PROTOCOL_GRPC, OTEL_EXPORTER_OTLP_PROTOCOL_HTTP_PROTOBUF};

use super::{
    compression::{self, Compression},
    outcome::{Answer, Outcome},
    resolve::Resolver,
    settings::{Protocol, Settings, SettingsError},
    tls,
};

/// The most that is read of an answer: its messages are for people.
pub(super) const ANSWER_BYTES: usize = 64 * 1024;
/// How much of an answer is passed over to find the status of a gRPC call behind it.
const PASSED_BYTES: usize = 4 * 1024 * 1024;
/// How long an address may take to answer before the next one of the name is tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection is kept between requests.
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);

/// A connection to a collector, made when it is needed.
#[derive(Debug)]
pub(super) struct Transport {
    settings: Settings,
    client: Client<HttpsConnector<HttpConnector<Resolver>>, Full<Bytes>>,
    /// The collector has answered in the protocol that is spoken.
    understood: bool,
}

impl Transport {
    pub(super) fn new(settings: Settings) -> Result<Self, SettingsError> {
        let mut tcp = HttpConnector::new_with_resolver(Resolver);
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        // Who wants no limit to a request has none to its parts.
        let limit = |longest| settings.timeout.map(|_| longest);
        tcp.set_connect_timeout(limit(CONNECT_TIMEOUT));
        let mut client = Client::builder(TokioExecutor::new());
        client.pool_timer(TokioTimer::new()).pool_idle_timeout(limit(IDLE_TIMEOUT)).pool_max_idle_per_host(1);
        client.http2_only(settings.protocol == Protocol::Grpc);
        let connector = tls::connector(&settings)?;
        let connector = match settings.protocol {
            Protocol::HttpProtobuf | Protocol::Zipkin => {
                connector.https_or_http().enable_http1().wrap_connector(tcp)
            }
            Protocol::Grpc => connector.https_or_http().enable_http2().wrap_connector(tcp),
        };
        Ok(Self { client: client.build(connector), settings, understood: false })
    }

    /// A message as it goes over the wire: compressed, and framed for gRPC. Done once, however often it is sent.
    pub(super) fn prepare(&self, message: Vec<u8>) -> Bytes {
        let message = self.settings.compression.compress(message);
        match self.settings.protocol {
            Protocol::HttpProtobuf | Protocol::Zipkin => message.into(),
            Protocol::Grpc => {
                let mut framed = Vec::with_capacity(message.len() + 5);
                framed.push(u8::from(self.settings.compression != Compression::None));
                // Requests are bounded to far less than 4 GiB.
                framed.extend_from_slice(&(message.len() as u32).to_be_bytes());
                framed.extend_from_slice(&message);
                framed.into()
            }
        }
    }

    /// Sends a prepared message; all of it takes no longer than the time-out.
    pub(super) async fn send(&mut self, message: Bytes) -> Outcome {
        let protocol = self.settings.protocol;
        let (mut answer, mut body) = (None, Vec::new());
        let exchange = async {
            let response = self.client.request(self.request(message)).await.map_err(|error| {
                let advice = tls::advice(&error, protocol);
                Failure { connected: !error.is_connect(), error: describe(&error), advice }
            })?;
            let (head, stream) = response.into_parts();
            let answer = answer.insert(Answer {
                status: head.status,
                headers: head.headers,
                trailers: HeaderMap::new(),
                body: Bytes::new(),
            });
            // Only behind the message of a gRPC call is something else that matters.
            let most = if answer.is_grpc() { PASSED_BYTES } else { ANSWER_BYTES };
            read(stream, &mut body, &mut answer.trailers, most).await.map_err(|error| {
                let advice = tls::advice(&*error, protocol);
                let error = format!("HTTP {}, then {}", answer.status, describe(&*error));
                Failure { connected: true, error, advice }
            })
        };
        let ended = match self.settings.timeout {
            Some(timeout) => tokio::time::timeout(timeout, exchange).await.unwrap_or_else(|_| {
                let error = format!("no answer within {timeout:?}");
                Err(Failure { connected: false, error, advice: None })
            }),
            None => exchange.await,
        };
        match (answer, ended) {
            // The status is known, whatever became of the body: to ask again would bring the same one.
            (Some(answer), ended) if ended.is_ok() || !answer.is_grpc() => {
                let answer = Answer { body: body.into(), ..answer };
                let outcome = answer.outcome(protocol, &self.settings.endpoint);
                self.understood |= matches!(outcome, Outcome::Accepted { .. });
                outcome
            }
            (_, Err(Failure { connected, mut error, advice })) => {
                match advice {
                    Some(advice) => error.push_str(advice),
                    None if connected && !self.understood => {
                        error.push_str(&hint(protocol, &self.settings.endpoint));
                    }
                    None => {}
                }
                Outcome::Retry { after: None, error }
            }
            (_, Ok(())) => Outcome::Retry { after: None, error: "no answer".to_owned() },
        }
    }

    fn request(&self, message: Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(message));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.settings.endpoint.clone();
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("spandrel/", env!("CARGO_PKG_VERSION"))));
        headers.extend(self.settings.headers.map().clone());
        let (content, coding) = match self.settings.protocol {
            Protocol::HttpProtobuf => ("application/x-protobuf", CONTENT_ENCODING),
            Protocol::Zipkin => ("application/json", CONTENT_ENCODING),
            Protocol::Grpc => {
                headers.insert(TE, HeaderValue::from_static("trailers"));
                // Without it a server may answer in the coding of the request all the same.
                headers.insert("grpc-accept-encoding", HeaderValue::from_static(compression::ACCEPTED));
                ("application/grpc", HeaderName::from_static("grpc-encoding"))
            }
        };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content));
        headers.extend(self.settings.compression.coding().map(|value| (coding, value)));
        request
    }
}

/// Why there is no answer.
struct Failure {
    /// There was a connection, so what is at its other end may speak something else.
    connected: bool,
    error: String,
    advice: Option<&'static str>,
}

/// Reads a body, of which the beginning is kept, and what is behind it. Of a longer one than `most` the rest is not read.
async fn read<B>(
    mut body: B,
    kept: &mut Vec<u8>,
    trailers: &mut HeaderMap,
    most: usize,
) -> Result<(), Box<dyn Error + Send + Sync>>
where
    B: http_body::Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin,
{
    let mut length = 0_usize;
    while let Some(frame) = body.frame().await {
        let data = match frame.map_err(Into::into)?.into_data() {
            Ok(data) => data,
            Err(other) => {
                trailers.extend(other.into_trailers().into_iter().flatten());
                continue;
            }
        };
        length = length.saturating_add(data.len());
        let room = ANSWER_BYTES.saturating_sub(kept.len());
        kept.extend_from_slice(data.get(..room).unwrap_or(&data));
        if length >= most {
            break;
        }
    }
    Ok(())
}

/// An error with its causes: the outermost one of the client only says that a request failed.
fn describe(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if !text.ends_with(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        cause = error.source();
    }
    text
}

/// What to try when the other side does not seem to speak the protocol.
pub(super) fn hint(protocol: Protocol, endpoint: &Uri) -> String {
    let scheme = endpoint.scheme_str().unwrap_or("http");
    let authority = endpoint.authority().map_or("localhost", |authority| authority.as_str());
    // A server that wants a certificate may close the connection without a word that gets through.
    let encrypted = if scheme == "http" {
        "; if it wants TLS, write https://"
    } else {
        "; if it asks clients for a certificate, name one in OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and its key in \
         OTEL_EXPORTER_OTLP_CLIENT_KEY"
    };
    let (this, other, name, value, port) = match protocol {
        Protocol::HttpProtobuf => ("HTTP", "gRPC", "otlp-grpc", OTEL_EXPORTER_OTLP_PROTOCOL_GRPC, 4318),
        Protocol::Grpc => ("gRPC", "HTTP", "otlp-http", OTEL_EXPORTER_OTLP_PROTOCOL_HTTP_PROTOBUF, 4317),
        Protocol::Zipkin => {
            return format!(
                " (this is Zipkin's JSON API, which usually is at http://HOST:9411/api/v2/spans; if {authority} is for \
                 OTLP, use otlp-http={scheme}://{authority} or otlp-grpc={scheme}://{authority})"
            );
        }
    };
    format!(
        " (this is OTLP over {this}, for which collectors usually have port {port}; if {authority} is for {other}, use \
         {name}={scheme}://{authority} or OTEL_EXPORTER_OTLP_PROTOCOL={value}{encrypted})"
    )
}
