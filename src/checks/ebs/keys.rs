//! KMS keys of one's own in storage classes, against what the driver's role may do. Read from the role's policies; a key's own
//! policy can allow the same and is not read, so this warns and does not judge.

use serde_json::{Value, json};

use crate::check::{Finding, Scene};
use crate::checks::ebs::KEYS;
use crate::component::{Component, Permissions};
use crate::dependants::EBS_DRIVER;
use crate::error::Result;
use crate::names;
use crate::object::{name, text};
use crate::policy::{Document, Effect, glob};

/// What encrypting a volume with a key needs beside EC2 (the driver's documentation).
const NEEDED: [&str; 3] = ["kms:CreateGrant", "kms:Decrypt", "kms:GenerateDataKeyWithoutPlaintext"];

pub(super) async fn look(scene: &Scene<'_>, component: &Component) -> Result<Vec<Finding>> {
    let classes = scene.cx.kube.list("storage.k8s.io/v1", "StorageClass", "", "").await?;
    let keys: Vec<_> = classes.iter().filter_map(key).collect();
    if keys.is_empty() {
        return Ok(vec![KEYS.passed("no storage class names a key of one's own")]);
    }
    let arn = component.role_arn(&scene.cx.config, &scene.cx.facts);
    let role = names::last_part(&arn);
    let documents = documents(scene, component, role).await?;
    Ok(keys.iter().map(|(class, key)| judge(class, key, role, &documents).about(*class)).collect())
}

/// The class and its key.
fn key(class: &Value) -> Option<(&str, &str)> {
    let key = text(class, "/parameters/kmsKeyId");
    (text(class, "/provisioner") == EBS_DRIVER && !key.is_empty()).then(|| (name(class), key))
}

/// The documents of the role's own policies. Those of AWS for the driver have nothing on KMS and are not read.
async fn documents(scene: &Scene<'_>, component: &Component, role: &str) -> Result<Vec<Document>> {
    let iam = &scene.cx.iam;
    let (attached, inline) = futures::try_join!(iam.attached_policies(role), iam.inline_policies(role))?;
    let mut documents = Vec::new();
    for arn in attached.into_iter().flatten().filter(|arn| !is_of_aws(arn, component)) {
        if let Some(policy) = iam.policy(&arn).await? {
            documents.extend(iam.policy_document(&arn, &policy.default_version).await?);
        }
    }
    for name in inline {
        documents.extend(iam.inline_policy(role, &name).await?);
    }
    Ok(documents)
}

fn is_of_aws(arn: &str, component: &Component) -> bool {
    let all = [component.permissions].into_iter().chain(component.choices.iter().map(|choice| choice.permissions));
    all.into_iter().any(|permissions| match permissions {
        Permissions::AwsManaged(paths) => paths.iter().any(|path| arn.ends_with(&format!(":iam::aws:policy/{path}"))),
        _ => false,
    })
}

fn judge(class: &str, key: &str, role: &str, documents: &[Document]) -> Finding {
    let missing: Vec<_> = NEEDED.into_iter().filter(|action| !allows(documents, action, key)).collect();
    if missing.is_empty() {
        return KEYS.passed(format!("role {role} may use {key}"));
    }
    let document = json!({
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": NEEDED, "Resource": [key]}],
    });
    let mend =
        format!("aws iam put-role-policy --role-name {role} --policy-name kms-{class} --policy-document '{document}'");
    KEYS.failed(
        format!("the driver's role has no way to the key of class {class}"),
        format!("role {role} has no {}", missing.join(", ")),
        format!("{} on {key}, unless the key's own policy says so", NEEDED.join(", ")),
        mend,
    )
}

/// Whether a statement allows an action on the key and none denies it. Conditions are taken to hold.
fn allows(documents: &[Document], action: &str, key: &str) -> bool {
    let says = |effect: Effect| {
        documents.iter().flat_map(|document| &document.statements).any(|statement| {
            let fits = |patterns: &Option<Vec<String>>, value: &str| {
                patterns.iter().flatten().any(|pattern| glob(&pattern.to_ascii_lowercase(), value))
            };
            statement.effect == effect
                && fits(&statement.action, &action.to_ascii_lowercase())
                && fits(&statement.resource, &key.to_ascii_lowercase())
        })
    };
    says(Effect::Allow) && !says(Effect::Deny)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

    fn role_with(statements: &Value) -> Finding {
        let document = Document::parse(&json!({"Version": "2012-10-17", "Statement": statements}).to_string()).unwrap();
        judge("secret", KEY, "ebs", &[document])
    }

    #[test]
    fn what_the_policies_allow_on_the_key_decides() {
        let allow = |actions: &[&str], resource: &str| {
            role_with(&json!([{"Effect": "Allow", "Action": actions, "Resource": resource}])).severity().is_none()
        };
        assert!(allow(&NEEDED, KEY));
        assert!(allow(&["kms:*"], "*"));
        assert!(allow(&["KMS:createGrant", "kms:Decrypt", "kms:GenerateDataKey*"], "arn:aws:kms:*:*:key/*"));
        assert!(!allow(&["kms:CreateGrant"], KEY));
        assert!(!allow(&NEEDED, "arn:aws:kms:eu-west-1:111122223333:key/other"));
        let denied = json!([
            {"Effect": "Allow", "Action": "kms:*", "Resource": "*"},
            {"Effect": "Deny", "Action": "kms:CreateGrant", "Resource": "*"},
        ]);
        assert!(role_with(&denied).severity().is_some());
    }

    #[test]
    fn the_mend_is_one_command() {
        let crate::check::Verdict::Failed { mend, .. } = role_with(&json!([])).verdict else { panic!("not failed") };
        assert!(
            mend.starts_with("aws iam put-role-policy --role-name ebs --policy-name kms-secret --policy-document '{")
        );
        assert!(!mend.contains('\n'));
    }

    #[test]
    fn classes_of_the_driver_with_a_key_are_meant() {
        let class = |provisioner: &str, parameters: Value| json!({"metadata": {"name": "a"}, "provisioner": provisioner, "parameters": parameters});
        assert_eq!(key(&class(EBS_DRIVER, json!({"kmsKeyId": KEY}))), Some(("a", KEY)));
        assert_eq!(key(&class(EBS_DRIVER, json!({"encrypted": "true"}))), None);
        assert_eq!(key(&class("efs.csi.aws.com", json!({"kmsKeyId": KEY}))), None);
    }
}
