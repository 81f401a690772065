//! The customer managed policy of a component: whether the version in force means what it should, and whether it has what the
//! installed version of the controller calls.

use std::collections::BTreeSet;

use semver::Version;

use super::{ATTACHED, COVERS, MEANING, Wanted};
use crate::check::Finding;
use crate::component::Component;
use crate::context::ReadContext;
use crate::error::Result;
use crate::names;
use crate::owner;
use crate::policy::{self, Document};
use crate::read::iam::{ManagedPolicy, PolicyVersion};
use crate::read::release;
use crate::versions;

/// How many versions IAM keeps of a policy.
const VERSION_LIMIT: usize = 5;

/// What there is.
pub(super) struct Observed {
    wanted: Document,
    policy: Result<Option<InForce>>,
    /// The version of the software that is installed, as the chart says it; none where no release is.
    app_version: Result<Option<String>>,
}

struct InForce {
    policy: ManagedPolicy,
    document: Document,
    /// All versions, newest first; only read where the document is not the wanted one.
    versions: Vec<PolicyVersion>,
}

/// Reads; none for a component whose policy AWS looks after, or where no document is known for the partition.
pub(super) async fn read(cx: &ReadContext, wanted: &Wanted) -> Option<Observed> {
    let component = &wanted.component;
    let document = wanted.document.clone()?;
    let (policy, history) = tokio::join!(
        in_force(cx, &wanted.policies[0], &document),
        release::history(&cx.kube, component.namespace, component.name)
    );
    let app_version = history.map(|history| history.into_iter().next().map(|release| release.app_version));
    Some(Observed { wanted: document, policy, app_version })
}

async fn in_force(cx: &ReadContext, arn: &str, wanted: &Document) -> Result<Option<InForce>> {
    let Some(policy) = cx.iam.policy(arn).await? else { return Ok(None) };
    let Some(document) = cx.iam.policy_document(arn, &policy.default_version).await? else { return Ok(None) };
    let same = policy::same_meaning(&document, wanted);
    let versions = if same { Vec::new() } else { cx.iam.policy_versions(arn).await? };
    Ok(Some(InForce { policy, document, versions }))
}

/// Whether the policy for the KMS keys says what it should; none where there are no keys.
pub(super) async fn of_keys(cx: &ReadContext, wanted: &Wanted) -> Option<Finding> {
    let (arn, document) = (wanted.keys.as_ref()?, wanted.key_document.as_ref()?);
    let found = match in_force(cx, arn, document).await {
        Ok(Some(found)) => found,
        Ok(None) => return Some(MEANING.skipped(format!("needs {}", ATTACHED.id))),
        Err(error) => return Some(MEANING.unread(&error)),
    };
    let version = &found.policy.default_version;
    if policy::same_meaning(&found.document, document) {
        return Some(MEANING.passed(format!("version {version} is in force and says what it should")));
    }
    let step = format!("iam.policy.{}-kms", wanted.component.short);
    let adopt = if owner::of_tags(&found.policy.tags, &wanted.cluster_arn).is_ours() {
        String::new()
    } else {
        format!(" --adopt {step}")
    };
    Some(MEANING.failed(
        format!("version {version} is in force and says something else"),
        differences(&found.document, document),
        format!("the {} actions on the configured keys", actions(document).len()),
        format!("eks-bootstrap apply --only {step}{adopt}{}", wanted.flags),
    ))
}

pub(super) fn findings(wanted: &Wanted, observed: Option<&Observed>) -> Vec<Finding> {
    let Some(observed) = observed else { return Vec::new() };
    vec![meaning(wanted, observed), covers(wanted, observed)]
}

fn meaning(wanted: &Wanted, observed: &Observed) -> Finding {
    let name = names::last_part(&wanted.policies[0]);
    let found = match &observed.policy {
        Ok(Some(found)) => found,
        Ok(None) => {
            let says = format!("policy {name} does not exist");
            return MEANING.failed(says, "no such policy", wanted.policies[0].clone(), wanted.make_and_attach());
        }
        Err(error) => return MEANING.unread(error),
    };
    let version = &found.policy.default_version;
    if policy::same_meaning(&found.document, &observed.wanted) {
        return MEANING.passed(format!("version {version} is in force and says what it should"));
    }
    let full = found.versions.len() >= VERSION_LIMIT;
    let oldest = found.versions.iter().rev().find(|version| !version.default).filter(|_| full);
    let pruned = oldest.map(|oldest| format!("; all five versions are used, apply deletes {}", oldest.id));
    MEANING.failed(
        format!("version {version} is in force and says something else"),
        format!("{}{}", differences(&found.document, &observed.wanted), pruned.unwrap_or_default()),
        format!("the {} actions of {}", actions(&observed.wanted).len(), wanted.component.title),
        mend(wanted, &found.policy),
    )
}

fn mend(wanted: &Wanted, policy: &ManagedPolicy) -> String {
    let command = format!("{}{}", super::super::apply_only(&wanted.component, &["iam.policy"]), wanted.flags);
    if owner::of_tags(&policy.tags, &wanted.cluster_arn).is_ours() {
        command
    } else {
        format!("{command} --adopt iam.policy.{}", wanted.component.short)
    }
}

fn differences(observed: &Document, wanted: &Document) -> String {
    let (have, need) = (actions(observed), actions(wanted));
    let missing: Vec<_> = need.difference(&have).map(String::as_str).collect();
    let more = have.difference(&need).count();
    match (missing.as_slice(), more) {
        ([], 0) => "the same actions on other resources or under other conditions".to_owned(),
        ([], more) => format!("{more} actions that it does not need"),
        (missing, 0) => format!("without {}", listed(missing, wanted)),
        (missing, more) => format!("without {}, with {more} that it does not need", listed(missing, wanted)),
    }
}

/// Names of actions that are allowed, in lower case, which is how IAM compares them.
fn actions(document: &Document) -> BTreeSet<String> {
    document.grants().into_iter().map(|grant| grant.action).collect()
}

/// The first of many actions, spelled as the wanted document spells them.
fn listed(actions: &[&str], wanted: &Document) -> String {
    const SHOWN: usize = 4;
    let spelled: Vec<_> = wanted.statements.iter().flat_map(|statement| statement.action.iter().flatten()).collect();
    let spell = |action: &&str| -> String {
        spelled.iter().find(|name| name.eq_ignore_ascii_case(action)).map_or((*action).to_owned(), ToString::to_string)
    };
    let shown = actions.iter().take(SHOWN).map(spell).collect::<Vec<_>>().join(", ");
    match actions.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn covers(wanted: &Wanted, observed: &Observed) -> Finding {
    let app_version = match &observed.app_version {
        Ok(Some(version)) => version,
        Ok(None) => return COVERS.skipped("no release is installed"),
        Err(error) => return COVERS.unread(error),
    };
    let found = match &observed.policy {
        Ok(Some(found)) => found,
        Ok(None) => return COVERS.skipped(format!("needs {}", MEANING.id)),
        Err(error) => return COVERS.unread(error),
    };
    let Ok(version) = Version::parse(app_version.trim_start_matches('v')) else {
        return COVERS.skipped(format!("the chart says `{app_version}`, which is no version"));
    };
    let component = &wanted.component;
    let needed = versions::needed(component, (version.major, version.minor), &observed.wanted);
    let have = actions(&found.document);
    let missing: Vec<_> = needed.difference(&have).map(String::as_str).collect();
    if !missing.is_empty() {
        return COVERS.failed(
            format!("the policy is older than the installed {app_version}"),
            format!("without {}", listed(&missing, &observed.wanted)),
            format!("all {} actions that {app_version} calls", needed.len()),
            mend(wanted, &found.policy),
        );
    }
    if newest(component).is_some_and(|newest| (version.major, version.minor) > newest) {
        let known = component.version;
        return COVERS
            .failed(
                format!("the installed {app_version} is newer than what this program knows"),
                app_version.clone(),
                format!("{known} or older"),
                "compare with the iam_policy.json of that release, or upgrade eks-bootstrap",
            )
            .as_warning();
    }
    COVERS.passed(format!("it has the {} actions that the installed {app_version} calls", needed.len()))
}

/// The newest version of the software whose calls are known: charts have carried the software's own version since 3.0.
fn newest(component: &Component) -> Option<(u64, u64)> {
    let version = Version::parse(component.version).ok()?;
    Some((version.major, version.minor))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Severity, Verdict};
    use crate::checks::policy::tests::wanted;
    use crate::component::LOAD_BALANCER_CONTROLLER;
    use std::collections::BTreeMap;

    fn document(without: &[&str]) -> Document {
        let mut document = policy::load_balancer_controller_policy("aws").unwrap();
        for statement in &mut document.statements {
            let keep = |action: &String| !without.contains(&action.as_str());
            statement.action.iter_mut().for_each(|actions| actions.retain(keep));
        }
        document
    }

    fn observed(document: Document, app_version: &str, versions: usize) -> Observed {
        let version = |place: usize| PolicyVersion { id: format!("v{}", versions - place), default: place == 0 };
        let policy = ManagedPolicy { default_version: "v5".to_owned(), tags: BTreeMap::new() };
        Observed {
            wanted: policy::load_balancer_controller_policy("aws").unwrap(),
            policy: Ok(Some(InForce { policy, document, versions: (0..versions).map(version).collect() })),
            app_version: Ok(Some(app_version.to_owned())),
        }
    }

    const NEW: [&str; 2] = ["ec2:DescribeRouteTables", "ec2:DescribeIpamPools"];

    #[test]
    fn an_older_policy_is_enough_for_an_older_controller() {
        let wanted = wanted(&LOAD_BALANCER_CONTROLLER);
        let covers = |version: &str| covers(&wanted, &observed(document(&NEW), version, 1));
        assert_eq!(covers("v2.11.0").verdict, Verdict::Passed);
        let newer = covers("v2.12.1");
        let Verdict::Failed { observed: text, .. } = newer.verdict else { panic!("{newer:?}") };
        assert_eq!(text, "without ec2:DescribeIpamPools");
        assert_eq!(covers("2.13.0").severity(), Some(Severity::Error));
    }

    #[test]
    fn a_controller_that_is_not_known_yet_is_a_warning() {
        let finding = covers(&wanted(&LOAD_BALANCER_CONTROLLER), &observed(document(&[]), "v3.6.0", 1));
        assert_eq!(finding.severity(), Some(Severity::Warning));
    }

    #[test]
    fn a_policy_of_five_versions_says_which_one_would_go() {
        let wanted = wanted(&LOAD_BALANCER_CONTROLLER);
        let text = |versions| match meaning(&wanted, &observed(document(&NEW), "v3.5.0", versions)).verdict {
            Verdict::Failed { observed, .. } => observed,
            other => panic!("{other:?}"),
        };
        assert!(text(5).ends_with("apply deletes v1"), "{}", text(5));
        assert_eq!(text(4), "without ec2:DescribeIpamPools, ec2:DescribeRouteTables");
    }

    #[test]
    fn every_action_of_the_table_is_in_the_document() {
        let all = actions(&document(&[]));
        for (since, actions) in LOAD_BALANCER_CONTROLLER.actions_since {
            for action in *actions {
                assert!(all.contains(&action.to_lowercase()), "{since:?} {action}");
            }
        }
    }
}
