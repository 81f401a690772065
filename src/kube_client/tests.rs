use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// An API server that answers by a script, one connection an answer, and then `{}` for ever; tells what it was asked.
async fn scripted(answers: &'static [(u16, &'static str)]) -> (KubeApi, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = asked.clone();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut bytes = vec![0; 8192];
            let length = stream.read(&mut bytes).await.unwrap();
            let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
            let place = {
                let mut seen = seen.lock().unwrap();
                seen.push(text.split(' ').next().unwrap_or_default().to_owned());
                seen.len() - 1
            };
            let (status, header) = answers.get(place).copied().unwrap_or((200, ""));
            let body = json!({"message": "try later", "reason": "TooManyRequests"}).to_string();
            let head =
                format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n{header}", body.len());
            stream.write_all(format!("{head}\r\n{body}").as_bytes()).await.unwrap();
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "x",
        "clusters": [{"name": "x", "cluster": {"server": url}}],
        "users": [{"name": "x", "user": {}}],
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
    });
    std::fs::write(&path, config.to_string()).unwrap();
    let api = KubeApi::connect(&KubeTarget::Kubeconfig { path, context: None }).await.unwrap();
    (api, asked)
}

async fn patch(api: &KubeApi) -> Result<Option<Value>> {
    api.request("patch X", Method::PATCH, "/api/v1/x", "application/merge-patch+json", &json!({})).await
}

/// Answers with their headers, how many requests they take, and whether the write succeeds.
type Case = (&'static [(u16, &'static str)], usize, bool);

#[tokio::test]
async fn a_write_is_sent_again_only_where_the_server_says_that_it_did_not_act() {
    const SOON: &str = "Retry-After: 0\r\n";
    let cases: [Case; 6] = [
        (&[(429, SOON), (503, SOON)], 3, true),
        (&[(429, "Retry-After: Thu, 01 Jan 1970 00:00:00 GMT\r\n")], 2, true),
        (&[(503, "")], 1, false),
        (&[(500, SOON)], 1, false),
        (&[(409, SOON)], 1, false),
        (&[(429, "Retry-After: 3600\r\n")], 1, false),
    ];
    for (answers, requests, done) in cases {
        let (api, asked) = scripted(answers).await;
        let answer = patch(&api).await;
        assert_eq!((asked.lock().unwrap().len(), answer.is_ok()), (requests, done), "{answers:?}: {answer:?}");
    }
    let (api, _) = scripted(&[(429, "Retry-After: 3600\r\n")]).await;
    let error = patch(&api).await.unwrap_err().to_string();
    assert_eq!(error, "patch X: try later (it asks to wait 3600 s)");
}

#[tokio::test]
async fn a_read_outlasts_overload_too() {
    let (api, asked) = scripted(&[(429, "Retry-After: 0\r\n"), (503, "Retry-After: 0\r\n"), (502, "")]).await;
    assert!(api.read("get X", "/api/v1/x").await.unwrap().is_some());
    assert_eq!(asked.lock().unwrap().as_slice(), ["GET"; 4]);
}
