//! Certificates from PEM files into what rustls serves with. Read at the start and by every reload.

use crate::config::{Tls, file};
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, crypto::ring};

/// Why TLS cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] crate::io::FsError),
    /// A file does not hold what it should.
    #[error("{file}: {what}")]
    Content {
        /// The file.
        file: String,
        /// What is wrong with it.
        what: String,
    },
}

fn content(path: &Path, what: impl ToString) -> TlsError {
    TlsError::Content {
        file: path.display().to_string(),
        what: what.to_string(),
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes = file::read(path)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match all {
        Ok(all) if all.is_empty() => Err(content(path, "holds no certificate in PEM")),
        Ok(all) => Ok(all),
        Err(error) => Err(content(path, error)),
    }
}

/// What connections are served with from now on.
pub(super) fn load(tls: &Tls) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = certificates(&tls.certificate)?;
    let key = PrivateKeyDer::from_pem_slice(&file::read(&tls.key)?);
    let key = key.map_err(|_| content(&tls.key, "holds no private key in PEM"))?;
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| content(&tls.certificate, error))?;
    let builder = match &tls.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|error| content(path, error))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.map_err(|error| content(path, error))?)
        }
    };
    let config = builder.with_single_cert(chain, key);
    let mut config =
        config.map_err(|error| content(&tls.certificate, format!("does not fit its key: {error}")))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
