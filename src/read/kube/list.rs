//! All objects of a kind, page by page, as client-go's pager reads them: to the end, but not without end.

use serde_json::Value;

use super::{KubeRead, listing};
use crate::error::{Error, KubeError, Result};

/// So many objects a page; the default of client-go's pager.
const PAGE: usize = 500;
/// The most pages of one list. Half a million objects are more than a cluster holds of any kind.
const MOST: usize = 1000;

/// What a page is asked with.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Next {
    /// The first page, or the one that a token of the server's names.
    Page(String),
    /// Everything at once.
    Whole,
}

impl KubeRead {
    /// All objects of a kind in a namespace (empty: in all), with a label selector (empty: all).
    ///
    /// # Errors
    /// A read that failed, or a list that does not end.
    pub async fn list(&self, api_version: &str, kind: &str, namespace: &str, labels: &str) -> Result<Vec<Value>> {
        let Some(path) = self.paths.collection(api_version, kind, namespace).await? else { return Ok(Vec::new()) };
        let selector: String = url::form_urlencoded::byte_serialize(labels.as_bytes()).collect();
        let operation = listing(kind, namespace);
        let (mut items, mut next) = (Vec::new(), Next::Page(String::new()));
        for _ in 0..MOST {
            let page = match &next {
                Next::Page(token) => format!("{path}?limit={PAGE}&labelSelector={selector}&continue={token}"),
                Next::Whole => format!("{path}?labelSelector={selector}"),
            };
            let mut list = match self.api.read(&operation, &page).await {
                Ok(Some(list)) => list,
                // The kind went while it was read.
                Ok(None) => return Ok(items),
                Err(error) if expired(&error) && matches!(&next, Next::Page(token) if !token.is_empty()) => {
                    // Later pages are of the same moment as the first one, and the server forgets moments after some
                    // minutes. https://kubernetes.io/docs/reference/using-api/api-concepts/#410-gone-responses
                    items.clear();
                    next = Next::Whole;
                    continue;
                }
                Err(error) => return Err(error),
            };
            if let Value::Array(found) = list["items"].take() {
                items.extend(found);
            }
            match list.pointer("/metadata/continue").and_then(Value::as_str) {
                Some(token) if !token.is_empty() => {
                    next = Next::Page(url::form_urlencoded::byte_serialize(token.as_bytes()).collect());
                }
                _ => return Ok(items),
            }
        }
        let message = format!("{MOST} pages were read and there are more: the list does not end");
        Err(KubeError { operation, status: None, reason: String::new(), message }.into())
    }
}

/// Whether the server has forgotten the moment that a list was begun at.
fn expired(error: &Error) -> bool {
    matches!(error, Error::Kube(KubeError { status: Some(410), .. }))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::json;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::kube_client::KubeTarget;

    /// A reader of a server whose answers are made from the query, and what it was asked.
    async fn served(answer: fn(&str) -> (u16, Value)) -> (KubeRead, Arc<Mutex<Vec<String>>>) {
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
                let query = text.split([' ', '?']).nth(2).unwrap_or_default().to_owned();
                let (status, body) = answer(&query);
                seen.lock().unwrap().push(query);
                let body = body.to_string();
                let head =
                    format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
                stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
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
        let target = KubeTarget::Kubeconfig { path, context: None };
        (KubeRead::connect(&target).await.unwrap(), asked)
    }

    fn page(names: &[&str], token: &str) -> (u16, Value) {
        let items: Vec<_> = names.iter().map(|name| json!({"metadata": {"name": name}})).collect();
        (200, json!({"items": items, "metadata": {"continue": token}}))
    }

    async fn names(reader: &KubeRead) -> Vec<String> {
        let items = reader.list("v1", "Pod", "", "").await.unwrap();
        items.iter().map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    }

    #[tokio::test]
    async fn pages_are_followed_and_a_forgotten_list_is_read_at_once() {
        let (reader, asked) = served(|query| match query {
            _ if query.ends_with("continue=") => page(&["a", "b"], "a+/="),
            _ if query.ends_with("continue=a%2B%2F%3D") => page(&["c"], ""),
            _ => page(&["wrong"], ""),
        })
        .await;
        assert_eq!(names(&reader).await, ["a", "b", "c"]);
        assert_eq!(asked.lock().unwrap().len(), 2);

        let (reader, asked) = served(|query| match query {
            _ if query.ends_with("continue=") => page(&["a", "b"], "old"),
            _ if query.ends_with("continue=old") => (410, json!({"reason": "Expired", "message": "too old"})),
            _ => page(&["b", "c"], ""),
        })
        .await;
        assert_eq!(names(&reader).await, ["b", "c"], "what was read before is of another moment");
        assert_eq!(asked.lock().unwrap().last().unwrap(), "labelSelector=");
    }

    #[tokio::test]
    async fn a_list_that_is_forgotten_at_once_or_never_ends_is_an_error() {
        let (reader, asked) = served(|_| (410, json!({"reason": "Expired", "message": "too old"}))).await;
        assert!(reader.list("v1", "Pod", "", "").await.unwrap_err().to_string().contains("too old"));
        assert_eq!(asked.lock().unwrap().len(), 1);

        let (reader, asked) = served(|_| page(&[], "again")).await;
        let error = reader.list("v1", "Pod", "", "").await.unwrap_err().to_string();
        assert!(error.contains("list Pod in all namespaces") && error.contains("the list does not end"), "{error}");
        assert_eq!(asked.lock().unwrap().len(), MOST);
    }
}
