//! A component's policy on the nodes' roles, where that is asked for (`--attach-node-role`), and never for longer.
//!
//! Node roles belong to others and may serve several clusters. So a tag on the role remembers what was attached for which
//! cluster: what somebody else attached is used and stays, and what we attached goes when nobody of us wants it any more.
//! Roles come from the node groups and from the user; which of them were given the policy is remembered on the component's
//! own role, so that they are found again when they are neither any more, and those who never asked for it need no rights.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use futures::future::try_join_all;

use crate::context::ReadContext;
use crate::error::{Error, Result};
use crate::names::{self, last_part};
use crate::op::Op;
use crate::op::iam::{IamOp, Tags};
use crate::plan::{Assessment, Change, FieldDiff, Goal, ResourceId, StepId};
use crate::steps::Step;
use crate::steps::attachment;

/// Before the hash of the cluster whose run attached something.
const CLAIM: &str = "eks-bootstrap/node-role-";

/// On the component's role, before the name of a node role that was given the policy.
const MARK: &str = "eks-bootstrap/on-node/";

/// The key of a mark: names of roles may hold commas, keys of tags may not, and colons are the other way round.
fn mark(role: &str) -> String {
    format!("{MARK}{}", role.replace(',', ":"))
}

/// The roles that marks name.
fn marked(tags: &Tags) -> BTreeSet<String> {
    tags.keys().filter_map(|key| key.strip_prefix(MARK)).map(|role| role.replace(':', ",")).collect()
}

/// A policy on the nodes' roles.
#[derive(Debug, Clone)]
pub struct NodeRoleStep {
    /// The step.
    pub id: StepId,
    /// The step of the component's role.
    pub needs: Vec<StepId>,
    /// The cluster's name.
    pub cluster: String,
    /// The cluster's ARN.
    pub cluster_arn: String,
    /// The last part of the component's step ids.
    pub short: &'static str,
    /// Whether it is asked for.
    pub wanted: bool,
    /// Roles beside those of the node groups: ARNs or names.
    pub more: BTreeSet<String>,
    /// The AWS managed policies: any of these will do, else the first that exists is attached.
    pub policies: Vec<String>,
    /// The component's own role, which holds the policy anyway.
    pub component_role: String,
}

/// A role as it is.
#[derive(Debug, Clone, Default)]
struct Observed {
    exists: bool,
    attached: BTreeSet<String>,
    tags: Tags,
}

impl NodeRoleStep {
    fn claim(&self) -> String {
        format!("{CLAIM}{}-{}", self.short, names::cluster_hash(&self.cluster_arn))
    }

    fn claimed_by_others(&self, tags: &Tags) -> bool {
        let (prefix, own) = (format!("{CLAIM}{}-", self.short), self.claim());
        tags.keys().any(|key| key.starts_with(&prefix) && *key != own)
    }

    /// Names of the roles of the cluster's nodes.
    async fn node_roles(&self, cx: &ReadContext) -> Result<BTreeSet<String>> {
        let mut roles = BTreeSet::new();
        for arn in cx.eks.node_roles(&self.cluster).await?.iter().chain(&self.more) {
            let here = format!("arn:{}:iam::{}:role/", cx.facts.partition, cx.facts.account);
            if arn.starts_with("arn:") && !arn.starts_with(&here) {
                return Err(Error::Refused {
                    what: format!("the node role {arn} is not of the cluster's account"),
                    mend: format!("name a role of account {}, or leave it out", cx.facts.account),
                });
            }
            let name = last_part(arn);
            // IAM finds roles by their names, whatever their paths.
            if arn.starts_with("arn:")
                && self.more.contains(arn)
                && let Some(role) = cx.iam.role(name).await?.filter(|role| role.arn != *arn)
            {
                return Err(Error::Refused {
                    what: format!("the node role {arn} does not exist; {} does", role.arn),
                    mend: format!("pass --node-role {}", role.arn),
                });
            }
            roles.insert(name.to_owned());
        }
        Ok(roles)
    }

    async fn observe(&self, cx: &ReadContext, roles: BTreeSet<String>) -> Result<BTreeMap<String, Observed>> {
        let read = |role: String| async move {
            let (found, attached) = futures::try_join!(cx.iam.role(&role), cx.iam.attached_policies(&role))?;
            let exists = found.is_some();
            let tags = found.map(|role| role.tags).unwrap_or_default();
            Ok::<_, Error>((role, Observed { exists, attached: attached.unwrap_or_default(), tags }))
        };
        Ok(try_join_all(roles.into_iter().map(read)).await?.into_iter().collect())
    }

    /// What is to be done to the roles; `marked` are those that the component's role remembers.
    fn diff(
        &self,
        wanted: &BTreeSet<String>,
        observed: &BTreeMap<String, Observed>,
        policy: &str,
        marked: &BTreeSet<String>,
    ) -> Assessment {
        let (mut changes, mut attached, mut detached, mut foreign) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (role, found) in observed {
            let claimed = found.tags.contains_key(&self.claim());
            if wanted.contains(role) {
                let before = changes.len();
                let held = self.policies.iter().find(|arn| found.attached.contains(*arn));
                match held {
                    Some(_) if !claimed && !self.claimed_by_others(&found.tags) => foreign.push(role.as_str()),
                    Some(arn) if !claimed => changes.push(self.claim_change(role, found, arn)),
                    Some(_) => {}
                    None => {
                        if found.tags.get(&self.claim()).is_none_or(|arn| arn != policy) {
                            changes.push(self.claim_change(role, found, policy));
                        }
                        let fields = vec![FieldDiff::new("attachedPolicies", None, policy.to_owned())];
                        let op = IamOp::AttachRolePolicy { role: role.clone(), policy: policy.to_owned() };
                        changes.push(change(role, fields, op));
                        attached.push(role.as_str());
                    }
                }
                if !marked.contains(role) && (claimed || changes.len() > before) {
                    let tags = Tags::from([(mark(role), "true".to_owned())]);
                    let fields = vec![FieldDiff::new(format!("tags.{}", mark(role)), None, "true".to_owned())];
                    let op = IamOp::TagRole { role: self.component_role.clone(), tags };
                    changes.insert(before, change(&self.component_role, fields, op));
                }
            } else if claimed || marked.contains(role) {
                if claimed {
                    changes.extend(self.release(role, found));
                }
                let fields = vec![FieldDiff::new(format!("tags.{}", mark(role)), "true".to_owned(), None)];
                let op = IamOp::UntagRole { role: self.component_role.clone(), keys: vec![mark(role)] };
                changes.push(change(&self.component_role, fields, op));
                detached.push(role.as_str());
            }
        }
        let list = |roles: &[&str]| roles.join(", ");
        let name = last_part(policy);
        let opens = "every pod on these nodes can use it";
        if changes.is_empty() {
            let names: Vec<_> = wanted.iter().map(String::as_str).collect();
            return match (wanted.is_empty(), foreign.is_empty()) {
                (true, _) => Assessment::keep("there are no node groups, and no --node-role is given"),
                (false, true) => Assessment::keep(format!("attached to {}: {opens}", list(&names))),
                (false, false) => Assessment::keep(format!(
                    "attached to {}: {opens}; on {} by someone else, so it stays there",
                    list(&names),
                    list(&foreign)
                )),
            };
        }
        match (attached.is_empty(), detached.is_empty()) {
            (true, false) => {
                let reason = format!("not wanted any more on {}: what we attached is detached", list(&detached));
                Assessment::delete(reason, changes)
            }
            (false, true) => Assessment::create(format!("attach {name} to {}: {opens}", list(&attached)), changes),
            (false, false) => {
                let reason = format!("attach {name} to {}: {opens}; detach from {}", list(&attached), list(&detached));
                Assessment::update(reason, changes)
            }
            (true, true) => {
                Assessment::update("attached by us already, and to be remembered for this cluster", changes)
            }
        }
    }

    /// Tags go on before the policy, and off after it: a run that ends between leaves nothing that nobody remembers.
    fn claim_change(&self, role: &str, found: &Observed, policy: &str) -> Change {
        let tags = Tags::from([(self.claim(), policy.to_owned())]);
        let before = found.tags.get(&self.claim()).cloned();
        let fields = vec![FieldDiff::new(format!("tags.{}", self.claim()), before, policy.to_owned())];
        change(role, fields, IamOp::TagRole { role: role.to_owned(), tags })
    }

    fn release(&self, role: &str, found: &Observed) -> Vec<Change> {
        let mut changes = Vec::new();
        let held = found.tags.get(&self.claim()).filter(|arn| found.attached.contains(*arn));
        // The tag is text on an object of others: only the policies that we would attach are detached.
        let ours = held.filter(|arn| self.policies.contains(arn) && !self.claimed_by_others(&found.tags));
        if let Some(arn) = ours {
            let fields = vec![FieldDiff::new("attachedPolicies", arn.clone(), None)];
            changes.push(change(role, fields, IamOp::DetachRolePolicy { role: role.to_owned(), policy: arn.clone() }));
        }
        let fields =
            vec![FieldDiff::new(format!("tags.{}", self.claim()), found.tags.get(&self.claim()).cloned(), None)];
        changes.push(change(role, fields, IamOp::UntagRole { role: role.to_owned(), keys: vec![self.claim()] }));
        changes
    }
}

fn change(role: &str, fields: Vec<FieldDiff>, op: IamOp) -> Change {
    Change { resource: ResourceId(format!("iam/role/{role}")), fields, op: Op::Iam(op) }
}

#[async_trait]
impl Step for NodeRoleStep {
    fn id(&self) -> StepId {
        self.id.clone()
    }

    fn needs(&self) -> Vec<StepId> {
        self.needs.clone()
    }

    fn resource(&self) -> ResourceId {
        ResourceId("iam/role/(nodes)".to_owned())
    }

    async fn plan(&self, cx: &ReadContext, goal: Goal) -> Result<Assessment> {
        let attach = self.wanted && goal == Goal::Present;
        let own = cx.iam.role(&self.component_role).await?;
        let marked = own.map(|role| marked(&role.tags)).unwrap_or_default();
        if !attach && marked.is_empty() {
            return Ok(match goal {
                Goal::Present => Assessment::skip("not asked for (--attach-node-role)"),
                Goal::Absent => Assessment::keep("absent"),
            });
        }
        let wanted = if attach { self.node_roles(cx).await? } else { BTreeSet::new() };
        let observed = self.observe(cx, wanted.union(&marked).cloned().collect()).await?;
        if let Some(role) = wanted.iter().find(|role| observed.get(*role).is_none_or(|found| !found.exists)) {
            return Err(Error::Refused {
                what: format!("the node role {role} does not exist"),
                mend: "name roles that exist with --node-role, or look at the node group that has it".to_owned(),
            });
        }
        let policy = if attach { attachment::first_that_exists(cx, &self.policies).await? } else { String::new() };
        Ok(self.diff(&wanted, &observed, &policy, &marked))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Action;

    const V1: &str = "arn:aws:iam::aws:policy/service-role/AmazonEBSCSIDriverPolicy";
    const V2: &str = "arn:aws:iam::aws:policy/AmazonEBSCSIDriverPolicyV2";

    fn step() -> NodeRoleStep {
        NodeRoleStep {
            id: StepId::new("iam.node-role.ebs"),
            needs: Vec::new(),
            cluster: "demo".to_owned(),
            cluster_arn: "arn:aws:eks:eu-west-1:111122223333:cluster/demo".to_owned(),
            short: "ebs",
            wanted: true,
            more: BTreeSet::new(),
            policies: vec![V2.to_owned(), V1.to_owned()],
            component_role: "driver".to_owned(),
        }
    }

    /// What is done to one role that is a node's, or is not any more.
    fn calls(wanted: bool, attached: &[&str], tags: &[(&str, &str)]) -> (Action, Vec<String>) {
        let step = step();
        let own = step.claim();
        let tags = tags.iter().map(|(key, value)| {
            let key = if *key == "own" { own.clone() } else { (*key).to_owned() };
            (key, (*value).to_owned())
        });
        let attached = attached.iter().map(|arn| (*arn).to_owned()).collect();
        let found = Observed { exists: true, attached, tags: tags.collect() };
        let nodes = BTreeSet::from(["nodes".to_owned()]);
        let roles = if wanted { nodes.clone() } else { BTreeSet::new() };
        let assessment = step.diff(&roles, &BTreeMap::from([("nodes".to_owned(), found)]), V2, &nodes);
        (assessment.action, assessment.changes.iter().map(|change| change.op.call()).collect())
    }

    #[test]
    fn marks_name_roles() {
        let tags = Tags::from([(mark("a,b-c"), "true".to_owned()), ("team".to_owned(), "x".to_owned())]);
        assert!(!tags.keys().any(|key| key.contains(',')));
        assert_eq!(marked(&tags), BTreeSet::from(["a,b-c".to_owned()]));
    }

    /// Name, whether wanted, what is attached, tags, and what follows.
    type Case<'a> = (&'a str, bool, &'a [&'a str], &'a [(&'a str, &'a str)], Action, &'a [&'a str]);

    #[test]
    fn what_others_attached_stays_and_what_we_attached_is_remembered() {
        let other = ("eks-bootstrap/node-role-ebs-00000000", V2);
        let worker = "arn:aws:iam::aws:policy/AmazonEKSWorkerNodePolicy";
        let cases: [Case<'_>; 13] = [
            ("new", true, &[worker], &[], Action::Create, &["iam:TagRole", "iam:AttachRolePolicy"]),
            ("ours", true, &[V2], &[("own", V2)], Action::Keep, &[]),
            ("theirs", true, &[V2], &[("team", "a")], Action::Keep, &[]),
            ("theirs, the older policy", true, &[V1], &[], Action::Keep, &[]),
            ("of another cluster of ours", true, &[V2], &[other], Action::Update, &["iam:TagRole"]),
            ("detached by hand", true, &[], &[("own", V2)], Action::Create, &["iam:AttachRolePolicy"]),
            (
                "the newer policy has come",
                true,
                &[],
                &[("own", V1)],
                Action::Create,
                &["iam:TagRole", "iam:AttachRolePolicy"],
            ),
            ("only the mark is left", false, &[worker], &[], Action::Delete, &["iam:UntagRole"]),
            ("theirs, not asked for", false, &[V2], &[], Action::Delete, &["iam:UntagRole"]),
            (
                "left",
                false,
                &[V2],
                &[("own", V2)],
                Action::Delete,
                &["iam:DetachRolePolicy", "iam:UntagRole", "iam:UntagRole"],
            ),
            ("left, shared", false, &[V2], &[("own", V2), other], Action::Delete, &["iam:UntagRole", "iam:UntagRole"]),
            ("only tags are left", false, &[], &[("own", V2)], Action::Delete, &["iam:UntagRole", "iam:UntagRole"]),
            (
                "the tag was tampered with",
                false,
                &[worker],
                &[("own", worker)],
                Action::Delete,
                &["iam:UntagRole", "iam:UntagRole"],
            ),
        ];
        for (name, wanted, attached, tags, action, expected) in cases {
            let expected: Vec<_> = expected.iter().map(|call| (*call).to_owned()).collect();
            assert_eq!(calls(wanted, attached, tags), (action, expected), "{name}");
        }
    }
}
