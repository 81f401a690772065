//! The trust statement of roles for EKS Pod Identity, and whether a trust policy lets a service account in that way.
//!
//! The principal is the same for every cluster of every account, so what tells clusters and service accounts apart are the
//! session tags, which EKS sets and `aws:RequestTag` tests. Without those conditions every association of the account that
//! may pass the role gets in. <https://docs.aws.amazon.com/eks/latest/userguide/pod-id-role.html>

use crate::names;
use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::{AccessDecision, AccessRequest, Condition, Context, Document, Effect, Principals, Statement, evaluate};

/// The service that assumes the role for the pods, the same in every partition.
pub const PODS_SERVICE: &str = "pods.eks.amazonaws.com";

/// What that service calls; without the second EKS cannot set the session tags, and refuses.
pub const POD_IDENTITY_ACTIONS: [&str; 2] = ["sts:AssumeRole", "sts:TagSession"];

/// How the `Sid` of our statement begins; eight digits for cluster and service account follow, since the principal does not
/// tell them apart.
pub const POD_IDENTITY_SID: &str = "EksBootstrapPodIdentity";

/// A service account whose pods ask for the role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodIdentityRequest {
    /// The cluster's ARN.
    pub cluster_arn: String,
    /// The service account's namespace.
    pub namespace: String,
    /// The service account.
    pub service_account: String,
}

impl PodIdentityRequest {
    fn tags(&self) -> [(&'static str, &str); 3] {
        [
            ("aws:RequestTag/eks-cluster-arn", &self.cluster_arn),
            ("aws:RequestTag/kubernetes-namespace", &self.namespace),
            ("aws:RequestTag/kubernetes-service-account", &self.service_account),
        ]
    }

    /// The statement that lets this service account, and no other, in.
    pub fn statement(&self) -> Statement {
        let digest = hex::encode(Sha256::digest(self.tags().map(|(_, value)| value).join(" ")));
        let tests = self.tags().map(|(key, value)| (key.to_owned(), vec![value.to_owned()]));
        Statement {
            sid: Some(format!("{POD_IDENTITY_SID}{}", &digest[..8])),
            effect: Effect::Allow,
            principal: Some(Principals::Named(BTreeMap::from([("Service".to_owned(), vec![PODS_SERVICE.to_owned()])]))),
            not_principal: None,
            action: Some(POD_IDENTITY_ACTIONS.map(ToOwned::to_owned).to_vec()),
            not_action: None,
            resource: None,
            not_resource: None,
            condition: Condition::from([("StringEquals".to_owned(), BTreeMap::from(tests))]),
            other: BTreeMap::new(),
        }
    }

    /// What EKS says of a session for these pods.
    fn context(&self) -> Context {
        let mut context = Context::new();
        for (key, value) in self.tags() {
            context.add(key, [value]);
        }
        let name = names::last_part(&self.cluster_arn);
        context.add("aws:RequestTag/eks-cluster-name", [name]);
        context
    }

    /// Why a trust policy does not let the service account in; nothing where it does.
    pub fn refusals(&self, trust: &Document) -> Vec<String> {
        let ours: Vec<_> = trust.statements.iter().filter(|statement| concerns_pods(statement)).collect();
        if !ours.iter().any(|statement| statement.effect == Effect::Allow) {
            return vec![format!("no statement allows {PODS_SERVICE}")];
        }
        let context = self.context();
        let allowed = |action: &str, conditions: bool| {
            let statements = ours.iter().map(|statement| as_identity(statement, conditions)).collect();
            let document = Document { statements, ..trust.clone() };
            let request = AccessRequest { action, resource: "*", context: &context };
            evaluate(&[&document], None, request).map(|access| access.decision)
        };
        let mut refusals = Vec::new();
        for action in POD_IDENTITY_ACTIONS {
            refusals.extend(match allowed(action, true) {
                Ok(AccessDecision::Allowed) => None,
                Ok(AccessDecision::ExplicitDeny) => Some(format!("{action} is denied to {PODS_SERVICE}")),
                Ok(AccessDecision::ImplicitDeny) if allowed(action, false) == Ok(AccessDecision::Allowed) => {
                    Some(format!(
                        "the conditions on {action} do not let {}/{} of {} in",
                        self.namespace, self.service_account, self.cluster_arn
                    ))
                }
                Ok(AccessDecision::ImplicitDeny) => Some(format!("{action} is missing for {PODS_SERVICE}")),
                Err(error) => Some(error.to_string()),
            });
        }
        refusals
    }

    /// Places of statements that let in other service accounts too.
    pub fn broad(&self, trust: &Document) -> Vec<usize> {
        let named = |statement: &Statement, key: &str| {
            let tests = statement.condition.get("StringEquals").into_iter().flatten();
            tests.into_iter().any(|(found, values)| found.eq_ignore_ascii_case(key) && !values.is_empty())
        };
        let cluster = |statement: &Statement| {
            named(statement, "aws:RequestTag/eks-cluster-arn") || named(statement, "aws:RequestTag/eks-cluster-name")
        };
        let narrow = |statement: &Statement| {
            let [_, namespace, account] = self.tags().map(|(key, _)| named(statement, key));
            cluster(statement) && namespace && account
        };
        let places = trust.statements.iter().enumerate();
        places
            .filter(|(_, statement)| {
                statement.effect == Effect::Allow && concerns_pods(statement) && !narrow(statement)
            })
            .map(|(place, _)| place)
            .collect()
    }
}

/// Whether a statement is about what EKS does for pods.
fn concerns_pods(statement: &Statement) -> bool {
    let service = format!("Service:{PODS_SERVICE}");
    let named = |principals: &Principals| principals.each().iter().any(|one| *one == service || one == "*");
    match (&statement.principal, &statement.not_principal) {
        (Some(principals), _) => named(principals),
        (None, Some(principals)) => !named(principals),
        (None, None) => false,
    }
}

/// A trust statement as one of an identity policy, which has no principal and always a resource.
fn as_identity(statement: &Statement, conditions: bool) -> Statement {
    Statement {
        principal: None,
        not_principal: None,
        resource: Some(vec!["*".to_owned()]),
        not_resource: None,
        condition: if conditions { statement.condition.clone() } else { Condition::new() },
        ..statement.clone()
    }
}

/// Whether a trust policy holds a statement of ours for Pod Identity of this service account.
pub fn holds_pod_identity(trust: &Document, request: &PodIdentityRequest) -> bool {
    let sid = request.statement().sid;
    trust.statements.iter().any(|statement| statement.sid == sid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{merge_trust, release_trust};

    fn request() -> PodIdentityRequest {
        PodIdentityRequest {
            cluster_arn: "arn:aws:eks:eu-west-1:111122223333:cluster/demo".to_owned(),
            namespace: "kube-system".to_owned(),
            service_account: "lbc".to_owned(),
        }
    }

    fn trust(statement: &str) -> Document {
        Document::parse(&format!(r#"{{"Version":"2012-10-17","Statement":[{statement}]}}"#)).unwrap()
    }

    #[test]
    fn what_refuses_is_named() {
        assert_eq!(request().refusals(&Document::trust(request().statement())), Vec::<String>::new());
        let principal = r#""Effect":"Allow","Principal":{"Service":"pods.eks.amazonaws.com"}"#;
        let both = r#""Action":["sts:AssumeRole","sts:TagSession"]"#;
        let condition = |value: &str| {
            format!(r#""Condition":{{"StringEquals":{{"aws:RequestTag/kubernetes-service-account":"{value}"}}}}"#)
        };
        let cases = [
            (format!(r#"{{{principal},"Action":"sts:AssumeRole"}}"#), Some("sts:TagSession is missing")),
            (format!("{{{principal},{both}}}"), None),
            (format!("{{{principal},{both},{}}}", condition("lbc")), None),
            (format!("{{{principal},{both},{}}}", condition("ebs")), Some("do not let kube-system/lbc")),
            (
                r#"{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:*"}"#.to_owned(),
                Some("no statement allows pods.eks.amazonaws.com"),
            ),
            (
                format!(r#"{{{principal},{both}}},{{"Effect":"Deny","Principal":"*","Action":"sts:TagSession"}}"#),
                Some("sts:TagSession is denied"),
            ),
            (
                format!(r#"{{{principal},{both}}},{{"Effect":"Deny","Principal":{{"AWS":"*"}},"Action":"sts:*"}}"#),
                Some("sts:AssumeRole is denied"),
            ),
        ];
        for (statement, expected) in cases {
            let refusals = request().refusals(&trust(&statement)).join("; ");
            match expected {
                Some(part) => assert!(refusals.contains(part), "{statement}: {refusals}"),
                None => assert_eq!(refusals, "", "{statement}"),
            }
        }
    }

    #[test]
    fn statements_without_conditions_are_broad() {
        let open = r#"{"Effect":"Allow","Principal":{"Service":"pods.eks.amazonaws.com"},"Action":["sts:AssumeRole","sts:TagSession"]}"#;
        assert_eq!(request().broad(&trust(open)), [0]);
        assert_eq!(request().broad(&Document::trust(request().statement())), Vec::<usize>::new());
    }

    #[test]
    fn ours_is_known_by_its_sid_whatever_became_of_it() {
        let ours = Document::trust(request().statement());
        let other = PodIdentityRequest { service_account: "ebs".to_owned(), ..request() };
        let both = merge_trust(&ours, &other.statement());
        assert_eq!(both.statements.len(), 2);
        assert_eq!(release_trust(&both, &other.statement()), ours);
        let mut edited = ours.clone();
        edited.statements[0].condition = Condition::new();
        assert_eq!(merge_trust(&edited, &request().statement()), ours);
        assert!(holds_pod_identity(&edited, &request()) && !holds_pod_identity(&edited, &other));
    }
}
