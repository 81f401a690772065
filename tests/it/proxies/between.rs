//! What stands between this program and the world in organisations: a proxy that asks who comes and resolves names that nobody
//! else knows, and servers with certificates of an authority of the organisation's own.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// An HTTP proxy on loopback that opens tunnels (`CONNECT`) and forwards nothing.
pub(super) struct Proxy {
    pub(super) port: u16,
    seen: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Proxy {
    /// One that knows further names, by `HOST:PORT`, and lets through who signs in with `login` (`user:password` in base 64).
    pub(super) async fn start(names: &[(String, SocketAddr)], login: Option<&'static str>) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let names: Arc<BTreeMap<_, _>> = Arc::new(names.iter().cloned().collect());
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = seen.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (names, log) = (names.clone(), log.clone());
                tokio::spawn(async move { tunnel(stream, &names, login, &log).await });
            }
        });
        Proxy { port, seen, task }
    }

    /// The targets that were asked for since the last call.
    pub(super) fn seen(&self) -> Vec<String> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

async fn tunnel(
    mut stream: TcpStream,
    names: &BTreeMap<String, SocketAddr>,
    login: Option<&str>,
    log: &Mutex<Vec<String>>,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        head.push(byte);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let target = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next()).unwrap_or_default().to_owned();
    let given = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("proxy-authorization").then_some(value)
    });
    if login.is_some_and(|login| given != Some(format!("Basic {login}").as_str())) {
        let _ = stream.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n").await;
        return;
    }
    log.lock().unwrap().push(target.clone());
    let address =
        names.get(&target).copied().or_else(|| target.parse().ok().filter(|it: &SocketAddr| it.ip().is_loopback()));
    let Some(address) = address else {
        let _ = stream.write_all(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n").await;
        return;
    };
    let Ok(mut server) = TcpStream::connect(address).await else { return };
    if stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.is_ok() {
        let _ = copy_bidirectional(&mut stream, &mut server).await;
    }
}

/// An authority that no machine knows by itself.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(super) fn new(name: &str) -> Authority {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(super) fn pem(&self) -> String {
        self.0.pem()
    }

    /// Answers by TLS under `names` and hands what comes to the server at `behind`, in plain text.
    pub(super) async fn terminate(&self, names: &[&str], behind: SocketAddr) -> SocketAddr {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.0).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let Ok(mut server) = TcpStream::connect(behind).await else { return };
                    let _ = copy_bidirectional(&mut stream, &mut server).await;
                });
            }
        });
        address
    }
}

/// Hands requests on to the server at `behind`, and its answers back with another date, one connection a request.
pub(super) async fn dated(behind: SocketAddr, ahead: i64) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let Ok(server) = TcpStream::connect(behind).await else { return };
                let (mut from_client, mut to_client) = stream.into_split();
                let (from_server, mut to_server) = server.into_split();
                tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
                let mut answers = BufReader::new(from_server);
                loop {
                    let Ok(part) = answers.fill_buf().await else { return };
                    let mut part = part.to_vec();
                    if part.is_empty() {
                        return;
                    }
                    answers.consume(part.len());
                    // Of one length, whatever the date, and sent in one piece with the rest of the head.
                    let name = b"\r\ndate: ";
                    let found = part.windows(name.len()).position(|window| window.eq_ignore_ascii_case(name));
                    if let Some(at) = found.map(|at| at + name.len()) {
                        let date = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(ahead);
                        let date = date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
                        part[at..at + date.len()].copy_from_slice(date.as_bytes());
                    }
                    if to_client.write_all(&part).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// An API server that refuses everything, and what it was asked.
pub(super) async fn listening() -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = asked.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let log = log.clone();
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = stream.read_u8().await else { return };
                    head.push(byte);
                }
                log.lock().unwrap().push(String::from_utf8_lossy(&head).into_owned());
                let body = "{\"kind\":\"Status\",\"message\":\"no\",\"reason\":\"Forbidden\",\"code\":403}";
                let head = format!(
                    "HTTP/1.1 403 Forbidden\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
            });
        }
    });
    (address, asked)
}
