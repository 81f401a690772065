use super::*;
use crate::owner::OUR_NAME;
use crate::plan::Action;
use serde_json::json;

const CLUSTER: &str = "arn:aws:eks:eu-west-1:111122223333:cluster/demo";
const ROLE: &str = "arn:aws:iam::111122223333:role/driver";

fn step() -> AddonStep {
    AddonStep {
        id: StepId::new("eks.addon.ebs"),
        needs: Vec::new(),
        after: Vec::new(),
        cluster: "demo".to_owned(),
        cluster_arn: CLUSTER.to_owned(),
        kubernetes_version: "1.35".to_owned(),
        name: "aws-ebs-csi-driver".to_owned(),
        version: None,
        role_arn: Some(ROLE.to_owned()),
        configuration: json!({"controller": {"replicaCount": 2}}),
        tags: ours(),
        release: ("kube-system".to_owned(), "aws-ebs-csi-driver".to_owned()),
        flag: "ebs",
        objects: Vec::new(),
        adopt: false,
    }
}

fn ours() -> Tags {
    Tags::from([(tags::MANAGED_BY.to_owned(), OUR_NAME.to_owned()), (tags::CLUSTER.to_owned(), CLUSTER.to_owned())])
}

fn addon(change: impl FnOnce(&mut Addon)) -> Addon {
    let mut addon = Addon {
        arn: "arn:addon".to_owned(),
        version: "v1.64.0-eksbuild.1".to_owned(),
        status: "ACTIVE".to_owned(),
        role_arn: Some(ROLE.to_owned()),
        // YAML and in another order: the same meaning.
        configuration: Some("controller:\n  replicaCount: 2\n".to_owned()),
        issues: Vec::new(),
        tags: ours(),
    };
    change(&mut addon);
    addon
}

fn offers() -> Vec<AddonOffer> {
    [("v1.65.0-eksbuild.1", false), ("v1.64.0-eksbuild.1", true), ("v1.9.0-eksbuild.1", false)]
        .map(|(version, default)| AddonOffer { version: version.to_owned(), default })
        .to_vec()
}

fn found(step: &AddonStep, addon: Option<Addon>) -> Assessment {
    step.diff(&Observed { addon, offers: offers(), ..Observed::default() }).unwrap()
}

fn calls(assessment: &Assessment) -> Vec<String> {
    assessment.changes.iter().map(|change| change.op.call()).collect()
}

#[test]
fn every_field_is_compared_by_its_meaning() {
    type Break = fn(&mut Addon);
    let cases: [(&str, Break, Action, &[&str]); 11] = [
        ("as wanted", |_| {}, Action::Keep, &[]),
        ("a newer one", |it| it.version = "v1.65.0-eksbuild.1".to_owned(), Action::Keep, &[]),
        ("an older one", |it| it.version = "v1.9.0-eksbuild.1".to_owned(), Action::Update, &["version"]),
        ("one that does not fit", |it| it.version = "v1.70.0-eksbuild.1".to_owned(), Action::Update, &["version"]),
        ("no role", |it| it.role_arn = None, Action::Update, &["serviceAccountRoleArn"]),
        (
            "other values",
            |it| it.configuration = Some(r#"{"controller":{"replicaCount":3},"a":1}"#.to_owned()),
            Action::Update,
            &["configuration.a", "configuration.controller.replicaCount"],
        ),
        ("no values", |it| it.configuration = None, Action::Update, &["configuration.controller.replicaCount"]),
        ("a tag is gone", |it| drop(it.tags.remove(tags::CLUSTER)), Action::Update, &["tags.eks-bootstrap/cluster"]),
        ("being made", |it| it.status = "CREATING".to_owned(), Action::Unknown, &[]),
        ("degraded", |it| it.status = "DEGRADED".to_owned(), Action::Unknown, &[]),
        ("failed", |it| it.status = "UPDATE_FAILED".to_owned(), Action::Update, &["status"]),
    ];
    for (name, change, action, paths) in cases {
        let assessment = found(&step(), Some(addon(change)));
        let fields = assessment.changes.iter().flat_map(|change| &change.fields).map(|field| field.path.as_str());
        assert_eq!((assessment.action, fields.collect::<Vec<_>>()), (action, paths.to_vec()), "{name}");
    }
}

#[test]
fn objects_that_are_gone_and_conflicts_take_an_update() {
    let plugin = ObjectRef::new("apps/v1", "DaemonSet", "kube-system", "ebs-csi-node");
    let without = |change: fn(&mut Addon)| {
        let observed = Observed { addon: Some(addon(change)), absent: vec![plugin.clone()], ..Observed::default() };
        step().diff(&Observed { offers: offers(), ..observed }).unwrap()
    };
    let again = without(|_| {});
    assert_eq!(
        (again.reason.as_str(), calls(&again)),
        ("DaemonSet/kube-system/ebs-csi-node differs", vec!["eks:UpdateAddon".to_owned()])
    );
    assert_eq!(without(|it| it.status = "CREATING".to_owned()).action, Action::Unknown);
    let conflict = |it: &mut Addon| {
        it.status = "DEGRADED".to_owned();
        it.issues = vec!["ConfigurationConflict: DaemonSet ebs-csi-node".to_owned()];
    };
    assert_eq!(found(&step(), Some(addon(conflict))).action, Action::Unknown);
    let taken = found(&AddonStep { adopt: true, ..step() }, Some(addon(conflict)));
    assert_eq!(calls(&taken), ["eks:UpdateAddon"]);
}

#[test]
fn the_version_is_the_users_or_the_default_and_has_to_fit() {
    let assessment = found(&step(), None);
    assert_eq!(
        (assessment.reason.as_str(), calls(&assessment)),
        ("add-on v1.64.0-eksbuild.1", vec!["eks:CreateAddon".to_owned()])
    );
    let named = AddonStep { version: Some("v1.9.0-eksbuild.1".to_owned()), ..step() };
    assert_eq!(found(&named, Some(addon(|_| {}))).action, Action::Update, "an older one that is asked for");
    let unknown = AddonStep { version: Some("v9.0.0-eksbuild.1".to_owned()), ..step() };
    let error = unknown.diff(&Observed { offers: offers(), ..Observed::default() }).unwrap_err();
    assert!(error.to_string().contains("does not offer aws-ebs-csi-driver v9.0.0-eksbuild.1 for Kubernetes 1.35"));
    assert!(step().diff(&Observed::default()).unwrap_err().to_string().contains("offers no version"));
}

#[test]
fn what_others_installed_is_used_blocked_or_adopted() {
    let foreign = |it: &mut Addon| it.tags = Tags::new();
    let other = |it: &mut Addon| {
        it.tags = Tags::new();
        it.role_arn = None;
    };
    assert_eq!(found(&step(), Some(addon(foreign))).action, Action::Keep);
    let blocked = found(&step(), Some(addon(other)));
    assert_eq!((blocked.action, blocked.mend.as_deref()), (Action::Blocked, Some("--adopt eks.addon.ebs")));
    let adopting = AddonStep { adopt: true, ..step() };
    let adopted = found(&adopting, Some(addon(other)));
    assert_eq!(calls(&adopted), ["eks:UpdateAddon", "eks:TagResource"]);
    let Op::Eks(EksOp::UpdateAddon { resolve_conflicts, .. }) = &adopted.changes[0].op else { panic!("{adopted:?}") };
    assert_eq!(resolve_conflicts.as_deref(), Some("OVERWRITE"));

    let of = |step: &AddonStep, owner: Owner| {
        let foreign = vec![(ObjectRef::new("apps/v1", "Deployment", "kube-system", "ebs-csi-controller"), owner)];
        step.diff(&Observed { foreign, offers: offers(), ..Observed::default() }).unwrap().action
    };
    assert_eq!(of(&step(), Owner::Unmarked), Action::Blocked);
    assert_eq!(of(&adopting, Owner::Unmarked), Action::Create);
    assert_eq!(of(&step(), Owner::EksAddon), Action::Create, "left behind by an add-on");
}

#[test]
fn every_state_has_its_end() {
    let adopted = |it: &mut Addon| drop(it.tags.insert(tags::ADOPTED_FROM.to_owned(), "x".to_owned()));
    let of = |addon: Option<Addon>| {
        let assessment = step().absent_diff(addon.as_ref());
        (assessment.action, calls(&assessment))
    };
    assert_eq!(of(None), (Action::Keep, vec![]));
    assert_eq!(of(Some(addon(|_| {}))), (Action::Delete, vec!["eks:DeleteAddon".to_owned()]));
    assert_eq!(of(Some(addon(|it| it.status = "DELETING".to_owned()))).0, Action::Unknown);
    assert_eq!(of(Some(addon(adopted))), (Action::Update, vec!["eks:UntagResource".to_owned()]));
    assert_eq!(of(Some(addon(|it| it.tags.clear()))), (Action::Skip, vec![]));
}
