//! Downloads of released programs: each is known by its digest, so it does not matter where it comes from or how often it had to
//! be begun.
//!
//! Called by `binaries.rs` for what the cache does not hold. What arrived before a connection broke is kept beside the cache and
//! gone on from (<https://www.rfc-editor.org/rfc/rfc9110#name-range-requests>); what turns out to be something else is removed.
//! The connector is that of the AWS clients, so proxies and certificate authorities are the user's. Nothing here decides what a
//! failure means.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use aws_smithy_runtime_api::client::http::{HttpConnector as _, HttpConnectorSettings, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use http_body_util::BodyExt as _;
use url::Url;

use crate::authorities::{self, Authorities};
use crate::error::chain_of;
use crate::limits::shown;

/// How long is waited, and for what.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// For a connection, which takes a fraction of this where there is a way at all.
    connection: Duration,
    /// For the answer to begin; a mirror may have to get the file first.
    answer: Duration,
    /// For the next piece of it.
    piece: Duration,
    /// For one file. A line that takes longer is slower than the compiler.
    file: Duration,
}

const PATIENCE: Patience = Patience {
    connection: Duration::from_secs(2),
    answer: Duration::from_secs(30),
    piece: Duration::from_secs(20),
    file: Duration::from_mins(15),
};

/// So many connections in a row may break without bringing anything.
const BROKEN: usize = 3;
/// GitHub leads to its store of files once; twice is normal for mirrors.
const REDIRECTS: usize = 5;
/// No program that is downloaded is half as large.
const LARGEST: u64 = 512 << 20;

/// A released file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Released {
    /// Where it is.
    pub(super) url: Url,
    /// Its SHA-256, in hexadecimal digits.
    pub(super) sha256: &'static str,
}

/// Why a file could not be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    /// There is no way to the server.
    #[error("{host} does not answer: {reason}")]
    Unreached {
        /// The server.
        host: String,
        /// Why.
        reason: String,
    },
    /// The server has something else to say.
    #[error("{url} is answered with status {status}")]
    Status {
        /// What was asked for.
        url: String,
        /// The answer.
        status: u16,
    },
    /// The answer leads in circles, or to where it must not lead.
    #[error("{url} leads to `{location}`, which is not followed")]
    Redirect {
        /// What was asked for.
        url: String,
        /// Where it leads.
        location: String,
    },
    /// Connections break, or nothing more arrives.
    #[error("the download of {url} broke off: {reason}")]
    Broken {
        /// What was asked for.
        url: String,
        /// How it ended last.
        reason: String,
    },
    /// It is another file.
    #[error("{url} is refused: its SHA-256 is {found}, not {wanted}")]
    Digest {
        /// What was asked for.
        url: String,
        /// The digest of what came.
        found: String,
        /// The pinned one.
        wanted: &'static str,
    },
    /// It cannot be written.
    #[error("{path} cannot be written: {reason}")]
    File {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
}

/// Told how many bytes of a file are there, and how many it has where that is known.
pub(super) type Arrived<'a> = &'a (dyn Fn(u64, Option<u64>) + Send + Sync);

/// A way to servers, through the proxies of the environment.
#[derive(Debug, Clone)]
pub(super) struct Client {
    connector: SharedHttpConnector,
    patience: Patience,
}

impl Client {
    /// One that trusts `authorities`, or else whom the machine trusts.
    pub(super) fn new(authorities: Option<&Authorities>) -> Client {
        Client::with(authorities, PATIENCE)
    }

    fn with(authorities: Option<&Authorities>, patience: Patience) -> Client {
        let settings =
            HttpConnectorSettings::builder().connect_timeout(patience.connection).read_timeout(patience.answer).build();
        let connector = SharedHttpConnector::new(authorities::connector(authorities, settings));
        Client { connector, patience }
    }

    /// Gets a file to `path`, going on from what is there; it is complete and the right one afterwards.
    pub(super) async fn get(&self, file: &Released, path: &Path, arrived: Arrived<'_>) -> Result<(), Failure> {
        let end = Instant::now() + self.patience.file;
        let mut anew = length(path) == 0;
        loop {
            self.complete(file, path, end, arrived).await?;
            let found = sha256(path).map_err(|error| unwritten(path, &error))?;
            if found == file.sha256 {
                return Ok(());
            }
            let _ = fs::remove_file(path);
            // What an earlier run had left may be of another file, such as the page of a hotel's network.
            if anew {
                return Err(Failure::Digest { url: file.url.to_string(), found, wanted: file.sha256 });
            }
            anew = true;
        }
    }

    /// Connects as often as it takes to get everything, or until nothing more comes.
    async fn complete(&self, file: &Released, path: &Path, end: Instant, arrived: Arrived<'_>) -> Result<(), Failure> {
        let mut fruitless = 0;
        loop {
            let before = length(path);
            let piece = tokio::time::timeout_at(end.into(), self.piece(file, path, before, arrived)).await;
            let reason = match piece {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(Piece::Final(failure))) => return Err(failure),
                Ok(Err(Piece::Cut(reason))) => reason,
                Err(_) => return Err(broken(file, &format!("it takes longer than {}", shown(self.patience.file)))),
            };
            fruitless = if length(path) > before { 0 } else { fruitless + 1 };
            if fruitless == BROKEN {
                return Err(broken(file, &reason));
            }
        }
    }

    /// What one connection brings, from byte `from` on.
    async fn piece(&self, file: &Released, path: &Path, from: u64, arrived: Arrived<'_>) -> Result<(), Piece> {
        let (url, response) = self.answer(&file.url, from).await?;
        let status = response.status().as_u16();
        let header = |name| response.headers().get(name);
        let failed = || Piece::Final(Failure::Status { url: url.to_string(), status });
        let (from, total) = match status {
            200 => (0, header("content-length").and_then(|length| length.parse().ok())),
            206 => match header("content-range").and_then(range) {
                Some((first, total)) if first == from => (from, total),
                _ => return Err(failed()),
            },
            // Nothing is left to get: the digest tells whether it is the right thing.
            416 if from > 0 => return Ok(()),
            _ => return Err(failed()),
        };
        if total.is_some_and(|total| total > LARGEST) {
            return Err(Piece::Final(broken(file, &too_large())));
        }
        let write = |error: io::Error| Piece::Final(unwritten(path, &error));
        let mut out = open(path, from).map_err(write)?;
        let mut at = from;
        let mut body = response.into_body();
        loop {
            arrived(at, total);
            let frame = match tokio::time::timeout(self.patience.piece, body.frame()).await {
                Err(_) => return Err(Piece::Cut(format!("nothing came for {}", shown(self.patience.piece)))),
                Ok(None) => break,
                Ok(Some(Err(error))) => return Err(Piece::Cut(error.to_string())),
                Ok(Some(Ok(frame))) => frame,
            };
            let Ok(bytes) = frame.into_data() else { continue };
            at += bytes.len() as u64;
            if at > LARGEST {
                return Err(Piece::Final(broken(file, &too_large())));
            }
            out.write_all(&bytes).map_err(write)?;
        }
        match total {
            Some(total) if at < total => Err(Piece::Cut(format!("{at} of {total} bytes came"))),
            _ => Ok(()),
        }
    }

    /// The answer, and where it comes from.
    async fn answer(&self, url: &Url, from: u64) -> Result<(Url, HttpResponse), Piece> {
        let mut at = url.clone();
        for _ in 0..=REDIRECTS {
            let response = self.ask(&at, from).await?;
            if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok((at, response));
            }
            let location = response.headers().get("location").unwrap_or_default().to_owned();
            match at.join(&location) {
                Ok(next) if next.scheme() == "https" || (next.scheme() == "http" && at.scheme() == "http") => at = next,
                _ => return Err(Piece::Final(Failure::Redirect { url: url.to_string(), location })),
            }
        }
        Err(Piece::Final(Failure::Redirect { url: url.to_string(), location: at.to_string() }))
    }

    async fn ask(&self, url: &Url, from: u64) -> Result<HttpResponse, Piece> {
        let mut request = HttpRequest::get(url.as_str()).map_err(|error| Piece::Cut(error.to_string()))?;
        let headers = request.headers_mut();
        headers.insert("user-agent", concat!("eks-bootstrap/", env!("CARGO_PKG_VERSION")));
        // A file that is packed on the way has no ranges.
        headers.insert("accept-encoding", "identity");
        if from > 0 {
            headers.insert("range", format!("bytes={from}-"));
        }
        self.connector.call(request).await.map_err(|error| unanswered(url, &error))
    }
}

/// How one connection ended without everything.
enum Piece {
    /// Another may go on.
    Cut(String),
    /// Another would end in the same.
    Final(Failure),
}

/// A server that is not reached at first will not be reached in a moment; one that was reached may answer the next time.
fn unanswered(url: &Url, error: &ConnectorError) -> Piece {
    let causes = chain_of(error);
    let reason = causes.last().cloned().unwrap_or_default();
    if error.is_io() || error.is_timeout() || error.is_user() {
        let host = url.host_str().unwrap_or_default().to_owned();
        return Piece::Final(Failure::Unreached { host, reason });
    }
    Piece::Cut(reason)
}

fn broken(file: &Released, reason: &str) -> Failure {
    Failure::Broken { url: file.url.to_string(), reason: reason.to_owned() }
}

fn unwritten(path: &Path, error: &io::Error) -> Failure {
    Failure::File { path: path.display().to_string(), reason: error.to_string() }
}

fn too_large() -> String {
    format!("it has more than {} MiB", LARGEST >> 20)
}

/// First byte and length of `bytes 5-9/10`, the length where it is told.
fn range(header: &str) -> Option<(u64, Option<u64>)> {
    let (span, total) = header.strip_prefix("bytes ")?.split_once('/')?;
    let (first, _) = span.split_once('-')?;
    Some((first.parse().ok()?, total.parse().ok()))
}

fn length(path: &Path) -> u64 {
    path.metadata().map_or(0, |data| data.len())
}

/// The file, ready for the bytes from `from` on; whatever is behind them goes.
fn open(path: &Path, from: u64) -> io::Result<File> {
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    file.set_len(from)?;
    Ok(file)
}

fn sha256(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = digest::Context::new(&digest::SHA256);
    let mut piece = vec![0; 1 << 20];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hex::encode(hash.finish())),
            count => hash.update(&piece[..count]),
        }
    }
}

#[cfg(test)]
mod tests;
