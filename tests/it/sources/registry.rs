//! A chart repository and an OCI registry on loopback, with the stand-in charts: what a real helm needs to pull from them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use eks_bootstrap::read::chart::digest_of;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpListener;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Charts of the sandbox, by name and version.
pub(crate) const CHARTS: [(&str, &str); 3] =
    [("aws-load-balancer-controller", "3.5.0"), ("aws-ebs-csi-driver", "2.64.0"), ("metrics-server", "3.13.1")];

/// The archive of a stand-in chart, the same bytes every time.
pub(crate) fn archive(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates/sandbox/charts").join(name);
    let mut files = Vec::new();
    collect(&folder, &mut files);
    files.sort();
    let mut builder = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default()));
    for file in files {
        let bytes = std::fs::read(&file).unwrap();
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        let inside = Path::new(name).join(file.strip_prefix(&folder).unwrap());
        builder.append_data(&mut header, inside, bytes.as_slice()).unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap()
}

fn collect(folder: &Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            collect(&entry.path(), files);
        } else {
            files.push(entry.path());
        }
    }
}

/// What is served: by path, the type and the bytes.
type Files = BTreeMap<String, (&'static str, Vec<u8>)>;

/// The servers of both kinds, at one address; they stop when this is dropped.
pub(crate) struct Registry {
    pub(crate) host: String,
    asked: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Registry {
    /// Serves all charts; `login` (`user:password` in base 64) is asked for where it is given.
    pub(crate) async fn start(login: Option<&'static str>) -> Registry {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let files = Arc::new(files(&host));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        let task = tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                let (files, log) = (files.clone(), log.clone());
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        let answer = answer(&files, login, &log, &request);
                        async move { Ok::<_, std::convert::Infallible>(answer) }
                    });
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Registry { host, asked, task }
    }

    /// `oci://HOST/charts`.
    pub(crate) fn oci(&self) -> String {
        format!("oci://{}/charts", self.host)
    }

    /// `http://HOST/repository`.
    pub(crate) fn repository(&self) -> String {
        format!("http://{}/repository", self.host)
    }

    /// The paths that were asked for since the last call.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

fn files(host: &str) -> Files {
    let mut files = Files::new();
    let mut entries = serde_json::Map::new();
    for (name, version) in CHARTS {
        let bytes = archive(name);
        let digest = digest_of(&bytes);
        let file = format!("{name}-{version}.tgz");
        entries.insert(
            name.to_owned(),
            json!([{"apiVersion": "v2", "name": name, "version": version, "digest": digest.trim_start_matches("sha256:"),
                "urls": [format!("http://{host}/repository/{file}")]}]),
        );
        let config = json!({"apiVersion": "v2", "name": name, "version": version}).to_string().into_bytes();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": "application/vnd.cncf.helm.config.v1+json", "digest": digest_of(&config),
                "size": config.len()},
            "layers": [{"mediaType": "application/vnd.cncf.helm.chart.content.v1.tar+gzip", "digest": digest,
                "size": bytes.len()}],
        });
        let manifest = manifest.to_string().into_bytes();
        let base = format!("/v2/charts/{name}");
        let tags = json!({"name": format!("charts/{name}"), "tags": [version]}).to_string().into_bytes();
        files.insert(format!("{base}/tags/list"), ("application/json", tags));
        for reference in [version.to_owned(), digest_of(&manifest)] {
            files.insert(format!("{base}/manifests/{reference}"), (MANIFEST, manifest.clone()));
        }
        files.insert(format!("{base}/blobs/{}", digest_of(&config)), ("application/octet-stream", config));
        files.insert(format!("{base}/blobs/{digest}"), ("application/octet-stream", bytes.clone()));
        files.insert(format!("/repository/{file}"), ("application/gzip", bytes));
    }
    let index = json!({"apiVersion": "v1", "generated": "2026-01-01T00:00:00Z", "entries": entries});
    files.insert("/repository/index.yaml".to_owned(), ("application/yaml", index.to_string().into_bytes()));
    files.insert("/v2/".to_owned(), ("application/json", b"{}".to_vec()));
    files
}

fn answer(
    files: &Files,
    login: Option<&str>,
    log: &Mutex<Vec<String>>,
    request: &Request<Incoming>,
) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    log.lock().unwrap().push(path.to_owned());
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if login.is_some_and(|login| given != Some(format!("Basic {login}").as_str())) {
        let mut denied = Response::new(Full::default());
        *denied.status_mut() = StatusCode::UNAUTHORIZED;
        denied.headers_mut().insert(header::WWW_AUTHENTICATE, "Basic realm=\"charts\"".parse().unwrap());
        return denied;
    }
    let Some((kind, bytes)) = files.get(path) else {
        let mut missing = Response::new(Full::from("{\"errors\":[{\"code\":\"NOT_FOUND\"}]}"));
        *missing.status_mut() = StatusCode::NOT_FOUND;
        return missing;
    };
    let body = if request.method() == Method::HEAD { Bytes::new() } else { Bytes::from(bytes.clone()) };
    let mut response = Response::new(Full::new(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, kind.parse().unwrap());
    headers.insert(header::CONTENT_LENGTH, bytes.len().into());
    headers.insert("docker-content-digest", digest_of(bytes).parse().unwrap());
    response
}
