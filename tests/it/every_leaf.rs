//! Every leaf of every document of the charts is changed on the API server, one at a time and as a dry run, and the comparison
//! has to name exactly that leaf; what nobody changed has to be no difference. How a path is written follows from what the API
//! server itself says of its types (`/openapi/v3`), not from the tables of the program.

use std::collections::BTreeMap;

use eks_bootstrap::content::{self, Schemas};
use eks_bootstrap::error::Error;
use eks_bootstrap::read::kube::{KubeRead, ObjectRef};
use eks_bootstrap::read::release::{self, Release};
use futures::StreamExt as _;
use serde_json::{Value, json};

use crate::rendered;
use crate::support::Lab;

const RELEASES: [&str; 3] = ["aws-load-balancer-controller", "aws-ebs-csi-driver", "metrics-server"];
const WANTED: [&str; 2] = ["--enable", "metrics-server"];
/// Requests side by side.
const AT_ONCE: usize = 8;

/// A leaf of a document.
#[derive(Debug, Clone)]
struct Leaf {
    /// As a JSON pointer into the document.
    pointer: String,
    /// As the plan prints it; an entry whose key it is, where it is one.
    expected: String,
    /// The list whose entry has another key once the leaf is changed.
    list: Option<String>,
    value: Value,
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Found,
    Exempt(&'static str),
    Wrong(String),
}

/// Lists by their keys, as the API server says: kind and path without entries -> keys.
struct Types(BTreeMap<String, Value>);

impl Types {
    async fn of(lab: &Lab, objects: &[ObjectRef]) -> Types {
        let mut groups = BTreeMap::new();
        for object in objects {
            if !groups.contains_key(&object.api_version) {
                let root = if object.api_version.contains('/') { "apis" } else { "api" };
                let path = format!("/openapi/v3/{root}/{}", object.api_version);
                groups.insert(object.api_version.clone(), lab.raw(&path).await);
            }
        }
        Types(groups)
    }

    fn kind<'a>(&'a self, object: &ObjectRef) -> &'a Value {
        let schemas = self.0[&object.api_version]["components"]["schemas"].as_object().unwrap();
        let (group, version) = object.api_version.split_once('/').unwrap_or(("", &object.api_version));
        let this = json!({"group": group, "version": version, "kind": object.kind});
        let is = |schema: &&Value| {
            schema["x-kubernetes-group-version-kind"].as_array().is_some_and(|kinds| kinds.contains(&this))
        };
        schemas.values().find(is).unwrap_or_else(|| panic!("no type of {object}"))
    }

    /// Behind references, which the API server wraps into `allOf` beside a default.
    fn resolved<'a>(&'a self, object: &ObjectRef, schema: &'a Value) -> &'a Value {
        let reference = schema["$ref"].as_str().or_else(|| schema["allOf"][0]["$ref"].as_str());
        let Some(reference) = reference else { return schema };
        let name = reference.rsplit('/').next().unwrap();
        &self.0[&object.api_version]["components"]["schemas"][name]
    }
}

fn leaves(types: &Types, object: &ObjectRef, document: &Value) -> Vec<Leaf> {
    fn walk(
        types: &Types,
        object: &ObjectRef,
        (schema, value): (&Value, &Value),
        (pointer, shown): (String, String),
        entry: Option<(&str, &[Value])>,
        all: &mut Vec<Leaf>,
    ) {
        let schema = types.resolved(object, schema);
        match value {
            Value::Object(fields) => {
                for (name, field) in fields {
                    let inner = schema["properties"].get(name).unwrap_or(&schema["additionalProperties"]);
                    let path = if shown.is_empty() { name.clone() } else { format!("{shown}.{name}") };
                    let pointer = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
                    // A key of an entry is the entry's address.
                    if let Some((list, keys)) = entry.filter(|(_, keys)| keys.contains(&json!(name))) {
                        let _ = keys;
                        let list = Some(list.to_owned());
                        all.push(Leaf { pointer, expected: shown.clone(), list, value: field.clone() });
                        continue;
                    }
                    walk(types, object, (inner, field), (pointer, path), None, all);
                }
            }
            Value::Array(items) => {
                let keys = schema["x-kubernetes-list-map-keys"].as_array().cloned().unwrap_or_default();
                for (place, item) in items.iter().enumerate() {
                    let default =
                        |key: &str| types.resolved(object, &schema["items"])["properties"][key]["default"].clone();
                    let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
                    let key: Vec<_> = keys
                        .iter()
                        .map(|key| {
                            text(
                                item.get(key.as_str().unwrap())
                                    .cloned()
                                    .unwrap_or_else(|| default(key.as_str().unwrap())),
                            )
                        })
                        .collect();
                    let set = schema["x-kubernetes-list-type"] == "set";
                    let name = match (key.is_empty(), set) {
                        (false, _) => key.join("/"),
                        (true, true) => text(item.clone()),
                        (true, false) => place.to_string(),
                    };
                    let path = format!("{shown}[{name}]");
                    let entry = (!keys.is_empty()).then_some((shown.as_str(), keys.as_slice()));
                    walk(types, object, (&schema["items"], item), (format!("{pointer}/{place}"), path), entry, all);
                }
            }
            Value::Null => {}
            scalar => all.push(Leaf { pointer, expected: shown, list: None, value: scalar.clone() }),
        }
    }
    let mut all = Vec::new();
    walk(types, object, (types.kind(object), document), (String::new(), String::new()), None, &mut all);
    all
}

/// Words of fields that take no others.
const WORDS: [(&str, &[&str]); 19] = [
    ("imagePullPolicy", &["Never"]),
    ("protocol", &["UDP"]),
    ("scheme", &["HTTPS", "HTTP"]),
    ("failurePolicy", &["Ignore", "Fail"]),
    ("operator", &["NotIn", "In", "Exists", "Equal"]),
    ("sideEffects", &["NoneOnDryRun"]),
    ("effect", &["NoExecute", "NoSchedule"]),
    ("matchPolicy", &["Exact"]),
    ("mountPropagation", &["HostToContainer", "None"]),
    ("seccompProfile.type", &["Unconfined"]),
    ("hostPath.type", &["File", "Directory"]),
    ("spec.type", &["NodePort"]),
    ("updateStrategy.type", &["OnDelete"]),
    ("operations", &["DELETE", "CONNECT"]),
    ("fieldPath", &["metadata.name"]),
    ("terminationMessagePolicy", &["File", "FallbackToLogsOnError"]),
    ("memory", &["7Gi"]),
    ("maxUnavailable", &["20%"]),
    ("fsGroupPolicy", &["None"]),
];

/// Leaves that the API server lets nobody change by themselves: a part of the path, and why.
const EXEMPT: [(&str, &str); 16] = [
    (" roleRef.", "immutable"),
    (" spec.selector.matchLabels.", "immutable"),
    (" spec.controller", "immutable"),
    ("Secret/kube-system/aws-load-balancer-tls type", "immutable"),
    (" spec.template.metadata.labels.app", "the selector wants it"),
    (" subjects[0].kind", "another kind wants another apiGroup"),
    (" spec.strategy.type", "another type wants no rollingUpdate"),
    (".admissionReviewVersions[", "the server speaks this version only"),
    (" spec.attachRequired", "immutable"),
    ("APIService/v1beta1.metrics.k8s.io spec.group", "the object's name says it"),
    ("APIService/v1beta1.metrics.k8s.io spec.version", "the object's name says it"),
    (".securityContext.privileged", "mounts that are shared want it"),
    ("].effect", "tolerationSeconds wants it"),
    ("].operator", "a toleration of everything has no key"),
    (".volumes[", "mounts name it"),
    ("].name", "there is one volume"),
];

/// Other values of a field, the likeliest first.
fn others(leaf: &Leaf, document: &Value) -> Vec<Value> {
    let names: Vec<_> = leaf.pointer.split('/').filter(|part| part.parse::<usize>().is_err()).collect();
    let plain = names.join(".");
    let words = WORDS.iter().filter(|(end, _)| plain.ends_with(end)).flat_map(|(_, words)| *words);
    let mut others: Vec<Value> = words.map(|word| json!(word)).collect();
    if leaf.expected.contains(".volumeMounts[") && leaf.pointer.ends_with("/name") {
        let volumes = document["spec"]["template"]["spec"]["volumes"].as_array().into_iter().flatten();
        others.extend(volumes.map(|volume| volume["name"].clone()));
    }
    match &leaf.value {
        Value::Bool(truth) => others.push(json!(!truth)),
        Value::Number(number) => {
            let number = number.as_i64().unwrap_or(1);
            others.extend([json!(number + 1), json!(number - 1)]);
        }
        Value::String(text) => {
            others.extend([format!("{text}x"), format!("x{text}"), "7".to_owned(), "eDc=".to_owned()].map(Value::from));
        }
        other => panic!("{other} is no leaf"),
    }
    others.retain(|other| *other != leaf.value);
    others
}

/// The marks that helm adds and its record does not hold.
fn marked(document: &Value, release: &str) -> Value {
    let mut document = document.clone();
    document["metadata"]["labels"]["app.kubernetes.io/managed-by"] = json!("Helm");
    document["metadata"]["annotations"]["meta.helm.sh/release-name"] = json!(release);
    document["metadata"]["annotations"]["meta.helm.sh/release-namespace"] = json!("kube-system");
    document
}

fn operation(live: &Value, pointer: &str, value: &Value) -> Value {
    let verb = if live.pointer(pointer).is_some() { "replace" } else { "add" };
    json!([{"op": verb, "path": pointer, "value": value}])
}

fn compared(item: &Item, changed: &Value) -> Vec<String> {
    let found = content::compare(&item.document, changed, &item.schemas, &[]).differences;
    found.into_iter().map(|difference| difference.field.path).collect()
}

/// The object after a change that is not kept; none where the API server refuses it.
async fn tried(reader: &KubeRead, object: &ObjectRef, patch: &Value) -> Option<Value> {
    match reader.dry_run_patch(object, patch).await {
        Ok(changed) => Some(changed.unwrap()),
        Err(Error::Kube(_)) => None,
        Err(error) => panic!("{object}: {error}"),
    }
}

/// Changes a leaf; returns what became of it and the change that was accepted.
async fn change(reader: &KubeRead, item: &Item, leaf: &Leaf) -> (Outcome, Option<Value>) {
    let Item { object, live, .. } = item;
    if ["/apiVersion", "/kind", "/metadata/name", "/metadata/namespace"].contains(&leaf.pointer.as_str()) {
        return (Outcome::Exempt("the object's address"), None);
    }
    for other in others(leaf, &item.document) {
        let patch = operation(live, &leaf.pointer, &other);
        let Some(changed) = tried(reader, object, &patch).await else { continue };
        if changed.pointer(&leaf.pointer) == live.pointer(&leaf.pointer) {
            continue;
        }
        let paths = compared(item, &changed);
        // A container under another name is one that is missing and one that was added.
        let renamed = |path: &String| leaf.list.as_ref().is_some_and(|list| path.starts_with(&format!("{list}[")));
        let exact = paths.first() == Some(&leaf.expected) && paths[1..].iter().all(renamed);
        let outcome =
            if exact { Outcome::Found } else { Outcome::Wrong(format!("{object} {}: {paths:?}", leaf.expected)) };
        return (outcome, Some(patch));
    }
    let name = format!("{object} {}", leaf.expected);
    match EXEMPT.iter().find(|(part, _)| name.contains(part)) {
        Some((_, reason)) => (Outcome::Exempt(reason), None),
        None => (Outcome::Wrong(format!("{name}: the API server accepts no other value")), None),
    }
}

/// Takes a leaf away; what it is in is gone with it where it was the last.
async fn remove(reader: &KubeRead, item: &Item, leaf: &Leaf) -> Outcome {
    let Item { object, live, .. } = item;
    if live.pointer(&leaf.pointer).is_none() {
        return Outcome::Exempt("the server does not keep it");
    }
    let patch = json!([{"op": "remove", "path": leaf.pointer}]);
    let Some(changed) = tried(reader, object, &patch).await else { return Outcome::Exempt("the server insists on it") };
    let same = |name: &str| changed.get(name) == live.get(name);
    let fields = live.as_object().unwrap().keys().chain(changed.as_object().unwrap().keys());
    let mut fields = fields.filter(|name| *name != "metadata" && *name != "status");
    if fields.all(|name| same(name))
        && ["labels", "annotations"].iter().all(|map| changed["metadata"][map] == live["metadata"][map])
    {
        return Outcome::Exempt("the server puts its default");
    }
    let paths = compared(item, &changed);
    if paths.is_empty() && leaf.expected == "spec.nodeAllocatableUpdatePeriodSeconds" {
        return Outcome::Exempt("servers without its feature gate drop it");
    }
    let within = |path: &str| {
        leaf.expected == path
            || leaf.expected.starts_with(&format!("{path}."))
            || leaf.expected.starts_with(&format!("{path}["))
    };
    // Of two equal entries in a list, either may be the one that is gone.
    let exact = paths.len() == 1
        && (within(&paths[0])
            || leaf.expected.rsplit_once('[').map(|it| it.0) == paths[0].rsplit_once('[').map(|it| it.0));
    if exact { Outcome::Found } else { Outcome::Wrong(format!("{object} {} removed: {paths:?}", leaf.expected)) }
}

/// Groups whose kinds charts hold.
const GROUPS: [&str; 12] = [
    "api/v1",
    "apis/apps/v1",
    "apis/batch/v1",
    "apis/rbac.authorization.k8s.io/v1",
    "apis/networking.k8s.io/v1",
    "apis/storage.k8s.io/v1",
    "apis/policy/v1",
    "apis/admissionregistration.k8s.io/v1",
    "apis/autoscaling/v2",
    "apis/scheduling.k8s.io/v1",
    "apis/node.k8s.io/v1",
    "apis/coordination.k8s.io/v1",
];

/// Kinds that are made by clusters, not by charts.
const IN_NO_CHART: [&str; 6] =
    ["Binding", "ComponentStatus", "CSIStorageCapacity", "Event", "Node", "VolumeAttachment"];

/// Every list and map in a type that is not what the tables say.
fn disagreements(schemas: &Value, (kind, schema): (&str, &Value), path: &str, depth: usize, wrong: &mut Vec<String>) {
    let reference = schema["$ref"].as_str().or_else(|| schema["allOf"][0]["$ref"].as_str());
    let schema = reference.map_or(schema, |reference| &schemas[reference.rsplit('/').next().unwrap()]);
    // Owners are no chart's, status neither, and the claim of a volume is filled in by a controller although it is one value.
    if depth == 0 || ["managedFields", ".status", "spec.claimRef"].iter().any(|end| path.ends_with(end)) {
        return;
    }
    let list = schema["type"] == "array";
    let fields = schema["properties"].as_object();
    // What has one field or none is one value in any case.
    let several = fields.is_none_or(|fields| fields.len() > 1) && schema["type"] == "object";
    let atomic = schema["x-kubernetes-map-type"] == "atomic";
    let said = content::treated_as(kind, path, list);
    let is = match schema["x-kubernetes-list-type"].as_str() {
        Some("map") => {
            let keys = schema["x-kubernetes-list-map-keys"].as_array().unwrap().iter();
            keys.map(|key| key.as_str().unwrap()).collect::<Vec<_>>().join("/")
        }
        Some("set") => "set".to_owned(),
        _ if list || atomic => "one value".to_owned(),
        _ => String::new(),
    };
    if (list || several) && said != is {
        wrong.push(format!("{kind} {path}: `{said}` in the tables, `{is}` on the server"));
    }
    for (name, field) in fields.into_iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        disagreements(schemas, (kind, field), &path, depth - 1, wrong);
    }
    if list {
        // The entries of a list have its path.
        let reference = schema["items"]["$ref"].as_str().or_else(|| schema["items"]["allOf"][0]["$ref"].as_str());
        let entry = reference.map_or(&schema["items"], |it| &schemas[it.rsplit('/').next().unwrap()]);
        for (name, field) in entry["properties"].as_object().into_iter().flatten() {
            disagreements(schemas, (kind, field), &format!("{path}.{name}"), depth - 1, wrong);
        }
    }
}

/// The tables say what this API server says of all kinds of its own that charts hold.
async fn tables_agree(lab: &Lab) {
    let mut wrong = Vec::new();
    for group in GROUPS {
        let types = lab.raw(&format!("/openapi/v3/{group}")).await;
        let schemas = &types["components"]["schemas"];
        for schema in schemas.as_object().unwrap().values() {
            let Some(kinds) = schema["x-kubernetes-group-version-kind"].as_array() else { continue };
            let kind = kinds[0]["kind"].as_str().unwrap();
            let fields = schema["properties"].as_object();
            let Some(fields) = fields.filter(|fields| fields.contains_key("metadata") && kinds.len() == 1) else {
                continue;
            };
            if kind.ends_with("List") || IN_NO_CHART.contains(&kind) {
                continue;
            }
            for (name, field) in fields.iter().filter(|(name, _)| *name != "status") {
                disagreements(schemas, (kind, field), name, 12, &mut wrong);
            }
        }
    }
    wrong.sort();
    wrong.dedup();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// One object of a release.
struct Item {
    object: ObjectRef,
    document: Value,
    live: Value,
    schemas: Schemas,
    leaves: Vec<Leaf>,
}

async fn items(lab: &Lab, reader: &KubeRead) -> Vec<Item> {
    let mut items = Vec::new();
    for name in RELEASES {
        let Release { objects, documents, crds, .. } =
            release::history(reader, "kube-system", name).await.unwrap().swap_remove(0);
        let types = Types::of(lab, &objects).await;
        for (object, document) in objects.into_iter().zip(documents) {
            let live = reader.get(&object).await.unwrap().unwrap_or_else(|| panic!("{object} is not there"));
            let leaves = leaves(&types, &object, &document);
            items.push(Item { document: marked(&document, name), live, leaves, schemas: Schemas::of(&crds), object });
        }
    }
    items
}

/// The fields of the plan's steps.
fn fields(plan: &Value) -> Vec<String> {
    let steps = plan["steps"].as_array().unwrap().iter();
    let fields = steps.flat_map(|step| step["fields"].as_array().unwrap());
    fields.map(|field| field["path"].as_str().unwrap().to_owned()).collect()
}

async fn every_leaf(lab: &Lab) {
    let command = |words: &[&'static str]| [words, &WANTED].concat();
    lab.run(&command(&["apply", "--yes"])).await.expect(0);
    let reader = lab.reader().await;
    let items = items(lab, &reader).await;
    for item in &items {
        let found = content::compare(&item.document, &item.live, &item.schemas, &[]).differences;
        assert!(found.is_empty(), "{} is not changed: {found:?}", item.object);
    }
    let began = std::time::Instant::now();
    let all: Vec<_> = items.iter().flat_map(|item| item.leaves.iter().map(move |leaf| (item, leaf))).collect();
    let count = all.len();
    let reader = &reader;
    let outcomes: Vec<_> =
        futures::stream::iter(all)
            .map(|(item, leaf)| async move {
                (item, leaf, change(reader, item, leaf).await, remove(reader, item, leaf).await)
            })
            .buffered(AT_ONCE)
            .collect()
            .await;
    let mut exempt: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let (mut wrong, mut found, mut changes) = (Vec::new(), 0, BTreeMap::new());
    let mut removed: BTreeMap<&str, usize> = BTreeMap::new();
    for (item, leaf, (outcome, patch), removal) in &outcomes {
        match removal {
            Outcome::Found => *removed.entry("found").or_default() += 1,
            Outcome::Exempt(reason) => *removed.entry(reason).or_default() += 1,
            Outcome::Wrong(what) => wrong.push(what.clone()),
        }
        match outcome {
            Outcome::Found => found += 1,
            Outcome::Exempt(reason) => {
                exempt.entry(reason).or_default().push(format!("{} {}", item.object, leaf.expected));
            }
            Outcome::Wrong(what) => wrong.push(what.clone()),
        }
        // One change a document is made for the real plan: the first that is none of metadata.
        if let Some(patch) = patch.as_ref().filter(|_| item.object.kind != "Secret") {
            let of_content = !leaf.pointer.starts_with("/metadata");
            let known = changes.entry(item.object.clone()).or_insert_with(|| (leaf, patch.clone(), of_content));
            if of_content && !known.2 {
                *known = (leaf, patch.clone(), true);
            }
        }
    }
    eprintln!("{count} leaves in {} documents: {found} found in {:.1?}", items.len(), began.elapsed());
    for (reason, leaves) in &exempt {
        eprintln!("{} {reason}", leaves.len());
        if *reason != "the object's address" {
            for leaf in leaves {
                eprintln!("  {leaf}");
            }
        }
    }
    eprintln!("taken away: {removed:?}");
    assert!(wrong.is_empty(), "{} of {count} wrong:\n{}", wrong.len(), wrong.join("\n"));

    for (object, (_, patch, _)) in &changes {
        lab.patch_json(&lab.path(object).await, patch).await;
    }
    let plan = lab.run(&command(&["plan", "-o", "json", "--detailed-exitcode"])).await.expect(2).json();
    let shown = fields(&plan);
    for (object, (leaf, ..)) in &changes {
        let expected = format!("{object} {}", leaf.expected);
        assert!(shown.contains(&expected), "{expected} is not in the plan: {shown:#?}");
    }
    lab.run(&command(&["apply", "--yes"])).await.expect(0);
    lab.run(&command(&["plan", "--detailed-exitcode"])).await.expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_leaf_of_the_stand_ins_is_compared() {
    let lab = Lab::start().await;
    tables_agree(&lab).await;
    every_leaf(&lab).await;
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_leaf_of_the_rendered_originals_is_compared() {
    let Some(from) = rendered::folder() else {
        eprintln!("skipped: EKS_BOOTSTRAP_TEST_RENDERED names no folder with what the original charts render to");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    rendered::charts(&from, folder.path());
    let lab = Lab::start().await.of_charts(folder.path());
    every_leaf(&lab).await;
    lab.stop().await;
}
