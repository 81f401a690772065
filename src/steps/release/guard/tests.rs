//! What is in the way of an upgrade, and what is made of it.

use super::super::tests::{observed, revision, step};
use super::*;
use serde_json::json;

fn account(name: &str) -> ObjectRef {
    ObjectRef::new("v1", "ServiceAccount", "n", name)
}

fn foreign(owners: Vec<Owner>) -> InTheWay {
    let objects = owners.into_iter().enumerate().map(|(place, owner)| (account(&format!("a{place}")), owner));
    InTheWay { foreign: objects.collect(), ..InTheWay::default() }
}

fn install(adopt: bool, found: &InTheWay) -> Assessment {
    let step = step(adopt);
    step.unless(step.diff(&observed(vec![])), found)
}

fn takes_ownership(assessment: &Assessment) -> bool {
    let mut upgrades = assessment.changes.iter().filter_map(|change| match &change.op {
        Op::Helm(HelmOp::Upgrade { release }) => Some(release.take_ownership),
        _ => None,
    });
    upgrades.any(|takes| takes)
}

#[test]
fn objects_of_others_are_not_installed_over() {
    let eksctl = || Owner::Eksctl { stack: None };
    let blocked = install(false, &foreign(vec![eksctl(); 6]));
    assert_eq!(blocked.action, Action::Blocked);
    let names = "ServiceAccount/n/a0, ServiceAccount/n/a1, ServiceAccount/n/a2, ServiceAccount/n/a3 and 2 more";
    assert_eq!(blocked.reason, format!("{names} exist without this release, owned by eksctl"));
    assert_eq!(blocked.mend.as_deref(), Some("--adopt helm.ebs"));
    let adopted = install(true, &foreign(vec![eksctl()]));
    assert_eq!((adopted.action, takes_ownership(&adopted)), (Action::Create, true));
    assert!(adopted.reason.ends_with("1 object taken over from eksctl"), "{}", adopted.reason);
    // One object of an add-on among others is enough: EKS would put it back.
    assert_eq!(install(true, &foreign(vec![eksctl(), Owner::EksAddon])).action, Action::Blocked);
    assert!(!takes_ownership(&install(false, &InTheWay::default())));
}

#[test]
fn a_release_whose_record_is_gone_is_not_called_another() {
    let own = install(false, &foreign(vec![Owner::Helm { release: "n/x".to_owned() }]));
    assert!(own.reason.ends_with("exists without this release, owned by Helm release n/x, whose record is gone"));
}

/// What Flux would be, with its record in its own namespace.
fn flux(stopped: bool) -> InTheWay {
    let labels = json!({"helm.toolkit.fluxcd.io/name": "x", "helm.toolkit.fluxcd.io/namespace": "flux-system"});
    let object = json!({"metadata": {"name": "a", "labels": labels}});
    let other = OtherManager::example(&object, "x 1.0.0, deployed", stopped);
    InTheWay { others: vec![other], ..foreign(vec![Owner::Unmarked, owner::of_object(&object)]) }
}

#[test]
fn flux_is_named_with_its_record_and_has_to_stop_before_it_is_adopted() {
    for adopt in [false, true] {
        let blocked = install(adopt, &flux(false));
        assert_eq!(blocked.action, Action::Blocked);
        let by = "owned by Flux (HelmRelease flux-system/x): Helm release aws-ebs-csi-driver, recorded in namespace flux-system";
        assert!(blocked.reason.contains(by), "{}", blocked.reason);
        assert!(matches!(blocked.owner, Some(Owner::Flux { .. })));
        let mend = blocked.mend.unwrap();
        assert!(
            mend.starts_with("--adopt helm.ebs once it is stopped (`flux suspend helmrelease x -n flux-system`)"),
            "{mend}"
        );
        assert!(mend.ends_with("or --disable x to leave it there"), "{mend}");
    }
    let adopted = install(true, &flux(true));
    assert_eq!((adopted.action, takes_ownership(&adopted)), (Action::Create, true));
    let warning = adopted.changes[0].fields.iter().find(|field| field.path == "warning").unwrap();
    assert!(warning.after.as_deref().unwrap().starts_with("a second record of Flux's stays, flux-system/"));
}

/// An object that exists, with the marks of a release.
fn marked(reference: &ObjectRef, release: Option<&str>) -> Value {
    let annotations = release
        .map_or(json!({}), |name| json!({"meta.helm.sh/release-name": name, "meta.helm.sh/release-namespace": "n"}));
    let labels = if release.is_some() { json!({"app.kubernetes.io/managed-by": "Helm"}) } else { json!({}) };
    json!({"apiVersion": reference.api_version, "kind": reference.kind,
        "metadata": {"name": reference.name, "namespace": "n", "labels": labels, "annotations": annotations}})
}

#[test]
fn every_object_counts_but_those_that_the_release_knows() {
    let found = |history, desired: &[(ObjectRef, Value)], live: Vec<Value>| {
        let live = live.into_iter().map(|object| (ObjectRef::of(&object), object)).collect();
        let found = step(false).in_the_way(&observed(history), desired, &live);
        found.foreign.into_iter().map(|(reference, _)| reference.name).collect::<Vec<_>>()
    };
    let desired =
        |names: &[&str]| -> Vec<_> { names.iter().map(|name| (account(name), marked(&account(name), None))).collect() };
    let all = desired(&["known", "ours", "new", "absent"]);
    let live = || {
        vec![
            marked(&account("known"), None),
            marked(&account("ours"), Some("x")),
            marked(&account("new"), Some("other")),
        ]
    };
    let mut record = revision(1, "deployed");
    record.objects = vec![account("known")];
    // An object that only a new version of the chart brings is looked at, too.
    assert_eq!(found(vec![record], &all, live()), ["new"]);
    assert_eq!(found(vec![], &all, live()), ["known", "ours", "new"]);
    let mut stays = desired(&["ours"]);
    stays[0].1["metadata"]["annotations"] = json!({"helm.sh/resource-policy": "keep"});
    assert_eq!(found(vec![], &stays, live()), Vec::<String>::new(), "it was left when the release went");
}

#[test]
fn a_chart_whose_pods_run_as_another_account_is_not_installed() {
    let pods = |name: &str, account: &str| {
        let reference = ObjectRef::new("apps/v1", "Deployment", "n", name);
        let spec = json!({"template": {"spec": {"serviceAccountName": account, "containers": []}}});
        (reference, json!({"kind": "Deployment", "spec": spec}))
    };
    let found = |desired: &[(ObjectRef, Value)]| step(false).blocked_by_account(desired).map(|it| it.reason);
    assert_eq!(found(&[pods("x", "a"), pods("y", "b")]), None);
    assert_eq!(found(&[]), None);
    let wrong = found(&[pods("x", "mine"), pods("y", "")]).unwrap();
    assert_eq!(wrong, "its pods run as service account default, mine, but the role trusts a only");
}

fn fixed(kind: &str, name: &str) -> (ObjectRef, Vec<FieldDiff>) {
    let field = FieldDiff::new("spec.selector", r#"{"a":1}"#.to_owned(), r#"{"a":2}"#.to_owned());
    (ObjectRef::new("apps/v1", kind, "n", name), vec![field])
}

#[test]
fn fields_that_cannot_be_changed_block_the_step_and_are_named() {
    let found = InTheWay { fixed: vec![fixed("Deployment", "a"), fixed("DaemonSet", "b")], ..InTheWay::default() };
    let step = step(false);
    let kept = step.diff(&observed(vec![revision(1, "deployed")]));
    assert_eq!(kept.action, Action::Keep);
    let blocked = step.unless(kept, &found);
    assert_eq!(blocked.action, Action::Blocked);
    let reason = r#"Deployment/n/a: spec.selector ({"a":1} -> {"a":2}) cannot be changed in place; also DaemonSet/n/b"#;
    assert_eq!(blocked.reason, reason);
    let mend = blocked.mend.unwrap();
    assert!(mend.starts_with("--recreate Deployment/a --recreate DaemonSet/b, which deletes it first"), "{mend}");
    // A release that is removed and installed anew creates everything again.
    let anew = step.diff(&observed(vec![revision(1, "pending-install")]));
    assert_eq!(step.unless(anew, &found).action, Action::Update);
}

#[test]
fn exactly_the_named_object_is_deleted_and_helm_creates_it() {
    let found = InTheWay { fixed: vec![fixed("Deployment", "a")], ..InTheWay::default() };
    let mut step = step(false);
    step.recreate.insert("deployment/a".to_owned());
    let mut older = revision(1, "deployed");
    older.chart_version = "1.0.0".to_owned();
    for (history, action) in
        [(vec![revision(1, "deployed")], Action::Update), (vec![older], Action::Update), (vec![], Action::Create)]
    {
        let assessment = step.unless(step.diff(&observed(history)), &found);
        let calls: Vec<_> = assessment.changes.iter().map(|change| change.op.call()).collect();
        assert_eq!(
            (assessment.action, calls.as_slice()),
            (action, ["k8s:delete Deployment", "helm:upgrade"].map(str::to_owned).as_slice())
        );
        assert!(assessment.reason.contains("Deployment/n/a recreated"), "{}", assessment.reason);
        let told: Vec<_> = assessment.changes[0].fields.iter().map(|field| field.path.as_str()).collect();
        assert_eq!(told, ["spec.selector", "consequence"]);
    }
    let two = InTheWay { fixed: vec![fixed("Deployment", "a"), fixed("Deployment", "b")], ..InTheWay::default() };
    let left = step.unless(step.diff(&observed(vec![revision(1, "deployed")])), &two);
    assert_eq!(left.action, Action::Blocked, "the other one is not named");
    assert!(left.reason.starts_with("Deployment/n/b"), "{}", left.reason);
}

#[test]
fn what_the_user_leaves_to_others_does_not_count_as_fixed() {
    let (object, _) = fixed("Deployment", "a");
    let left = |path: &str| left_to_others(&[format!("{object} spec.selector.matchLabels.app")], &object, path);
    assert!(left("spec.selector") && left("spec.selector.matchLabels.app"));
    assert!(!left("spec.select") && !left("spec.strategy") && !left_to_others(&[], &object, "spec.selector"));
}
