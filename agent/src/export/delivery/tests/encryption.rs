//! TLS with authorities and clients of the operator's own.

use std::{fs, path::PathBuf, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    server::WebPkiClientVerifier,
};
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;

use super::{
    BOTH,
    collector::{self, Collector},
};
use crate::export::{
    Headers, SettingsError,
    delivery::{
        outcome::Outcome,
        settings::{Protocol, Settings},
        transport::Transport,
    },
    destination::OtlpTarget,
};

/// An authority, and files with what it signed.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: rcgen::Certificate,
    directory: TempDir,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = params.self_signed(&key).unwrap();
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("authority.pem"), root.pem()).unwrap();
        Self { issuer: Issuer::new(params, key), root, directory }
    }

    fn sign(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    /// A server that this authority vouches for; with `clients`, it takes those of that authority only.
    fn server(&self, protocol: Protocol, clients: Option<&Self>) -> Collector {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.root.der().clone()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let (certificate, key) = self.sign("127.0.0.1");
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = builder.with_single_cert(vec![certificate.der().clone()], key).unwrap();
        config.alpn_protocols = match protocol {
            Protocol::HttpProtobuf | Protocol::Zipkin => vec![b"http/1.1".to_vec()],
            Protocol::Grpc => vec![b"h2".to_vec()],
        };
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Collector::start_at(protocol, "127.0.0.1:0".parse().unwrap(), Some(acceptor))
    }

    fn file(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    /// The variables that name a client which this authority vouches for.
    fn client(&self) -> [(&'static str, String); 2] {
        let (certificate, key) = self.sign("agent");
        fs::write(self.file("client.pem"), certificate.pem()).unwrap();
        fs::write(self.file("client.key"), key.serialize_pem()).unwrap();
        [
            ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", self.file("client.pem")),
            ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", self.file("client.key")),
        ]
    }

    fn trusted(&self) -> (&'static str, String) {
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", self.file("authority.pem"))
    }
}

type Variables<'a> = &'a [(&'static str, String)];

fn transport(target: &OtlpTarget, variables: Variables<'_>) -> Result<Transport, SettingsError> {
    let variable =
        |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
    Transport::new(Settings::otlp(target, &Headers::default(), variable)?)
}

fn send(collector: &Collector, protocol: Protocol, variables: Variables<'_>) -> Outcome {
    let target = collector::target(protocol, format!("https://{}", collector.address()));
    let mut transport = transport(&target, variables).unwrap();
    let request = transport.prepare(collector::request_of("x"));
    collector::block_on(transport.send(request))
}

fn retried(outcome: Outcome) -> String {
    let Outcome::Retry { after: None, error } = outcome else { panic!("{outcome:?}") };
    error
}

fn accepted() -> Outcome {
    Outcome::Accepted { rejected: 0, message: String::new() }
}

#[test]
fn a_collector_is_trusted_by_the_authority_that_the_operator_names() {
    let (authority, other) = (Authority::new(), Authority::new());
    for protocol in BOTH {
        let collector = authority.server(protocol, None);
        assert_eq!(send(&collector, protocol, &[authority.trusted()]), accepted());
        let error = retried(send(&collector, protocol, &[other.trusted()]));
        assert!(
            error.contains("name a file with that authority's certificate in OTEL_EXPORTER_OTLP_CERT"),
            "{error}"
        );
        assert_eq!(collector.requests().len(), 1, "nothing was sent to the stranger");
    }
}

#[test]
fn a_collector_that_wants_to_know_its_clients_is_shown_the_certificate() {
    let (authority, clients) = (Authority::new(), Authority::new());
    for protocol in BOTH {
        let collector = authority.server(protocol, Some(&clients));
        let [certificate, key] = clients.client();
        assert_eq!(send(&collector, protocol, &[authority.trusted(), certificate, key]), accepted());
        let error = retried(send(&collector, protocol, &[authority.trusted()]));
        assert!(error.contains("its key in OTEL_EXPORTER_OTLP_CLIENT_KEY"), "{error}");
        let [certificate, key] = authority.client();
        let error = retried(send(&collector, protocol, &[authority.trusted(), certificate, key]));
        assert!(error.contains("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"), "{error}");
    }
}

#[test]
fn an_address_with_the_wrong_scheme_gives_an_error_that_says_so() {
    let authority = Authority::new();
    for protocol in BOTH {
        let plain = Collector::start(protocol);
        let error = retried(send(&plain, protocol, &[authority.trusted()]));
        assert!(error.contains("does not speak TLS; write the address with http://"), "{error}");

        let encrypted = authority.server(protocol, None);
        let mut transport = transport(&encrypted.target(), &[]).unwrap();
        let request = transport.prepare(collector::request_of("x"));
        let error = retried(collector::block_on(transport.send(request)));
        assert!(error.contains("if it wants TLS, write https://"), "{error}");
    }
}

#[test]
fn files_that_cannot_be_used_are_named_before_anything_is_sent() {
    let authority = Authority::new();
    let [certificate, key] = authority.client();
    let junk = authority.file("junk.pem");
    fs::write(&junk, "no certificate").unwrap();
    let target = OtlpTarget::Http(Some("https://127.0.0.1:1".to_owned()));
    let error = |variables: Variables<'_>| transport(&target, variables).err().unwrap().to_string();

    let missing = PathBuf::from(authority.file("missing.pem")).display().to_string();
    let message = error(&[("OTEL_EXPORTER_OTLP_CERTIFICATE", missing.clone())]);
    assert!(
        message.starts_with(&format!("cannot use OTEL_EXPORTER_OTLP_CERTIFICATE={missing}: ")),
        "{message}"
    );
    let message = error(&[("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", junk.clone())]);
    assert!(message.ends_with("it holds no certificate in PEM form"), "{message}");
    let message = error(&[certificate.clone(), ("OTEL_EXPORTER_OTLP_CLIENT_KEY", junk)]);
    assert!(message.ends_with("it holds no private key in PEM form"), "{message}");
    let message = error(std::slice::from_ref(&certificate));
    assert!(message.contains("is set without OTEL_EXPORTER_OTLP_CLIENT_KEY"), "{message}");
    let message = error(std::slice::from_ref(&key));
    assert!(message.contains("is set without OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"), "{message}");
    let other = authority.sign("other").1;
    fs::write(authority.file("other.key"), other.serialize_pem()).unwrap();
    let message = error(&[certificate, ("OTEL_EXPORTER_OTLP_CLIENT_KEY", authority.file("other.key"))]);
    assert!(message.contains("it does not go with OTEL_EXPORTER_OTLP_CLIENT_KEY="), "{message}");

    let plain = OtlpTarget::Http(Some("http://127.0.0.1:1".to_owned()));
    assert!(transport(&plain, &[("OTEL_EXPORTER_OTLP_CERTIFICATE", missing)]).is_ok(), "not needed there");
}
