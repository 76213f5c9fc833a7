//! TLS: whom the exporter trusts, who it says it is, and what to do when a handshake fails.
//!
//! Certificates are read when the program starts: a file that cannot be used is an error then, and no silent retry
//! later. They are read only for an address that needs them, so an image without any can use plain HTTP.

use std::{error::Error, io};

use hyper_rustls::{ConfigBuilderExt, HttpsConnectorBuilder, builderstates::WantsSchemes};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject},
};

use super::settings::{File, Protocol, Settings, SettingsError, TlsFiles};

/// A connector builder with the TLS that the settings ask for.
pub(super) fn connector(settings: &Settings) -> Result<HttpsConnectorBuilder<WantsSchemes>, SettingsError> {
    let failed = |why: String| SettingsError::Tls { endpoint: settings.address(), why };
    let builder = ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(error.to_string()))?;
    let config = if settings.endpoint.scheme_str() == Some("https") {
        let TlsFiles { authority, client } = &settings.tls;
        let builder = match authority {
            Some(file) => builder.with_root_certificates(authorities(file)?),
            None => builder.with_native_roots().map_err(|error| {
                failed(format!(
                    "{error}; the authorities of the system come with the package ca-certificates"
                ))
            })?,
        };
        match client {
            Some((certificate, key)) => {
                let private =
                    PrivateKeyDer::from_pem_file(&key.path).map_err(|error| unusable(key, &error))?;
                builder
                    .with_client_auth_cert(certificates(certificate)?, private)
                    .map_err(|error| certificate.unusable(format!("it does not go with {key}: {error}")))?
            }
            None => builder.with_no_client_auth(),
        }
    } else {
        builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth()
    };
    Ok(HttpsConnectorBuilder::new().with_tls_config(config))
}

fn authorities(file: &File) -> Result<RootCertStore, SettingsError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(file)? {
        store.add(certificate).map_err(|error| file.unusable(error.to_string()))?;
    }
    Ok(store)
}

/// All certificates of a file: authorities, or a chain with the client's own first.
fn certificates(file: &File) -> Result<Vec<CertificateDer<'static>>, SettingsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(&file.path).and_then(Iterator::collect);
    let found = found.map_err(|error| unusable(file, &error))?;
    if found.is_empty() {
        return Err(unusable(file, &pem::Error::NoItemsFound));
    }
    Ok(found)
}

fn unusable(file: &File, error: &pem::Error) -> SettingsError {
    file.unusable(if let pem::Error::Io(error) = error {
        error.to_string()
    } else if matches!(error, pem::Error::NoItemsFound) {
        format!("it holds no {} in PEM form", file.what)
    } else {
        format!("it is no {} in PEM form: {error}", file.what)
    })
}

/// What to do about an error, if it is one of TLS that something can be done about.
pub(super) fn advice(error: &(dyn Error + 'static), protocol: Protocol) -> Option<&'static str> {
    let error = tls_error(error)?;
    let is_stranger = matches!(
        error,
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature)
    );
    let wants_client = matches!(
        error,
        rustls::Error::AlertReceived(
            AlertDescription::CertificateRequired
                | AlertDescription::HandshakeFailure
                | AlertDescription::BadCertificate
                | AlertDescription::DecryptError
                | AlertDescription::UnknownCA
        )
    );
    // Zipkin has no variables for certificates.
    let has_variables = protocol != Protocol::Zipkin;
    if is_stranger && has_variables {
        Some(
            " (the authority that signed its certificate is not trusted; name a file with that authority's \
             certificate in OTEL_EXPORTER_OTLP_CERTIFICATE)",
        )
    } else if is_stranger {
        Some(
            " (the authority that signed its certificate is not trusted; add that authority's certificate to those of \
             the system, or name a file of authorities in SSL_CERT_FILE)",
        )
    } else if wants_client && has_variables {
        Some(
            " (it asks for a certificate of a client that it trusts; name one in OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE \
             and its key in OTEL_EXPORTER_OTLP_CLIENT_KEY)",
        )
    } else if matches!(error, rustls::Error::InvalidMessage(_)) {
        Some(" (what answers there does not speak TLS; write the address with http:// if that is meant)")
    } else {
        None
    }
}

/// The error of TLS among the causes of an error. I/O errors hide theirs from the chain of sources.
fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<rustls::Error>() {
            return Some(found);
        }
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}
