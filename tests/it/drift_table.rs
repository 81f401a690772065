//! All rows of drift in one place, for the table of the README: what was changed behind our back, which step finds it, and
//! with which calls it is mended. The rows are those that the tests break, plan, mend and plan again.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::drift::Drift;
use crate::{
    addon, components, drift, drift_content, drift_options, node_role, own_components, pod_identity, policies_of_choice,
};

/// Every row, by what it is about.
fn rows() -> Vec<(&'static str, Vec<Drift>)> {
    vec![
        ("by default", [&drift::IAM_AND_KUBERNETES[..], &drift::HELM].concat()),
        ("what an object of a chart holds", drift_content::DRIFTS.to_vec()),
        ("`--identity pod-identity`", pod_identity::DRIFTS.to_vec()),
        ("`--ebs-managed-by eks-addon`", addon::DRIFTS.to_vec()),
        ("`--enable metrics-server`, `--enable gp3-storage-class`", components::DRIFTS.to_vec()),
        ("`--lbc-policy`, `--ebs-policy`", policies_of_choice::DRIFTS.to_vec()),
        ("`-f examples/own-components.yaml`", own_components::DRIFTS.to_vec()),
        ("`--attach-node-role`", vec![node_role::DRIFT]),
        (
            "boundary, tags, `--kms-key`, `--image-registry`",
            [&drift_options::IN_AWS[..], &drift_options::OF_HELM].concat(),
        ),
    ]
}

/// The table as the README shows it.
pub(crate) fn table() -> String {
    let mut text = "| drift | step | calls that mend it |\n|---|---|---|\n".to_owned();
    for (options, drifts) in rows() {
        let _ = writeln!(text, "| *{options}* | | |");
        for (drift, steps) in drifts {
            let of = |each: fn(&(&str, &[&str])) -> String| steps.iter().map(each).collect::<Vec<_>>().join("; ");
            let calls = of(|(_, calls)| calls.iter().map(|call| format!("`{call}`")).collect::<Vec<_>>().join(", "));
            let _ = writeln!(text, "| {drift} | {} | {calls} |", of(|(step, _)| format!("`{step}`")));
        }
    }
    text
}

#[test]
fn every_row_names_steps_that_exist_and_every_step_that_makes_something_has_a_row() {
    let built_in: BTreeSet<_> = eks_bootstrap::steps::ids(&eks_bootstrap::component::BUILT_IN).into_iter().collect();
    let mut drifts = BTreeSet::new();
    let mut found = BTreeSet::new();
    for (options, rows) in rows() {
        for (drift, steps) in rows {
            assert!(drifts.insert((options, drift)), "{drift} twice");
            for (step, calls) in steps {
                let own = ["dns", "efs"].iter().any(|short| step.ends_with(short));
                assert!((own || built_in.contains(*step)) && !calls.is_empty(), "{drift}: {step}");
                found.insert((*step).to_owned());
            }
        }
    }
    // Kinds of steps whose object is the same for every component need one row; proofs and drains make nothing, and a former
    // trust is the subject of `migrate`.
    let kind = |id: &str| id.rsplit_once('.').map_or(id, |(kind, _)| kind).to_owned();
    let kinds: BTreeSet<_> = found.iter().map(|id| kind(id)).collect();
    let makes = |id: &&String| !["proof", "drain", "iam.trust"].iter().any(|nothing| id.starts_with(nothing));
    for id in built_in.iter().filter(makes) {
        assert!(kinds.contains(&kind(id)), "{id} has no row:\n{}", table());
    }
}

/// The README shows the rows as they are tested.
#[test]
fn the_readme_shows_every_row() {
    let table = table();
    assert!(include_str!("../../README.md").contains(&table), "write this under a heading of the README:\n{table}");
}
