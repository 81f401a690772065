//! Answers the apiserver's question whom a bearer token belongs to, as EKS does for the tokens that IAM signs.
//!
//! Pure but for the callback: the AWS simulator knows which tokens it signed, this module knows the review's shape.

use std::sync::Arc;

use serde_json::{Value, json};

/// Checks a bearer token and returns its user, or why it is refused.
pub type Authenticate = Arc<dyn Fn(&str) -> Result<TokenUser, String> + Send + Sync>;

/// Whom a bearer token belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenUser {
    /// Name, as in RBAC subjects.
    pub username: String,
    /// Stable identity, `aws-iam-authenticator:ACCOUNT:ID` on EKS.
    pub uid: String,
    /// Groups, as in RBAC subjects.
    pub groups: Vec<String>,
}

/// Fills in the status of a `TokenReview`; `None` if it is not one.
pub(super) fn review(review: &Value, authenticate: &Authenticate) -> Option<Value> {
    if review["kind"] != "TokenReview" {
        return None;
    }
    let status = match review["spec"]["token"].as_str() {
        None | Some("") => json!({"authenticated": false, "error": "the review carries no token"}),
        Some(token) => match authenticate(token) {
            Ok(user) => json!({
                "authenticated": true,
                "user": {"username": user.username, "uid": user.uid, "groups": user.groups},
            }),
            Err(reason) => json!({"authenticated": false, "error": reason}),
        },
    };
    Some(json!({"apiVersion": review["apiVersion"], "kind": "TokenReview", "status": status}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authenticate() -> Authenticate {
        Arc::new(|token| match token {
            "k8s-aws-v1.good" => Ok(TokenUser {
                username: "arn:aws:iam::111122223333:role/admin".into(),
                uid: "aws-iam-authenticator:111122223333:AROA".into(),
                groups: vec!["eks-bootstrap:admins".into()],
            }),
            _ => Err("not signed by a known key".into()),
        })
    }

    fn ask(token: impl Into<Value>) -> Value {
        let token = token.into();
        let question =
            json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}});
        review(&question, &authenticate()).unwrap()
    }

    #[test]
    fn a_known_token_gives_its_user() {
        let answer = ask("k8s-aws-v1.good");
        assert_eq!(answer["apiVersion"], "authentication.k8s.io/v1");
        assert_eq!(answer["status"]["authenticated"], true);
        assert_eq!(answer["status"]["user"]["groups"], json!(["eks-bootstrap:admins"]));
    }

    #[test]
    fn any_other_token_is_refused_with_the_reason() {
        let answer = ask("k8s-aws-v1.bad");
        assert_eq!(answer["status"], json!({"authenticated": false, "error": "not signed by a known key"}));
        assert_eq!(ask(Value::Null)["status"]["authenticated"], false);
        assert_eq!(ask("")["status"]["authenticated"], false);
    }

    #[test]
    fn what_is_no_review_is_not_answered() {
        assert_eq!(review(&json!({"kind": "AdmissionReview"}), &authenticate()), None);
    }
}
