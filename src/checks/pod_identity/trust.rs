//! The role's trust policy: that it lets EKS in for the pods, and for no others.

use super::{NARROW, TRUSTED, Wanted};
use crate::check::Finding;
use crate::error::Result;
use crate::names;
use crate::policy;
use crate::read::iam::Role;

impl Wanted<'_> {
    pub(super) fn trusted(&self, role: &Result<Option<Role>>) -> Finding {
        let role = match role {
            Ok(Some(role)) => role,
            Ok(None) => return TRUSTED.skipped("needs EKB-IRSA-003"),
            Err(error) => return TRUSTED.unread(error),
        };
        let refusals = self.request.refusals(&role.trust);
        if refusals.is_empty() {
            return TRUSTED.passed("its trust policy lets EKS assume it for the pods");
        }
        TRUSTED.failed(
            "the trust policy does not let EKS assume the role for the pods",
            refusals.join("\n"),
            format!("sts:AssumeRole and sts:TagSession for {}", self.component.subject()),
            self.apply(&["iam.role"]),
        )
    }

    pub(super) fn narrow(&self, role: &Result<Option<Role>>) -> Finding {
        let role = match role {
            Ok(Some(role)) => role,
            Ok(None) => return NARROW.skipped("needs EKB-IRSA-003"),
            Err(error) => return NARROW.unread(error),
        };
        let broad = self.request.broad(&role.trust);
        if broad.is_empty() {
            return NARROW.passed("every statement names cluster, namespace and service account");
        }
        let merged = policy::merge_trust(&role.trust, &self.request.statement());
        let mend = if self.request.broad(&merged).is_empty() {
            self.apply(&["iam.role"])
        } else {
            // Statements of others are theirs to take out.
            let mut trust = role.trust.clone();
            let mut place = 0..;
            trust.statements.retain(|_| place.next().is_none_or(|place| !broad.contains(&place)));
            let trust = policy::merge_trust(&trust, &self.request.statement());
            format!(
                "aws iam update-assume-role-policy --role-name {} --policy-document '{}'",
                names::last_part(&role.arn),
                trust.to_json()
            )
        };
        let places: Vec<_> = broad.iter().map(|place| format!("`Statement[{place}]`")).collect();
        NARROW.failed(
            "the trust policy lets in other service accounts too",
            format!("{} without a condition on each of the three", places.join(", ")),
            "aws:RequestTag/eks-cluster-arn, kubernetes-namespace and kubernetes-service-account",
            mend,
        )
    }
}
