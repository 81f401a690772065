//! What each state of a release leads to.

use super::*;
use crate::helm_writer::Writer;
use crate::plan::Action;
use crate::read::chart::{ChartRef, ChartSource};
use serde_json::json;

const CLUSTER: &str = "arn:aws:eks:eu-west-1:111122223333:cluster/demo";

pub(in crate::steps) fn step(adopt: bool) -> ReleaseStep {
    ReleaseStep {
        id: StepId::new("helm.ebs"),
        needs: Vec::new(),
        after: Vec::new(),
        release: ReleaseSpec {
            name: "x".to_owned(),
            namespace: "n".to_owned(),
            chart: ChartRef {
                name: "x".to_owned(),
                version: "2.0.0".to_owned(),
                source: ChartSource::Folder("charts".into()),
                digest: None,
            },
            values: json!({"a": {"b": 1}}),
            timeout_seconds: 600,
            cluster_arn: CLUSTER.to_owned(),
            take_ownership: false,
        },
        images: Vec::new(),
        guarded_objects: Vec::new(),
        addon: None,
        addon_flag: Some("ebs"),
        insists: false,
        role_arn: Some("arn:r".to_owned()),
        account: None,
        component: "x".to_owned(),
        adopt,
        trusted: Some("a".to_owned()),
        recreate: BTreeSet::new(),
        seen: Seen::default(),
        ignore_drift: Vec::new(),
    }
}

pub(in crate::steps) fn revision(revision: u64, status: &str) -> Release {
    Release {
        revision,
        status: status.to_owned(),
        chart: "x".to_owned(),
        chart_version: "2.0.0".to_owned(),
        values: json!({"a": {"b": 1}}),
        objects: Vec::new(),
        documents: Vec::new(),
        hooks: Vec::new(),
        crds: Vec::new(),
        has_parts: false,
        changed_at: 0,
        writer: Writer::Unknown,
        app_version: "v1.2.3".to_owned(),
        our_cluster: Some(cluster_label(CLUSTER)),
        adopted: false,
        record: "sh.helm.release.v1.x.v1".to_owned(),
    }
}

pub(super) fn observed(history: Vec<Release>) -> Observed {
    let rollout = Rollout { ready: true, ..Rollout::default() };
    Observed {
        history,
        missing: Vec::new(),
        live: BTreeMap::new(),
        content: Content::default(),
        account: None,
        accounts: Vec::new(),
        rollout,
        hooks: Vec::new(),
        foreign: Vec::new(),
        addon: None,
        denied: Vec::new(),
        now: 10_000,
    }
}

fn outcome(step: &ReleaseStep, observed: &Observed) -> (Action, Vec<String>) {
    let assessment = step.diff(observed);
    (assessment.action, assessment.changes.iter().map(|change| change.op.call()).collect())
}

const UP: &str = "helm:upgrade";
const BACK: &str = "helm:rollback";
const OUT: &str = "helm:uninstall";

/// Name, records, whether adopting, and what follows.
type Case = (&'static str, Vec<Release>, bool, Action, &'static [&'static str]);

#[test]
fn every_state_has_its_way_on() {
    let older = |mut release: Release| {
        release.chart_version = "1.0.0".to_owned();
        release
    };
    let foreign = |mut release: Release| {
        release.our_cluster = None;
        release
    };
    let ahead = |mut release: Release| {
        release.changed_at = 99_999;
        release
    };
    let young = |mut release: Release| {
        release.changed_at = 9_900;
        release
    };
    let values = |mut release: Release, values: Value| {
        release.values = values;
        release
    };
    let by = |writer: Writer, mut release: Release| {
        release.writer = writer;
        release
    };
    let (gone, alive) = (Writer::Gone, Writer::Alive(7));
    let deployed = || revision(1, "deployed");
    let cases: [Case; 23] = [
        ("absent", vec![], false, Action::Create, &[UP]),
        ("as wanted", vec![revision(1, "deployed")], false, Action::Keep, &[]),
        ("older chart", vec![older(revision(1, "deployed"))], false, Action::Update, &[UP]),
        ("other values", vec![values(revision(1, "deployed"), json!({"a": {}}))], false, Action::Update, &[UP]),
        (
            "a value too many",
            vec![values(revision(1, "deployed"), json!({"a": {"b": 1}, "c": 1}))],
            false,
            Action::Update,
            &[UP],
        ),
        ("failed", vec![revision(1, "failed")], false, Action::Update, &[UP]),
        ("first install interrupted", vec![revision(1, "pending-install")], false, Action::Update, &[OUT, UP]),
        ("helm may be at work", vec![young(revision(1, "pending-install"))], false, Action::Blocked, &[]),
        (
            "helm died installing",
            vec![young(by(gone, revision(1, "pending-install")))],
            false,
            Action::Update,
            &[OUT, UP],
        ),
        (
            "helm died upgrading",
            vec![young(by(gone, revision(2, "pending-upgrade"))), deployed()],
            false,
            Action::Update,
            &[BACK],
        ),
        ("helm lives for ever", vec![by(alive, revision(1, "pending-install"))], false, Action::Blocked, &[]),
        ("rolling back", vec![young(revision(3, "pending-rollback")), deployed()], false, Action::Blocked, &[]),
        ("rollback left", vec![revision(3, "pending-rollback"), deployed()], false, Action::Update, &[BACK]),
        ("uninstalling", vec![young(revision(1, "uninstalling"))], false, Action::Blocked, &[]),
        ("of a clock that is ahead", vec![ahead(revision(1, "pending-install"))], false, Action::Blocked, &[]),
        (
            "upgrade interrupted",
            vec![revision(2, "pending-upgrade"), revision(1, "deployed")],
            false,
            Action::Update,
            &[BACK],
        ),
        (
            "upgrade from an older chart interrupted",
            vec![revision(2, "pending-upgrade"), older(revision(1, "deployed"))],
            false,
            Action::Update,
            &[BACK, UP],
        ),
        (
            "upgrade after a failure interrupted",
            vec![revision(2, "pending-upgrade"), revision(1, "failed")],
            false,
            Action::Update,
            &[OUT, UP],
        ),
        ("uninstall interrupted", vec![revision(1, "uninstalling")], false, Action::Update, &[OUT, UP]),
        ("foreign but right", vec![foreign(revision(1, "deployed"))], false, Action::Keep, &[]),
        ("foreign and older", vec![older(foreign(revision(1, "deployed")))], false, Action::Blocked, &[]),
        ("foreign, adopted", vec![older(foreign(revision(1, "deployed")))], true, Action::Update, &[UP]),
        ("uninstalled, history kept", vec![revision(1, "uninstalled")], false, Action::Update, &[UP]),
    ];
    for (name, history, adopt, action, calls) in cases {
        let (found, made) = outcome(&step(adopt), &observed(history));
        assert_eq!((found, made), (action, calls.iter().map(|call| (*call).to_owned()).collect()), "{name}");
    }
}

#[test]
fn objects_deleted_by_hand_are_a_difference() {
    let missing = vec![ObjectRef::new("v1", "ServiceAccount", "n", "gone")];
    let observed = Observed { missing, ..observed(vec![revision(1, "deployed")]) };
    assert_eq!(outcome(&step(false), &observed), (Action::Update, vec!["helm:upgrade".to_owned()]));
}

#[test]
fn an_addon_is_used_where_its_role_is_right() {
    let with = |role_arn: Option<&str>| {
        let role_arn = role_arn.map(ToOwned::to_owned);
        let addon = Addon { version: "v1".to_owned(), status: "ACTIVE".to_owned(), role_arn, ..Addon::default() };
        step(false).diff(&Observed { addon: Some(addon), ..observed(vec![]) })
    };
    assert_eq!(with(Some("arn:r")).action, Action::Keep);
    assert_eq!(with(Some("arn:other")).mend.as_deref(), Some("--ebs-role-arn arn:other"));
    assert_eq!(with(None).action, Action::Blocked);
}

#[test]
fn secrets_in_values_are_hidden() {
    let shown = |before, after| {
        let fields = value_diff(&before, &after);
        fields.into_iter().map(|field| (field.path, field.before, field.after)).collect::<Vec<_>>()
    };
    let hidden = Some("(hidden)".to_owned());
    assert_eq!(
        shown(json!({"db": {"password": "a"}}), json!({"db": {"password": "b"}})),
        [("values.db.password".to_owned(), hidden, Some("(hidden, changed)".to_owned()))]
    );
    let flag = shown(json!({}), json!({"keepTLSSecret": true}));
    assert_eq!(flag, [("values.keepTLSSecret".to_owned(), None, Some("true".to_owned()))]);
}
