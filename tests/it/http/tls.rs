//! TLS with certificates made here: served, renewed by a reload, asked of clients.

#![expect(clippy::disallowed_methods, reason = "the certificate files of an operator")]

use super::client::{Answer, PATIENCE, read_answer, request_text};
use super::served::{Served, wait_until};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::fs;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// A certificate and its key, in PEM.
struct Pair {
    certificate: String,
    key: String,
}

fn own_certificate() -> Pair {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    Pair {
        certificate: made.cert.pem(),
        key: made.signing_key.serialize_pem(),
    }
}

/// An authority, and a client that it signed for.
fn authority() -> (String, Pair) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).expect("a certificate").pem();
    let issuer = Issuer::new(params, key);
    let client_key = KeyPair::generate().expect("a key");
    let client = CertificateParams::new(vec!["client".to_owned()]).expect("parameters");
    let client = client.signed_by(&client_key, &issuer).expect("a certificate");
    let pair = Pair {
        certificate: client.pem(),
        key: client_key.serialize_pem(),
    };
    (certificate, pair)
}

fn ask(address: SocketAddr, root: &str, client: Option<&Pair>) -> io::Result<Answer> {
    send(address, root, client, &request_text("GET", "/-/ready", &[], ""))
}

/// Asks over TLS and trusts `root` alone.
fn send(address: SocketAddr, root: &str, client: Option<&Pair>, request: &str) -> io::Result<Answer> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(root.as_bytes()).expect("PEM"))
        .expect("a root");
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots);
    let config = match client {
        None => builder.with_no_client_auth(),
        Some(pair) => {
            let chain = vec![CertificateDer::from_pem_slice(pair.certificate.as_bytes()).expect("PEM")];
            let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).expect("PEM");
            builder.with_client_auth_cert(chain, key).expect("a pair")
        }
    };
    let name = ServerName::try_from("localhost").expect("a name");
    let connection = ClientConnection::new(Arc::new(config), name).expect("a client");
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut stream = StreamOwned::new(connection, stream);
    stream.write_all(request.as_bytes())?;
    read_answer(&mut stream)
}

fn write(folder: &Path, name: &str, pair: &Pair) {
    fs::write(folder.join(format!("{name}.crt")), &pair.certificate).expect("a file");
    fs::write(folder.join(format!("{name}.key")), &pair.key).expect("a file");
}

fn settings(folder: &Path, more: &str) -> String {
    let path = |name: &str| folder.join(name).display().to_string();
    format!(
        "[tls]\ncertificate = {:?}\nkey = {:?}\n{more}\n",
        path("server.crt"),
        path("server.key")
    )
}

fn served(pair: &Pair, client_ca: Option<&str>) -> Served {
    let folder = tempfile::tempdir().expect("a temporary folder");
    write(folder.path(), "server", pair);
    let more = client_ca.map_or(String::new(), |ca| {
        let path = folder.path().join("ca.crt");
        fs::write(&path, ca).expect("a file");
        format!("client_ca = {path:?}")
    });
    let settings = settings(folder.path(), &more);
    Served::over(folder, &settings)
}

#[test]
fn a_reload_renews_the_certificate() {
    let (first, second) = (own_certificate(), own_certificate());
    let served = served(&first, None);
    wait_until("it is ready", || {
        ask(served.address, &first.certificate, None).is_ok_and(|answer| answer.status == 200)
    });
    assert!(
        ask(served.address, &second.certificate, None).is_err(),
        "another certificate"
    );
    let mut plain = TcpStream::connect(served.address).expect("a connection");
    plain.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    plain
        .write_all(request_text("GET", "/-/ready", &[], "").as_bytes())
        .expect("the server reads");
    assert!(read_answer(&mut plain).is_err(), "no plain HTTP");

    // A key that does not belong to the certificate is refused, and the old pair stays.
    let folder = served.path("");
    fs::write(folder.join("server.crt"), &second.certificate).expect("a file");
    let reloaded = reload(&served, &first.certificate);
    assert!(reloaded.contains("does not fit its key"), "{reloaded}");
    assert!(ask(served.address, &first.certificate, None).is_ok());

    write(&folder, "server", &second);
    let reloaded = reload(&served, &first.certificate);
    assert!(reloaded.contains("success"), "{reloaded}");
    assert!(ask(served.address, &second.certificate, None).is_ok());
    assert!(ask(served.address, &first.certificate, None).is_err());
}

fn reload(served: &Served, root: &str) -> String {
    let request = request_text("POST", "/-/reload", &[], "");
    send(served.address, root, None, &request)
        .expect("an answer")
        .body
}

#[test]
fn clients_show_a_certificate_where_it_is_asked_for() {
    let server = own_certificate();
    let (ca, client) = authority();
    let (_, stranger) = authority();
    let served = served(&server, Some(&ca));
    let ready = |client| {
        ask(served.address, &server.certificate, client).is_ok_and(|answer: Answer| answer.status == 200)
    };
    wait_until("it is ready", || ready(Some(&client)));
    assert!(!ready(None));
    assert!(!ready(Some(&stranger)));
}
