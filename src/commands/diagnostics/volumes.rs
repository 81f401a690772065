//! Volumes in the cluster that the EBS CSI driver could no longer use under the policy that its role is about to get: AWS' newer
//! policies ask for a tag, which volumes that somebody made by hand need not have. Called by `diagnostics.rs`; writes nothing.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::component::{EBS_CSI_DRIVER, Permissions, V2_TAG};
use crate::context::ReadContext;
use crate::dependants::EBS_DRIVER;
use crate::error::Result;
use crate::names::last_part;
use crate::object::text;
use crate::plan::{Diagnostic, StepId};

/// How many volumes are named.
const SHOWN: usize = 3;

/// The tag of EBS volumes in the tagging API.
const KIND: &str = "ec2:volume";

/// A warning where such a policy is to be attached and there are volumes without its tag.
pub(super) async fn untagged(cx: &ReadContext) -> Result<Option<Diagnostic>> {
    let (config, facts) = (&cx.config, &cx.facts);
    let driver = &EBS_CSI_DRIVER;
    // Where only AWS is looked at, the cluster need not answer.
    let chosen = |kind: &str| config.chooses(&StepId::from(format!("{kind}.{}", driver.short)));
    if !driver.wanted(config, facts) || !chosen("iam.attachment") || !chosen("helm") {
        return Ok(None);
    }
    let tag = match (driver.grants(config), driver.choice(config)) {
        (Permissions::AwsManaged(_), Some(choice)) => choice.volume_tag,
        (Permissions::AwsManaged(_), None) => Some(V2_TAG),
        _ => None,
    };
    let Some((key, value)) = tag else { return Ok(None) };
    let value = value(facts);
    let volumes = cx.kube.list("v1", "PersistentVolume", "", "").await?;
    // Whatever the driver itself made carries the tag that V2 asks for; that of the cluster came later.
    let of_driver = volumes.iter().filter(|volume| text(volume, "/spec/csi/driver") == EBS_DRIVER);
    let in_question: Vec<_> = of_driver.filter(|volume| key != V2_TAG.0 || is_static(volume)).collect();
    if in_question.is_empty() {
        return Ok(None);
    }
    let arn = driver.role_arn(config, facts);
    let attached = cx.iam.attached_policies(last_part(&arn)).await?.unwrap_or_default();
    // What is attached stays, and has been lived with.
    if driver.policy_arns(config, facts).iter().any(|policy| attached.contains(policy)) {
        return Ok(None);
    }
    let tagged = cx.tagging.tagged(key, &value, Some(KIND)).await?;
    let tagged: BTreeSet<_> = tagged.iter().map(|found| last_part(&found.arn)).collect();
    let handles = in_question.iter().map(|volume| text(volume, "/spec/csi/volumeHandle"));
    Ok(judge(&handles.filter(|id| !tagged.contains(id)).collect::<Vec<_>>(), key, &value, &facts.region))
}

fn judge(untagged: &[&str], key: &str, value: &str, region: &str) -> Option<Diagnostic> {
    let shown = untagged.iter().take(SHOWN).copied().collect::<Vec<_>>().join(" ");
    let more = untagged.len().saturating_sub(SHOWN);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    let (volumes, lack) = if untagged.len() == 1 { ("volume", "lacks") } else { ("volumes", "lack") };
    (!untagged.is_empty()).then(|| {
        super::warning(format!(
            "{} {volumes} in the cluster {lack} the tag {key}={value}, without which the driver's new policy lets them neither \
             be attached nor deleted ({shown}{more}); first: aws ec2 create-tags --region {region} --resources {shown} --tags \
             Key={key},Value={value} (or keep --ebs-policy v1)",
            untagged.len()
        ))
    })
}

/// Made by hand rather than by the driver.
fn is_static(volume: &Value) -> bool {
    text(volume, "/metadata/annotations/pv.kubernetes.io~1provisioned-by") != EBS_DRIVER
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_volumes_are_named_with_the_command_that_tags_them() {
        assert_eq!(judge(&[], "k", "v", "r"), None);
        let one = judge(&["vol-1"], "k", "v", "r").unwrap().message;
        assert!(one.starts_with("1 volume in the cluster lacks the tag k=v"), "{one}");
        let many = judge(&["a", "b", "c", "d"], "k", "v", "r").unwrap().message;
        assert!(
            many.contains("(a b c and 1 more)") && many.contains("--resources a b c --tags Key=k,Value=v"),
            "{many}"
        );
    }
}
