//! The service account and its annotation, as the API server returns them.

use serde_json::Value;

use super::{ACCOUNT, ANNOTATED, Identity};
use crate::check::Finding;
use crate::component::ServiceAccountMaker;
use crate::error::Result;
use crate::names;
use crate::owner;
use crate::steps::catalogue::ROLE_ANNOTATION;

pub(super) fn exists(identity: &Identity, account: &Result<Option<Value>>) -> Finding {
    let name = identity.account();
    match account {
        Ok(Some(_)) => ACCOUNT.passed(format!("service account {name} exists")),
        Ok(None) => {
            let step = match identity.component.service_account_maker {
                ServiceAccountMaker::Us => "k8s.service-account",
                ServiceAccountMaker::Chart => identity.installer,
            };
            ACCOUNT.failed(
                format!("service account {name} does not exist"),
                "no such service account",
                name,
                identity.apply(&[step]),
            )
        }
        Err(error) => ACCOUNT.unread(error),
    }
}

pub(super) fn annotated(identity: &Identity, account: &Result<Option<Value>>) -> Finding {
    let account = match account {
        Ok(Some(account)) => account,
        Ok(None) => return ANNOTATED.skipped(format!("needs {}", ACCOUNT.id)),
        Err(error) => return ANNOTATED.unread(error),
    };
    let observed = account["metadata"]["annotations"][ROLE_ANNOTATION].as_str();
    let Some(difference) = difference(observed, &identity.role_arn) else {
        return ANNOTATED.passed(format!("the annotation names role {}", identity.role_name()));
    };
    let observed = observed.map_or_else(|| "no annotation".to_owned(), |observed| format!("`{observed}`"));
    ANNOTATED.failed(difference, observed, format!("`{}`", identity.role_arn), mend(identity, account))
}

/// The apply of the step that looks after an account of ours, whoever made it.
pub(super) fn apply(identity: &Identity, account: &Value) -> String {
    let apply = identity.apply(&["k8s.service-account"]);
    if owner::of_object(account).is_ours() {
        return apply;
    }
    format!("{apply} --adopt k8s.service-account.{}", identity.component.short)
}

fn mend(identity: &Identity, account: &Value) -> String {
    let component = &identity.component;
    match component.service_account_maker {
        ServiceAccountMaker::Us => apply(identity, account),
        // Helm compares what it rendered, not what became of it: an edit by hand is undone by hand.
        ServiceAccountMaker::Chart => format!(
            "kubectl annotate serviceaccount {} -n {} {ROLE_ANNOTATION}={} --overwrite",
            component.service_account, component.namespace, identity.role_arn
        ),
    }
}

/// How an annotation differs from the role's ARN; none where it does not.
fn difference(observed: Option<&str>, wanted: &str) -> Option<&'static str> {
    let Some(observed) = observed.filter(|observed| !observed.is_empty()) else {
        return Some("the annotation is missing");
    };
    if observed == wanted {
        return None;
    }
    if observed.trim() == wanted {
        return Some("the annotation has spaces around the ARN");
    }
    let parts: Vec<_> = observed.splitn(6, ':').collect();
    let right: Vec<_> = wanted.splitn(6, ':').collect();
    if parts.len() != 6 || parts[0] != "arn" || parts[2] != "iam" || !parts[5].starts_with("role/") {
        return Some("the annotation is no ARN of a role");
    }
    let name = |resource: &str| names::last_part(resource).to_owned();
    Some(if parts[1] != right[1] {
        "the annotation names a role of another partition"
    } else if parts[4] != right[4] {
        "the annotation names a role of another account"
    } else if name(parts[5]) == name(right[5]) {
        "the annotation names the role under another path"
    } else {
        "the annotation names another role"
    })
}

#[cfg(test)]
mod tests {
    use super::difference;

    #[test]
    fn the_difference_is_named() {
        let wanted = "arn:aws:iam::111122223333:role/platform/lbc";
        let cases = [
            (None, "missing"),
            (Some(""), "missing"),
            (Some("arn:aws:iam::111122223333:role/platform/lbc "), "spaces"),
            (Some("platform/lbc"), "no ARN"),
            (Some("arn:aws:iam::111122223333:user/lbc"), "no ARN"),
            (Some("arn:aws-cn:iam::111122223333:role/platform/lbc"), "partition"),
            (Some("arn:aws:iam::999988887777:role/platform/lbc"), "account"),
            (Some("arn:aws:iam::111122223333:role/lbc"), "path"),
            (Some("arn:aws:iam::111122223333:role/platform/lcb"), "another role"),
        ];
        for (observed, word) in cases {
            assert!(difference(observed, wanted).is_some_and(|text| text.contains(word)), "{observed:?}");
        }
        assert_eq!(difference(Some(wanted), wanted), None);
    }
}
