//! Transport: one request to the collector and its answer, over HTTP/1.1 or as a gRPC call over HTTP/2.
//!
//! Both go through one HTTP client: a unary gRPC call is a POST whose body has five bytes in front and whose status
//! comes in the trailers (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>).

use std::{error::Error, time::Duration};

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Request, Response, Uri,
    header::{CONTENT_ENCODING, CONTENT_TYPE, TE, USER_AGENT},
};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use opentelemetry_otlp::{OTEL_EXPORTER_OTLP_PROTOCOL_GRPC, OTEL_EXPORTER_OTLP_PROTOCOL_HTTP_PROTOBUF};

use super::{
    compression::Compression,
    outcome::{Answer, Outcome},
    resolve::Resolver,
    settings::{Protocol, Settings, SettingsError},
    tls,
};

/// The most that is read of an answer: its messages are for people.
const ANSWER_BYTES: usize = 64 * 1024;
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
        let exchange = async {
            let response = self.client.request(self.request(message)).await.map_err(|error| {
                let advice = tls::advice(&error, protocol);
                Failure { connected: !error.is_connect(), error: describe(&error), advice }
            })?;
            let status = response.status();
            read(response).await.map_err(|error| {
                let advice = tls::advice(&*error, protocol);
                Failure {
                    connected: true,
                    error: format!("HTTP {status}, then {}", describe(&*error)),
                    advice,
                }
            })
        };
        let answer = match self.settings.timeout {
            Some(timeout) => match tokio::time::timeout(timeout, exchange).await {
                Ok(answer) => answer,
                Err(_) => {
                    return Outcome::Retry { after: None, error: format!("no answer within {timeout:?}") };
                }
            },
            None => exchange.await,
        };
        match answer {
            Ok(answer) => {
                let outcome = answer.outcome(protocol, &self.settings.endpoint);
                self.understood |= matches!(outcome, Outcome::Accepted { .. });
                outcome
            }
            Err(Failure { connected, mut error, advice }) => {
                match advice {
                    Some(advice) => error.push_str(advice),
                    None if connected && !self.understood => {
                        error.push_str(&hint(protocol, &self.settings.endpoint));
                    }
                    None => {}
                }
                Outcome::Retry { after: None, error }
            }
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

async fn read<B>(response: Response<B>) -> Result<Answer, Box<dyn Error + Send + Sync>>
where
    B: http_body::Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>>,
{
    let (head, body) = response.into_parts();
    let body = Limited::new(body, ANSWER_BYTES).collect().await?;
    let trailers = body.trailers().cloned().unwrap_or_default();
    Ok(Answer { status: head.status, headers: head.headers, trailers, body: body.to_bytes() })
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
