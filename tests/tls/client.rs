//! Self-issued certificates, and a plain TLS client.

use std::{
    fs,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    sync::Arc,
};

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName},
    version::TLS13,
};

use crate::common::{PATIENCE, Response, parse};

pub(crate) const NAME: &str = "www.jinmini.com";

/// A self-issued certificate, and its key.
pub(crate) struct Pair {
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) certificate_pem: String,
    pub(crate) key_pem: String,
}

impl Pair {
    pub(crate) fn new() -> Self {
        Self::until(2999)
    }

    /// Valid until the new year of that year.
    pub(crate) fn until(year: i32) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([NAME.to_owned(), "localhost".to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(year, 1, 1));
        let certificate = params.self_signed(&key).unwrap();
        Self {
            certificate: certificate.der().clone(),
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
        }
    }
}

/// The paths of a gateway's pair.
pub(crate) struct Files {
    pub(crate) folder: tempfile::TempDir,
}

impl Files {
    pub(crate) fn of(pair: &Pair) -> Self {
        let files = Self { folder: tempfile::tempdir().unwrap() };
        files.write_certificate(&pair.certificate_pem);
        files.write_key(&pair.key_pem);
        files
    }

    pub(crate) fn write_certificate(&self, text: &str) {
        fs::write(self.certificate(), text).unwrap();
    }

    pub(crate) fn write_key(&self, text: &str) {
        fs::write(self.key(), text).unwrap();
    }

    pub(crate) fn certificate(&self) -> PathBuf {
        self.folder.path().join("tls.crt")
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.folder.path().join("tls.key")
    }

    /// These variables, and those with the paths of the files.
    pub(crate) fn variables<'v>(&'v self, others: &[(&'v str, &'v str)]) -> Vec<(&'v str, String)> {
        let others = others.iter().map(|&(name, value)| (name, value.to_owned()));
        let ours = [("TLS_CERTIFICATE", self.certificate()), ("TLS_KEY", self.key())];
        others.chain(ours.map(|(name, path)| (name, path.to_str().unwrap().to_owned()))).collect()
    }
}

/// How a client connects.
pub(crate) struct Client {
    pub(crate) trusts: Vec<CertificateDer<'static>>,
    pub(crate) alpn: &'static [&'static [u8]],
    pub(crate) version: &'static SupportedProtocolVersion,
}

/// A connection after its handshake.
pub(crate) type Connection = StreamOwned<ClientConnection, TcpStream>;

impl Client {
    /// HTTP/1.1 over TLS 1.3 by default.
    pub(crate) fn that_trusts(pairs: &[&Pair]) -> Self {
        let trusts = pairs.iter().map(|pair| pair.certificate.clone()).collect();
        Self { trusts, alpn: &[b"http/1.1"], version: &TLS13 }
    }

    /// Connects and does the handshake.
    pub(crate) fn connect(&self, address: SocketAddr) -> io::Result<Connection> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(self.trusts.iter().cloned());
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[self.version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = self.alpn.iter().map(|protocol| protocol.to_vec()).collect();
        let mut connection = ClientConnection::new(Arc::new(config), ServerName::try_from(NAME).unwrap()).unwrap();
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        while connection.is_handshaking() {
            connection.complete_io(&mut stream)?;
        }
        Ok(StreamOwned::new(connection, stream))
    }
}

/// The certificate that the other side presented.
pub(crate) fn shown(connection: &Connection) -> CertificateDer<'static> {
    connection.conn.peer_certificates().unwrap()[0].clone().into_owned()
}

/// One request, on a connection that stays open.
pub(crate) fn ask(connection: &mut Connection, path: &str, headers: &str) -> Response {
    connection.write_all(format!("GET {path} HTTP/1.1\r\nHost: {NAME}\r\n{headers}\r\n").as_bytes()).unwrap();
    read_response(connection)
}

/// Reads one response with a declared length.
pub(crate) fn read_response(connection: &mut Connection) -> Response {
    let mut bytes = up_to(connection, "\r\n\r\n").into_bytes();
    let length = parse(&bytes).header("content-length").map_or(0, |length| length.parse().unwrap());
    let head = bytes.len();
    bytes.resize(head + length, 0);
    connection.read_exact(&mut bytes[head..]).unwrap();
    parse(&bytes)
}

/// Reads until this text arrives.
pub(crate) fn up_to(connection: &mut Connection, text: &str) -> String {
    let (mut got, mut byte) = (Vec::new(), [0]);
    while !got.ends_with(text.as_bytes()) {
        connection.read_exact(&mut byte).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&got)));
        got.push(byte[0]);
    }
    String::from_utf8(got).unwrap()
}
