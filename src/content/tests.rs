//! What is a difference and what is none.

use super::*;
use serde_json::json;

/// Paths with what is there and what is to be there.
fn paths(document: &Value, object: &Value) -> Vec<(String, Option<String>, Option<String>)> {
    let found = compare(document, object, &Schemas::default(), &[]);
    found.differences.into_iter().map(|it| (it.field.path, it.field.before, it.field.after)).collect()
}

fn names(document: &Value, object: &Value) -> Vec<String> {
    paths(document, object).into_iter().map(|(path, ..)| path).collect()
}

fn deployment() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "a", "namespace": "n", "creationTimestamp": null, "labels": {"app.kubernetes.io/name": "a"}},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "a"}},
            "template": {
                "metadata": {"labels": {"app": "a"}, "annotations": {}},
                "spec": {
                    "hostNetwork": false,
                    "automountServiceAccountToken": false,
                    "nodeSelector": {"kubernetes.io/os": "linux"},
                    "tolerations": [{"key": "CriticalAddonsOnly", "operator": "Exists"}],
                    "initContainers": [],
                    "containers": [
                        {
                            "name": "main", "image": "registry/main:1", "args": ["--a=1", "--b=2", "--c=3"], "resources": {},
                            "env": [
                                {"name": "REGION", "value": "eu-west-1"},
                                {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
                                {"name": "EMPTY", "value": ""},
                            ],
                            "ports": [{"name": "http", "containerPort": 80}],
                            "securityContext": {"allowPrivilegeEscalation": false, "privileged": null},
                            "livenessProbe": {"httpGet": {"path": "/", "port": "http"}},
                        },
                        {
                            "name": "side", "image": "registry/side:1",
                            "resources": {"requests": {"cpu": "1000m", "memory": "1024Mi"}, "limits": {"cpu": 0.5}},
                            "volumeMounts": [{"name": "v", "mountPath": "/v"}],
                        },
                    ],
                    "volumes": [{"name": "v", "emptyDir": {}}],
                },
            },
        },
        "status": {},
    })
}

/// The deployment as the API server gives it back: defaults, canonical quantities, nothing that it drops.
fn live() -> Value {
    let mut live = deployment();
    live["metadata"]["resourceVersion"] = json!("7");
    live["metadata"]["annotations"] = json!({"deployment.kubernetes.io/revision": "1"});
    live["metadata"]["labels"]["added"] = json!("by others");
    live["status"] = json!({"readyReplicas": 2});
    live["spec"]["progressDeadlineSeconds"] = json!(600);
    live["spec"]["strategy"] = json!({"type": "RollingUpdate"});
    let spec = &mut live["spec"]["template"]["spec"];
    for dropped in ["hostNetwork", "initContainers"] {
        spec.as_object_mut().unwrap().remove(dropped);
    }
    spec["dnsPolicy"] = json!("ClusterFirst");
    spec["containers"][0]["env"][2] = json!({"name": "EMPTY"});
    spec["containers"][0]["env"][1]["valueFrom"]["fieldRef"]["apiVersion"] = json!("v1");
    spec["containers"][0]["ports"][0]["protocol"] = json!("TCP");
    spec["containers"][0]["securityContext"] = json!({"allowPrivilegeEscalation": false});
    spec["containers"][1]["resources"] = json!({"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "500m"}});
    spec["containers"].as_array_mut().unwrap().reverse();
    spec["containers"][0]["volumeMounts"].as_array_mut().unwrap().push(json!({"name": "injected", "mountPath": "/i"}));
    live
}

#[test]
fn defaults_order_quantities_and_what_others_add_are_no_drift() {
    assert_eq!(paths(&deployment(), &live()), []);
}

#[test]
fn every_change_is_named_with_its_path() {
    // What is changed in the object, as a JSON pointer with the new value (null takes away), and the paths that are told.
    // Container 0 is the one called `side`, since the order is not the document's.
    let cases: [(&str, Value, &[&str]); 22] = [
        ("/spec/replicas", json!(0), &["spec.replicas"]),
        ("/metadata/labels/app.kubernetes.io~1name", json!(null), &["metadata.labels.app.kubernetes.io/name"]),
        ("/metadata/labels", json!(null), &["metadata.labels.app.kubernetes.io/name"]),
        ("/spec/selector/matchLabels/more", json!("x"), &["spec.selector.matchLabels.more"]),
        ("/spec/template/spec/nodeSelector/more", json!("x"), &["spec.template.spec.nodeSelector.more"]),
        (
            "/spec/template/spec/automountServiceAccountToken",
            json!(null),
            &["spec.template.spec.automountServiceAccountToken"],
        ),
        ("/spec/template/spec/hostNetwork", json!(true), &["spec.template.spec.hostNetwork"]),
        (
            "/spec/template/spec/tolerations/0/effect",
            json!("NoSchedule"),
            &["spec.template.spec.tolerations[0].effect"],
        ),
        ("/spec/template/spec/tolerations/1", json!({"operator": "Exists"}), &["spec.template.spec.tolerations[1]"]),
        ("/spec/template/spec/containers/1/image", json!("evil"), &["spec.template.spec.containers[main].image"]),
        ("/spec/template/spec/containers/1/args/1", json!("--b=3"), &["spec.template.spec.containers[main].args[1]"]),
        (
            "/spec/template/spec/containers/1/args",
            json!(["--a=1", "--c=3"]),
            &["spec.template.spec.containers[main].args[1]"],
        ),
        (
            "/spec/template/spec/containers/1/env/0/value",
            json!("x"),
            &["spec.template.spec.containers[main].env[REGION].value"],
        ),
        (
            "/spec/template/spec/containers/1/env/1",
            json!({"name": "NODE", "value": "x"}),
            &[
                "spec.template.spec.containers[main].env[NODE].valueFrom",
                "spec.template.spec.containers[main].env[NODE].value",
            ],
        ),
        (
            "/spec/template/spec/containers/1/env/2/value",
            json!("x"),
            &["spec.template.spec.containers[main].env[EMPTY].value"],
        ),
        (
            "/spec/template/spec/containers/1/ports/0/containerPort",
            json!(81),
            &["spec.template.spec.containers[main].ports[80/TCP]"],
        ),
        (
            "/spec/template/spec/containers/1/securityContext",
            json!({}),
            &["spec.template.spec.containers[main].securityContext.allowPrivilegeEscalation"],
        ),
        (
            "/spec/template/spec/containers/1/livenessProbe",
            json!({"exec": {"command": ["true"]}}),
            &[
                "spec.template.spec.containers[main].livenessProbe.httpGet.path",
                "spec.template.spec.containers[main].livenessProbe.httpGet.port",
                "spec.template.spec.containers[main].livenessProbe.exec",
            ],
        ),
        (
            "/spec/template/spec/containers/0/resources/requests/memory",
            json!("2Gi"),
            &["spec.template.spec.containers[side].resources.requests.memory"],
        ),
        (
            "/spec/template/spec/containers/2",
            json!({"name": "miner", "image": "m"}),
            &["spec.template.spec.containers[miner]"],
        ),
        (
            "/spec/template/spec/initContainers",
            json!([{"name": "i", "image": "m"}]),
            &["spec.template.spec.initContainers[i]"],
        ),
        (
            "/spec/template/spec/volumes/0",
            json!({"name": "v", "hostPath": {"path": "/"}}),
            &["spec.template.spec.volumes[v].emptyDir", "spec.template.spec.volumes[v].hostPath"],
        ),
    ];
    for (pointer, value, expected) in cases {
        let mut changed = live();
        set(&mut changed, pointer, value);
        assert_eq!(names(&deployment(), &changed), expected, "{pointer}");
        let corrected = compare(&deployment(), &changed, &Schemas::default(), &[]).corrected;
        assert_eq!(paths(&deployment(), &corrected), [], "{pointer}: {corrected:#}");
    }
}

fn set(object: &mut Value, pointer: &str, value: Value) {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let name = name.replace("~1", "/");
    match object.pointer_mut(parent).unwrap() {
        Value::Array(items) => match name.parse::<usize>().unwrap() {
            at if at < items.len() => items[at] = value,
            _ => items.push(value),
        },
        Value::Object(fields) if value.is_null() => drop(fields.remove(&name)),
        Value::Object(fields) => drop(fields.insert(name, value)),
        other => panic!("{other}"),
    }
}

#[test]
fn only_what_a_merge_cannot_remove_is_beyond_it() {
    for (pointer, value, beyond) in [
        ("/spec/replicas", json!(0), false),
        ("/spec/template/spec/tolerations/1", json!({"operator": "Exists"}), false),
        ("/spec/template/spec/nodeSelector/more", json!("x"), true),
        ("/spec/template/spec/containers/2", json!({"name": "miner", "image": "m"}), true),
        ("/spec/template/spec/containers/1/ports/0/containerPort", json!(81), true),
        ("/spec/template/spec/volumes/0", json!({"name": "v", "hostPath": {"path": "/"}}), true),
    ] {
        let mut changed = live();
        set(&mut changed, pointer, value);
        let found = compare(&deployment(), &changed, &Schemas::default(), &[]).differences;
        assert_eq!(found.iter().any(|it| it.beyond_merge), beyond, "{pointer}: {found:?}");
    }
}

#[test]
fn rules_are_one_value_entry_by_entry() {
    let role =
        |rules: Value| json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "rules": rules});
    let of = |resource: &str| json!({"apiGroups": [""], "resources": [resource], "verbs": ["get", "list"]});
    let document = role(json!([of("a"), of("b"), of("c")]));
    let mut narrowed = of("b");
    narrowed["resourceNames"] = json!(["x"]);
    for (rules, expected) in [
        (json!([of("a"), of("c")]), &["rules[1]"][..]),
        (json!([of("a"), of("x"), of("b"), of("c")]), &["rules[1]"]),
        (json!([of("a"), narrowed, of("c")]), &["rules[1].resourceNames"]),
        (json!([of("b"), of("a"), of("c")]), &["rules[0].resources[0]", "rules[1].resources[0]"]),
        (json!(null), &["rules"]),
    ] {
        assert_eq!(names(&document, &role(rules.clone())), expected, "{rules}");
    }
    let mut aggregated = document.clone();
    aggregated["aggregationRule"] = json!({"clusterRoleSelectors": []});
    let mut filled = aggregated.clone();
    filled["rules"] = json!([]);
    assert_eq!(names(&aggregated, &filled), Vec::<String>::new(), "a controller fills them in");
}

#[test]
fn secrets_are_compared_and_not_shown() {
    let document = json!({"apiVersion": "v1", "kind": "Secret", "stringData": {"a": "one"}, "data": {"b": "dHdv"}});
    let object = |a: &str| json!({"apiVersion": "v1", "kind": "Secret", "data": {"a": a, "b": "dHdv", "c": "eA=="}});
    assert_eq!(paths(&document, &object("b25l")), []);
    let hidden = Some("(hidden)".to_owned());
    assert_eq!(
        paths(&document, &object("eA==")),
        [("data.a".to_owned(), hidden, Some("(hidden, changed)".to_owned()))]
    );
    let mut with_password = deployment();
    let mut changed = live();
    with_password["spec"]["template"]["spec"]["containers"][0]["env"] = json!([{"name": "DB_PASSWORD", "value": "a"}]);
    changed["spec"]["template"]["spec"]["containers"][1]["env"] = json!([{"name": "DB_PASSWORD", "value": "b"}]);
    let found = format!("{:?}", paths(&with_password, &changed));
    assert!(
        found.contains("env[DB_PASSWORD].value") && found.contains("(hidden)") && !found.contains("\"b\""),
        "{found}"
    );
}

#[test]
fn code_counts_where_the_document_has_no_list_for_it() {
    let mut silent = deployment();
    silent["spec"]["template"]["spec"].as_object_mut().unwrap().remove("initContainers");
    let mut changed = live();
    set(&mut changed, "/spec/template/spec/initContainers", json!([{"name": "i", "image": "m"}]));
    assert_eq!(names(&silent, &changed), ["spec.template.spec.initContainers[i]"]);
}

#[test]
fn entries_of_maps_stay_though_empty_and_resources_have_dots_in_their_names() {
    let config = |data: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "data": data});
    assert_eq!(names(&config(json!({"a": "", "b": "x"})), &config(json!({"b": "x"}))), ["data.a"]);
    assert_eq!(names(&config(json!({"a": ""})), &config(json!(null))), ["data.a"]);
    assert_eq!(names(&config(json!({"limits": "1000m"})), &config(json!({"limits": "1"}))), ["data.limits"]);
    let with = |count: Value| {
        let mut document = deployment();
        document["spec"]["template"]["spec"]["containers"][1]["resources"]["limits"] = json!({"nvidia.com/gpu": count});
        document
    };
    let mut object = live();
    object["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"] = json!({"nvidia.com/gpu": "1"});
    assert_eq!(names(&with(json!(1)), &object), Vec::<String>::new());
    let path = "spec.template.spec.containers[side].resources.limits.nvidia.com/gpu";
    assert_eq!(names(&with(json!(2)), &object), [path]);
}

#[test]
fn helm_3_overlooks_what_it_knows_no_type_of() {
    for (api_version, beyond) in [("apps/v1", false), ("apiregistration.k8s.io/v1", true), ("example.com/v1", true)] {
        let object =
            |priority: u8| json!({"apiVersion": api_version, "kind": "X", "spec": {"versionPriority": priority}});
        let found = compare(&object(100), &object(1), &Schemas::default(), &[]).differences;
        assert_eq!(found.iter().map(|it| it.beyond_merge).collect::<Vec<_>>(), [beyond], "{api_version}");
    }
}

#[test]
fn what_a_terminal_would_obey_is_shown_as_text() {
    let mut changed = live();
    set(&mut changed, "/spec/template/spec/containers/1/image", json!("\u{1b}[2Jevil"));
    let found = paths(&deployment(), &changed);
    assert_eq!(found[0].1.as_deref(), Some("\u{1b}[2Jevil"), "what is printed is escaped where it is printed");
}

#[test]
fn webhooks_are_told_apart_by_name_and_certificates_by_digest() {
    let webhook = |bundle: &str, policy: &str| {
        json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration", "webhooks": [{
            "name": "a.b.c", "failurePolicy": policy, "clientConfig": {"caBundle": bundle, "service": {"name": "s"}},
            "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}],
        }]})
    };
    let mut live = webhook("QUJD", "Fail");
    live["webhooks"][0]["rules"][0]["scope"] = json!("*");
    live["webhooks"][0]["timeoutSeconds"] = json!(10);
    live["webhooks"].as_array_mut().unwrap().insert(0, json!({"name": "other.b.c"}));
    assert_eq!(paths(&webhook("QU\n JD\n", "Fail"), &live), []);
    let found = paths(&webhook("RUZH", "Ignore"), &live);
    let names: Vec<_> = found.iter().map(|(path, ..)| path.as_str()).collect();
    assert_eq!(names, ["webhooks[a.b.c].clientConfig.caBundle", "webhooks[a.b.c].failurePolicy"]);
    assert!(found[0].1.as_ref().is_some_and(|text| text.contains("sha256:")), "{found:?}");
}

#[test]
fn a_port_that_was_moved_is_one_difference_that_a_merge_would_be_refused_for() {
    let service = |port: u16| {
        json!({"apiVersion": "v1", "kind": "Service", "spec": {"ports": [{"name": "https", "port": port}],
            "selector": {"app": "a"}}})
    };
    let found = compare(&service(443), &service(8443), &Schemas::default(), &[]);
    let told: Vec<_> = found.differences.iter().map(|it| (it.field.path.as_str(), it.beyond_merge)).collect();
    assert_eq!(told, [("spec.ports[443/TCP]", true)]);
    assert_eq!(found.corrected, service(443));
    let mut more = service(443);
    more["spec"]["ports"].as_array_mut().unwrap().push(json!({"name": "other", "port": 9}));
    assert_eq!(names(&service(443), &more), Vec::<String>::new(), "another port is somebody else's");
}

#[test]
fn custom_resources_follow_their_schema() {
    let crd = json!({"spec": {"group": "example.com", "names": {"kind": "Widget"}, "versions": [{"name": "v1", "schema":
    {"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "flag": {"type": "boolean"}, "list": {"type": "array", "items": {"type": "string"}},
        "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        "map": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["id"],
            "items": {"type": "object", "properties": {"id": {"type": "string"}, "v": {"type": "integer"}}}},
    }}}}}}]}});
    let schemas = Schemas::of(&[crd]);
    let widget = |spec: Value| json!({"apiVersion": "example.com/v1", "kind": "Widget", "spec": spec});
    let document = widget(json!({"flag": false, "pruned": 1, "list": ["a", "b"], "set": ["a", "b"],
        "map": [{"id": "x", "v": 1}]}));
    let told = |spec: Value| -> Vec<String> {
        compare(&document, &widget(spec), &schemas, &[]).differences.into_iter().map(|it| it.field.path).collect()
    };
    let right =
        json!({"flag": false, "list": ["a", "b"], "set": ["b", "a", "c"], "map": [{"id": "y"}, {"id": "x", "v": 1}]});
    assert_eq!(told(right.clone()), Vec::<String>::new());
    for (name, value, expected) in [
        ("flag", json!(null), "spec.flag"),
        ("list", json!(["a", "b", "c"]), "spec.list[2]"),
        ("set", json!(["a"]), "spec.set[b]"),
        ("map", json!([{"id": "x", "v": 2}]), "spec.map[x].v"),
    ] {
        let mut spec = right.clone();
        spec[name] = value;
        assert_eq!(told(spec), [expected], "{name}");
    }
}

#[test]
fn a_patch_does_what_was_compared_or_nothing() {
    let mut changed = live();
    set(&mut changed, "/spec/template/spec/containers/2", json!({"name": "miner", "image": "m"}));
    set(&mut changed, "/spec/template/spec/nodeSelector/a~1b", json!("x"));
    let corrected = compare(&deployment(), &changed, &Schemas::default(), &[]).corrected;
    let text = serde_json::to_value(patch(&changed, &corrected)).unwrap();
    assert_eq!(text[0], json!({"op": "test", "path": "/metadata/resourceVersion", "value": "7"}));
    let paths: Vec<_> = text.as_array().unwrap().iter().map(|it| (it["op"].clone(), it["path"].clone())).collect();
    assert!(paths.contains(&(json!("replace"), json!("/spec/template/spec/containers"))), "{paths:?}");
    assert_eq!(paths.len(), 3, "{paths:?}");
}

#[test]
fn what_a_server_without_the_feature_drops_is_no_difference() {
    let driver = |spec: Value| json!({"apiVersion": "storage.k8s.io/v1", "kind": "CSIDriver", "metadata": {"name": "d"}, "spec": spec});
    let document = driver(json!({"nodeAllocatableUpdatePeriodSeconds": 10, "attachRequired": true}));
    let paths = |spec: Value| {
        let found = compare(&document, &driver(spec), &Schemas::default(), &[]).differences;
        found.into_iter().map(|difference| difference.field.path).collect::<Vec<_>>()
    };
    assert_eq!(paths(json!({"attachRequired": true})), [""; 0]);
    assert_eq!(
        paths(json!({"attachRequired": true, "nodeAllocatableUpdatePeriodSeconds": 60})),
        ["spec.nodeAllocatableUpdatePeriodSeconds"]
    );
}
