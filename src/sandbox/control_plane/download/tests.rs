//! Against a loopback server that gives the file, another file, half of it, nothing, or is not there.

use std::sync::Mutex;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// The file, and its digest.
const TEXT: &[u8] = b"a released program";
const SHA256: &str = "bf0eb884a00e7219a44dce26872d1dd2e816a9212af74fb699d7a8ffe08fcb90";

/// A slow machine needs a part of it.
const SHORT: Patience = Patience {
    connection: Duration::from_secs(2),
    answer: Duration::from_millis(800),
    piece: Duration::from_millis(800),
    file: Duration::from_secs(8),
};

/// What the server does with one connection.
#[derive(Debug, Clone, Copy)]
enum Does {
    /// Gives what is asked for, a range too.
    Gives(&'static [u8]),
    /// Gives everything, whatever is asked for.
    GivesWhole(&'static [u8]),
    /// Promises the file and closes after so many bytes.
    Cuts(usize),
    /// Promises the file and is silent after so many bytes.
    Stops(usize),
    /// Gives a byte of something long twice a second.
    Trickles,
    /// Accepts, reads and is silent.
    Silent,
    /// Answers with a status.
    Says(u16),
    /// Leads to another path, or to another place.
    Leads(&'static str),
}

struct Server {
    port: u16,
    asked: std::sync::Arc<Mutex<Vec<String>>>,
}

/// A server that does one thing after the other, the last one again and again.
async fn server(plays: &'static [Does]) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = std::sync::Arc::new(Mutex::new(Vec::new()));
    let log = asked.clone();
    tokio::spawn(async move {
        let mut turn = 0;
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let does = plays[turn.min(plays.len() - 1)];
            turn += 1;
            tokio::spawn(answer(stream, does, log.clone()));
        }
    });
    Server { port, asked }
}

async fn answer(mut stream: TcpStream, does: Does, log: std::sync::Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        head.push(byte);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let from = head.split("range: bytes=").nth(1).and_then(|rest| rest.split('-').next()?.parse::<usize>().ok());
    let path = head.split(' ').nth(1).unwrap();
    log.lock().unwrap().push(format!("{path} {}", from.map_or("-".to_owned(), |from| from.to_string())));
    let length = TEXT.len();
    let (head, body): (String, &[u8]) = match (does, from) {
        (Does::Gives(text), Some(from)) if from >= text.len() => ("416 Range Not Satisfiable".to_owned(), b""),
        (Does::Gives(text), Some(from)) => {
            let range = format!("content-range: bytes {from}-{}/{}", text.len() - 1, text.len());
            (format!("206 Partial Content\r\n{range}\r\ncontent-length: {}", text.len() - from), &text[from..])
        }
        (Does::Gives(text) | Does::GivesWhole(text), _) => (format!("200 OK\r\ncontent-length: {}", text.len()), text),
        (Does::Cuts(count) | Does::Stops(count), _) => (format!("200 OK\r\ncontent-length: {length}"), &TEXT[..count]),
        (Does::Trickles, _) => ("200 OK\r\ncontent-length: 1000".to_owned(), &b""[..]),
        (Does::Silent, _) => return std::future::pending().await,
        (Does::Says(status), _) => (format!("{status} No\r\ncontent-length: 0"), b""),
        (Does::Leads(to), _) => (format!("302 Found\r\nlocation: {to}\r\ncontent-length: 0"), b""),
    };
    let head = format!("HTTP/1.1 {head}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    stream.flush().await.unwrap();
    while matches!(does, Does::Trickles) && stream.write_all(b".").await.is_ok() {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    if matches!(does, Does::Stops(_)) {
        std::future::pending::<()>().await;
    }
}

struct Run {
    outcome: Result<(), Failure>,
    asked: Vec<String>,
    kept: Option<Vec<u8>>,
    arrived: Vec<(u64, Option<u64>)>,
}

/// Gets the file from a server, with what an earlier run left.
async fn run(plays: &'static [Does], left: &[u8]) -> Run {
    let server = server(plays).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(SHA256);
    if !left.is_empty() {
        fs::write(&path, left).unwrap();
    }
    let file = Released { url: format!("http://127.0.0.1:{}/file", server.port).parse().unwrap(), sha256: SHA256 };
    let arrived = Mutex::new(Vec::new());
    let client = Client::with(None, SHORT);
    let outcome = client.get(&file, &path, &|done, total| arrived.lock().unwrap().push((done, total))).await;
    let asked = server.asked.lock().unwrap().clone();
    Run { outcome, asked, kept: fs::read(&path).ok(), arrived: arrived.into_inner().unwrap() }
}

#[tokio::test]
async fn the_right_file_is_kept_and_its_bytes_are_told() {
    let run = run(&[Does::Gives(TEXT)], b"").await;
    assert_eq!((run.outcome, run.kept.as_deref()), (Ok(()), Some(TEXT)));
    assert_eq!(run.asked, ["/file -"]);
    assert_eq!(run.arrived.last(), Some(&(18, Some(18))));
}

#[tokio::test]
async fn another_file_is_refused_and_nothing_of_it_kept() {
    let run = run(&[Does::Gives(b"<html>sign in</html>")], b"").await;
    let error = run.outcome.unwrap_err().to_string();
    assert!(error.ends_with(&format!(", not {SHA256}")) && error.contains("is refused: its SHA-256 is "), "{error}");
    assert_eq!((run.kept, run.asked.len()), (None, 1));
}

#[tokio::test]
async fn a_download_that_was_cut_off_goes_on_where_it_was() {
    let cut = run(&[Does::Cuts(5), Does::Gives(TEXT)], b"").await;
    assert_eq!((cut.outcome, cut.kept.as_deref()), (Ok(()), Some(TEXT)));
    assert_eq!(cut.asked, ["/file -", "/file 5"]);
    // So does the next run.
    let next = run(&[Does::Gives(TEXT)], &TEXT[..7]).await;
    assert_eq!((next.outcome, next.asked), (Ok(()), vec!["/file 7".to_owned()]));
    // A server without ranges gives everything again.
    let whole = run(&[Does::GivesWhole(TEXT)], &TEXT[..7]).await;
    assert_eq!((whole.outcome, whole.kept.as_deref()), (Ok(()), Some(TEXT)));
    // One that gives no more than it did is given up, and what came is kept.
    let gone = run(&[Does::Cuts(5), Does::Says(503)], b"").await;
    assert!(matches!(gone.outcome, Err(Failure::Status { status: 503, .. })), "{:?}", gone.outcome);
    assert_eq!(gone.kept.as_deref(), Some(&TEXT[..5]));
}

#[tokio::test]
async fn what_an_earlier_run_left_of_something_else_is_begun_anew() {
    for left in [&b"<html>"[..], b"<html>a page that is longer than the file</html>"] {
        let run = run(&[Does::Gives(TEXT)], left).await;
        assert_eq!((run.outcome, run.kept.as_deref()), (Ok(()), Some(TEXT)), "{left:?}");
        assert_eq!(run.asked, [format!("/file {}", left.len()), "/file -".to_owned()]);
    }
}

#[tokio::test]
async fn a_server_that_is_gone_is_known_at_once() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let file = |url: String| Released { url: url.parse().unwrap(), sha256: SHA256 };
    let client = Client::new(None);
    for url in [format!("http://127.0.0.1:{port}/file"), "http://nowhere.invalid/file".to_owned()] {
        let began = Instant::now();
        let error = client.get(&file(url.clone()), &folder.path().join("x"), &|_, _| {}).await.unwrap_err();
        assert!(matches!(error, Failure::Unreached { .. }), "{url}: {error:?}");
        assert!(began.elapsed() < Duration::from_secs(4), "{url}: {:?}", began.elapsed());
        assert!(!folder.path().join("x").exists());
    }
}

#[tokio::test]
async fn silence_and_slowness_have_an_end() {
    let (silent, stopped, slow) =
        tokio::join!(run(&[Does::Silent], b""), run(&[Does::Stops(5)], b""), run(&[Does::Trickles], b""));
    assert!(silent.outcome.is_err() && silent.kept.is_none(), "{:?}", silent.outcome);
    let error = stopped.outcome.unwrap_err().to_string();
    assert!(error.contains("broke off: nothing came for "), "{error}");
    // Once with five bytes, and then three times in a row without another.
    assert_eq!((stopped.kept.as_deref(), stopped.asked.len()), (Some(&TEXT[..5]), 4));
    let error = slow.outcome.unwrap_err().to_string();
    assert!(error.contains("broke off: it takes longer than "), "{error}");
}

#[tokio::test]
async fn redirects_are_followed_where_they_may_lead() {
    let to_file = run(&[Does::Leads("/elsewhere/file"), Does::Gives(TEXT)], b"").await;
    assert_eq!(to_file.outcome, Ok(()));
    assert_eq!(to_file.asked, ["/file -", "/elsewhere/file -"]);
    let round = run(&[Does::Leads("/file")], b"").await;
    assert!(matches!(round.outcome, Err(Failure::Redirect { .. })) && round.asked.len() == 6, "{:?}", round.outcome);
    for place in ["file:///etc/passwd", "", "ftp://127.0.0.1/file"] {
        let plays = vec![Does::Leads(place)].leak();
        let away = run(plays, b"").await;
        assert!(matches!(away.outcome, Err(Failure::Redirect { .. })), "{place}: {:?}", away.outcome);
    }
}

#[test]
fn ranges_are_read() {
    assert_eq!(range("bytes 5-9/10"), Some((5, Some(10))));
    assert_eq!(range("bytes 5-9/*"), Some((5, None)));
    assert_eq!(range("items 5-9/10"), None);
}
