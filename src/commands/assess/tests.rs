//! What an incomplete plan still allows.

use super::*;
use crate::error::KubeError;
use crate::plan::ResourceId;

fn step(id: &'static str, needs: &[&'static str], assessment: Assessment) -> PlannedStep {
    PlannedStep {
        id: StepId::new(id),
        needs: needs.iter().map(|need| StepId::new(need)).collect(),
        after: Vec::new(),
        resource: ResourceId(String::new()),
        held_by: None,
        assessment,
    }
}

#[test]
fn what_needs_an_unknown_step_is_held_however_far_behind_it_comes() {
    let mut steps = [
        step("a", &[], Assessment::unknown("")),
        step("b", &[], Assessment::create("", vec![])),
        step("c", &["a"], Assessment::keep("")),
        step("d", &["c", "b"], Assessment::update("", vec![])),
        step("e", &["d"], Assessment::prove("")),
        step("f", &["b"], Assessment::create("", vec![])),
    ];
    hold_back(&mut steps);
    let held: Vec<_> = steps.iter().map(|step| step.held_by.as_ref().map_or("-", StepId::as_str)).collect();
    assert_eq!(held, ["-", "-", "-", "a", "a", "-"]);
}

fn kube(status: u16) -> Error {
    let (operation, message) = ("get Service/n/x".to_owned(), "no".to_owned());
    Error::Kube(KubeError { operation, status: Some(status), reason: String::new(), message })
}

#[test]
fn denials_keep_only_what_needs_them_and_lost_credentials_keep_everything() {
    let chart = || Error::Refused { what: "another chart".to_owned(), mend: String::new() };
    let cases = [
        (vec![], None),
        (vec![kube(403)], None),
        (vec![kube(500)], None),
        (vec![kube(403), kube(401)], Some(77)),
        (vec![kube(403), chart()], Some(4)),
        (vec![chart(), Error::Credentials { source: "expired".into() }], Some(77)),
    ];
    for (errors, code) in cases {
        let shown = format!("{errors:?}");
        let target = crate::context::tests::facts().target();
        let plan = Plan { goal: Goal::Present, target, steps: Vec::new(), diagnostics: Vec::new() };
        let mut assessed = Assessed { plan, steps: BTreeMap::new(), errors };
        assert_eq!(runnable(&mut assessed).err().map(|error| error.exit_code()), code, "{shown}");
    }
}

#[test]
fn the_error_that_explains_most_is_told() {
    let mut errors = vec![kube(500), kube(403), kube(401)];
    assert!(worst(&mut errors).bad_credentials());
    assert!(worst(&mut errors).denied());
}

#[test]
fn only_objects_of_the_same_kind_could_be_meant() {
    let known = BTreeSet::from([("Deployment", "metrics-server"), ("Role", "metrics-server-x"), ("Role", "lbc")]);
    assert_eq!(recreatable("deployment/metric-server", &known), "did you mean `Deployment/metrics-server`?");
    assert_eq!(recreatable("Deployment/zzz", &known), "its Deployment objects are metrics-server");
    assert_eq!(recreatable("Service/metrics-server", &known), "name an object of these kinds: Deployment, Role");
    assert_eq!(recreatable("Service/x", &BTreeSet::new()), "leave it out: this plan has no chart to install");
}
