//! One plain HTTP request to a load balancer, and the status that it answers with. Not a client for anything else.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A load balancer whose targets are not healthy yet answers at once; one that cannot be reached stays silent.
const LIMIT: Duration = Duration::from_secs(5);
/// A status line is shorter.
const LONGEST_LINE: usize = 512;

/// Asks for `/` and returns the status.
///
/// # Errors
/// Why there was no answer, in words for people.
pub async fn status(host: &str, port: u16) -> Result<u16, String> {
    let silent = || format!("{host}:{port} did not answer within {} s", LIMIT.as_secs());
    tokio::time::timeout(LIMIT, ask(host, port)).await.map_err(|_| silent())?
}

async fn ask(host: &str, port: u16) -> Result<u16, String> {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let failed = |error: std::io::Error| format!("{host}:{port}: {error}");
    let mut stream = TcpStream::connect((address, port)).await.map_err(failed)?;
    let request = format!(
        "GET / HTTP/1.1\r\nHost: {host}\r\nUser-Agent: eks-bootstrap\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.map_err(failed)?;
    let mut line = Vec::new();
    while !line.contains(&b'\n') && line.len() < LONGEST_LINE {
        if stream.read_buf(&mut line).await.map_err(failed)? == 0 {
            break;
        }
    }
    code(&line).ok_or_else(|| format!("{host}:{port} did not answer in HTTP"))
}

/// The code of a status line.
fn code(line: &[u8]) -> Option<u16> {
    let line = std::str::from_utf8(line.split(|byte| *byte == b'\n').next()?).ok()?;
    let mut words = line.split_ascii_whitespace();
    words.next()?.starts_with("HTTP/1.").then_some(())?;
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_line_is_read() {
        assert_eq!(code(b"HTTP/1.1 200 OK\r\nServer: awselb/2.0\r\n"), Some(200));
        assert_eq!(code(b"HTTP/1.1 503"), Some(503));
        assert_eq!(code(b"SSH-2.0-OpenSSH\r\n"), None);
        assert_eq!(code(b""), None);
    }

    #[tokio::test]
    async fn whoever_does_not_listen_is_named() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let error = status("127.0.0.1", port).await.unwrap_err();
        assert!(error.starts_with(&format!("127.0.0.1:{port}: ")), "{error}");
    }
}
