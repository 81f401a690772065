//! Control planes that serve one lab after the other: to start one takes six seconds of CPU, to clean one up a fraction of one.
//!
//! What a lab leaves is taken back in etcd, where keys that are new go and those that differ get their old values; the API server and
//! the controllers see that as they see every change. A control plane serves again only if it is then the same for a while, all its
//! processes live, and it offers the API groups that it offered. A test that fails drops its lab, and the control plane with it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::administrator;
use eks_bootstrap::sandbox::control_plane::{Associated, Authenticate, ControlPlane, ControlPlaneError, Options};
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::runtime::Runtime;

/// Each takes some 700 MB; two tests run at once, and a third one is being cleaned.
const MOST_FREE: usize = 3;
/// One that takes longer is not used again.
const LIMIT: Duration = Duration::from_secs(20);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(200);
/// So often nothing differs before it is taken for clean: controllers may still answer to what has gone.
const CALM: u32 = 3;
/// Tokens of two labs that were signed in the same second are equal, and the API server remembers its judgement.
const LEAST: Duration = Duration::from_millis(1100);
/// Changes in one transaction: etcd takes 128.
const CHANGES: usize = 100;

/// Objects. Outside of it the API server keeps its own books, such as what it has compacted: it does not survive that these go back.
const OBJECTS: &str = "/registry/";
/// What changes by itself.
const VOLATILE: [&str; 3] = ["/registry/leases/", "/registry/masterleases/", "/registry/peerserverleases/"];
/// What comes late, and is looked at by tests.
const EVENTS: &str = "/registry/events/";

/// The servers of a control plane live as long as it does, so they need a runtime that outlives their test's.
static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap());
static FREE: Mutex<Vec<Lent>> = Mutex::new(Vec::new());
static LENT: Mutex<BTreeMap<PathBuf, About>> = Mutex::new(BTreeMap::new());

/// The keys of etcd and their values, both as etcd's JSON has them.
type Keys = BTreeMap<String, String>;

/// Whom it asks about tokens and associations: the simulated AWS of the lab that has it.
type Callers = Arc<Mutex<Option<(Authenticate, Associated)>>>;

/// What is known of a control plane.
struct About {
    /// What it was started with, but for whom it asks.
    kind: String,
    callers: Callers,
    keys: Keys,
    groups: Vec<String>,
}

struct Lent {
    plane: ControlPlane,
    about: About,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A control plane that is free, or a new one.
pub(super) fn lend(options: Options) -> LocalBoxFuture<'static, Result<ControlPlane, ControlPlaneError>> {
    async move {
        // Its programs are the same in all tests.
        let kind = format!(
            "{} {} {} {} {} {} {:?}",
            options.cluster,
            options.issuer,
            options.region,
            options.partition,
            options.account,
            options.node_role_arn,
            options.kubernetes_version
        );
        let asked = (Arc::clone(&options.authenticate), Arc::clone(&options.associated));
        let free = {
            let mut free = lock(&FREE);
            free.iter().position(|lent| lent.about.kind == kind).map(|place| free.remove(place))
        };
        let Lent { plane, about } = match free {
            Some(lent) => lent,
            // What it spawns has to belong to that runtime, and its own future cannot be sent there.
            None => tokio::task::spawn_blocking(|| RUNTIME.block_on(start(options, kind))).await.unwrap()?,
        };
        *lock(&about.callers) = Some(asked);
        lock(&LENT).insert(plane.directory().to_owned(), about);
        Ok(plane)
    }
    .boxed_local()
}

/// Cleans a control plane for another lab, in the background; one that cannot be cleaned ends.
pub(super) fn give_back(plane: ControlPlane) {
    let Some(about) = lock(&LENT).remove(plane.directory()) else { return };
    *lock(&about.callers) = None;
    plane.close_webhook_port(false);
    let lent = Lent { plane, about };
    RUNTIME.spawn(async move {
        match tokio::time::timeout(2 * LIMIT, clean(&lent)).await {
            Ok(Ok(())) => {
                let gone = {
                    let mut free = lock(&FREE);
                    free.push(lent);
                    (free.len() > MOST_FREE).then(|| free.remove(0))
                };
                if let Some(gone) = gone {
                    gone.plane.stop().await;
                }
            }
            other => {
                eprintln!("a control plane is not used again: {other:?}");
                lent.plane.stop().await;
            }
        }
    });
}

async fn start(mut options: Options, kind: String) -> Result<Lent, ControlPlaneError> {
    let callers = Callers::new(Mutex::new(Some((options.authenticate, options.associated))));
    let asked = Arc::clone(&callers);
    options.authenticate = Arc::new(move |token| {
        let judge = lock(&asked).as_ref().map(|(authenticate, _)| Arc::clone(authenticate));
        judge.ok_or_else(|| "no lab has this control plane".to_owned())?(token)
    });
    let asked = Arc::clone(&callers);
    options.associated = Arc::new(move |namespace, account| {
        let eks = lock(&asked).as_ref().map(|(_, associated)| Arc::clone(associated));
        eks.is_some_and(|associated| associated(namespace, account))
    });
    let plane = ControlPlane::start(options).await?;
    // What the controllers make of a new cluster is part of it.
    let mut keys = all(plane.directory()).await.unwrap();
    loop {
        tokio::time::sleep(PAUSE).await;
        let later = all(plane.directory()).await.unwrap();
        let same = changes(&keys, &later).0.is_empty();
        keys = later;
        if same {
            break;
        }
    }
    let groups = groups(&plane).await.unwrap();
    Ok(Lent { plane, about: About { kind, callers, keys, groups } })
}

/// A key that is not as it was: its old value, or none where it is new.
#[derive(Debug, Clone)]
struct Change {
    key: String,
    before: Option<String>,
}

/// What differs and does not change by itself, and the events that are new.
fn changes(before: &Keys, now: &Keys) -> (Vec<Change>, Vec<Change>) {
    let new = now.keys().filter(|key| !before.contains_key(*key)).map(|key| (key, None));
    let differ = before.iter().filter(|(key, value)| now.get(*key) != Some(*value));
    let all = new.chain(differ.map(|(key, value)| (key, Some(value))));
    let (mut differences, mut events) = (Vec::new(), Vec::new());
    for (key, before) in all {
        let text = decoded(key);
        let change = Change { key: key.clone(), before: before.cloned() };
        if text.starts_with(EVENTS) {
            events.push(change);
        } else if text.starts_with(OBJECTS) && !VOLATILE.iter().any(|prefix| text.starts_with(prefix)) {
            differences.push(change);
        }
    }
    (differences, events)
}

fn decoded(key: &str) -> String {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD.decode(key).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Takes back what a lab has left.
async fn clean(lent: &Lent) -> Result<(), String> {
    let begun = Instant::now();
    let mut calm = 0;
    while calm < CALM || begun.elapsed() < LEAST {
        lent.plane.check().map_err(|error| error.to_string())?;
        let now = all(lent.plane.directory()).await.map_err(|error| error.to_string())?;
        let (differences, events) = changes(&lent.about.keys, &now);
        if begun.elapsed() > LIMIT {
            let keys: Vec<_> = differences.iter().map(|change| decoded(&change.key)).collect();
            return Err(format!("it does not become what it was: {keys:?}"));
        }
        calm = if differences.is_empty() { calm + 1 } else { 0 };
        for changes in [differences, events].concat().chunks(CHANGES) {
            take_back(lent.plane.directory(), changes).await.map_err(|error| error.to_string())?;
        }
        tokio::time::sleep(PAUSE).await;
    }
    while groups(&lent.plane).await? != lent.about.groups {
        if begun.elapsed() > LIMIT {
            return Err("it does not offer what it offered".to_owned());
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

async fn take_back(directory: &Path, changes: &[Change]) -> io::Result<()> {
    let of = |change: &Change| match &change.before {
        Some(value) => json!({"requestPut": {"key": change.key, "value": value}}),
        None => json!({"requestDeleteRange": {"key": change.key}}),
    };
    let operations: Vec<_> = changes.iter().map(of).collect();
    etcd(directory, "/v3/kv/txn", &json!({"success": operations})).await.map(drop)
}

/// Everything in etcd.
async fn all(directory: &Path) -> io::Result<Keys> {
    // From the least key to the end of all.
    let found = etcd(directory, "/v3/kv/range", &json!({"key": "AA==", "range_end": "AA=="})).await?;
    let text = |entry: &Value, field: &str| entry[field].as_str().unwrap_or_default().to_owned();
    let entries = found["kvs"].as_array().cloned().unwrap_or_default();
    Ok(entries.iter().map(|entry| (text(entry, "key"), text(entry, "value"))).collect())
}

/// A call of etcd's JSON gateway (<https://etcd.io/docs/v3.6/dev-guide/api_grpc_gateway/>) on its socket.
async fn etcd(directory: &Path, path: &str, body: &Value) -> io::Result<Value> {
    let mut stream = UnixStream::connect(directory.join("etcd:1")).await?;
    let body = body.to_string();
    // HTTP/1.0 has no chunks, and ends with the connection.
    let head = format!("POST {path} HTTP/1.0\r\nhost: etcd\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    if !head.lines().next().unwrap_or_default().contains(" 200 ") {
        return Err(io::Error::other(answer.into_owned()));
    }
    serde_json::from_str(body).map_err(io::Error::other)
}

/// The API groups that are offered, and those whose types are described.
async fn groups(plane: &ControlPlane) -> Result<Vec<String>, String> {
    let read = async {
        let client = administrator(plane).await;
        let get = |path: &str| client.request::<Value>(http::Request::get(path).body(Vec::new()).unwrap());
        let (groups, types) = (get("/apis").await?, get("/openapi/v3").await?);
        let offered = groups["groups"].as_array().into_iter().flatten().map(|group| group["name"].to_string());
        let described = types["paths"].as_object().into_iter().flatten().map(|(path, _)| path.clone());
        let mut all: Vec<_> = offered.chain(described).collect();
        all.sort();
        Ok::<_, kube::Error>(all)
    };
    read.await.map_err(|error| error.to_string())
}
