//! The whole chain, done as a pod would do it: token, exchange, and the question who that is.

use super::{ACCOUNT, Identity, PROOF, role};
use crate::check::Finding;
use crate::context::ReadContext;
use crate::error::{AwsError, Error, Result};
use crate::policy::{AUDIENCE, TrustVerdict};
use crate::read::iam::Role;

/// How far the chain held.
pub(super) enum Proof {
    /// There is no service account to ask for a token.
    NoAccount,
    /// Who AWS says that the pods are, or why it does not.
    Told(Result<String>),
}

/// Asks.
pub(super) async fn prove(cx: &ReadContext, identity: &Identity) -> Proof {
    let component = &identity.component;
    let token = cx.kube.service_account_token(component.namespace, component.service_account, AUDIENCE).await;
    match token {
        Ok(Some(token)) => Proof::Told(cx.sts.identity_with_token(&identity.role_arn, token.expose()).await),
        Ok(None) => Proof::NoAccount,
        Err(error) => Proof::Told(Err(error)),
    }
}

pub(super) fn finding(
    identity: &Identity,
    proof: &Proof,
    role: &Result<Option<Role>>,
    verdict: Option<&TrustVerdict>,
) -> Finding {
    let name = identity.role_name();
    match proof {
        Proof::NoAccount => PROOF.skipped(format!("needs {}", ACCOUNT.id)),
        Proof::Told(Ok(arn)) if is_session_of(arn, name) => {
            PROOF.passed(format!("AWS knows its pods as assumed-role/{name}"))
        }
        Proof::Told(Ok(arn)) => PROOF.failed(
            "AWS takes its pods for someone else",
            arn,
            format!("assumed-role/{name}"),
            identity.apply(&["iam.role"]),
        ),
        Proof::Told(Err(Error::Aws(error))) if error.operation == "sts:AssumeRoleWithWebIdentity" => {
            refused(identity, error, role, verdict)
        }
        Proof::Told(Err(error)) => PROOF.unread(error),
    }
}

/// `arn:aws:sts::ACCOUNT:assumed-role/NAME/SESSION`; the path of a role is not in it.
fn is_session_of(arn: &str, role: &str) -> bool {
    arn.splitn(6, ':')
        .nth(5)
        .and_then(|rest| rest.strip_prefix("assumed-role/"))
        .and_then(|rest| rest.split('/').next())
        == Some(role)
}

/// STS says only whether the token or the trust is wrong; the rest is known from the role itself.
fn refused(
    identity: &Identity,
    error: &AwsError,
    role: &Result<Option<Role>>,
    verdict: Option<&TrustVerdict>,
) -> Finding {
    let observed = error.to_string();
    let expected = format!("credentials of assumed-role/{}", identity.role_name());
    match error.code.as_deref() {
        Some("InvalidIdentityToken") => PROOF.failed(
            "AWS does not take the cluster's tokens: the OIDC provider or its audience is wrong",
            observed,
            expected,
            "eks-bootstrap apply --only iam.oidc-provider",
        ),
        Some("ExpiredTokenException" | "IDPRejectedClaim") => PROOF.failed(
            "AWS takes the token for expired: the clocks of AWS and the cluster differ",
            observed,
            expected,
            "eks-bootstrap verify --wait 2m",
        ),
        Some("AccessDenied") => {
            let clause = verdict.and_then(|verdict| role::headline(verdict.clauses()));
            match (role, clause) {
                (_, Some(clause)) => {
                    PROOF.failed(format!("refused: {clause}"), observed, expected, identity.apply(&["iam.role"]))
                }
                (Ok(None), None) => PROOF.failed(
                    "refused: the role does not exist",
                    observed,
                    expected,
                    identity.apply(&["iam.role", "iam.attachment"]),
                ),
                _ => PROOF.failed(
                    "refused although the trust policy allows it: IAM needs seconds after a change, else a policy of \
                     the organisation denies it",
                    observed,
                    expected,
                    "eks-bootstrap verify --wait 2m",
                ),
            }
        }
        _ => PROOF.unread(&Error::Aws(error.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Verdict;
    use crate::checks::irsa::tests::identity;

    fn error(code: &str) -> Proof {
        Proof::Told(Err(Error::Aws(AwsError {
            operation: "sts:AssumeRoleWithWebIdentity".to_owned(),
            code: Some(code.to_owned()),
            message: "no".to_owned(),
            request_id: None,
            status: Some(403),
            no_credentials: false,
            untrusted: false,
        })))
    }

    #[test]
    fn only_the_role_itself_will_do() {
        let told = |arn: &str| finding(&identity(), &Proof::Told(Ok(arn.to_owned())), &Ok(None), None).verdict;
        assert_eq!(told("arn:aws:sts::111122223333:assumed-role/r/session"), Verdict::Passed);
        assert_ne!(told("arn:aws:sts::111122223333:assumed-role/rr/session"), Verdict::Passed);
        assert_ne!(told("arn:aws:iam::111122223333:user/r"), Verdict::Passed);
    }

    #[test]
    fn refusals_get_their_reason() {
        let says = |code: &str| finding(&identity(), &error(code), &Ok(None), None).says;
        assert!(says("InvalidIdentityToken").contains("OIDC provider"));
        assert!(says("AccessDenied").contains("does not exist"));
        let unread = finding(&identity(), &error("ServiceUnavailable"), &Ok(None), None);
        assert!(matches!(unread.verdict, Verdict::Unknown { .. }));
        let denied = Error::Refused { what: "x".to_owned(), mend: String::new() };
        let allowed = finding(&identity(), &error("AccessDenied"), &Err(denied), None);
        assert!(allowed.says.contains("needs seconds"), "{}", allowed.says);
    }
}
