//! The driver as an EKS add-on, judged as the plan judges it: status, health, version, role, configuration, objects.

use crate::check::{Finding, Scene};
use crate::checks::ebs::{ADDON, ROLLOUT};
use crate::checks::{self, workload};
use crate::component::Component;
use crate::error::Result;
use crate::plan::{Action, Assessment, Goal};
use crate::steps;

pub(super) async fn look(scene: &Scene<'_>, component: &Component) -> Result<Finding> {
    let cx = scene.cx;
    if !component.configured(&cx.config).is_addon() {
        return Ok(ADDON.skipped("helm is to install the driver"));
    }
    let id = format!("{}.{}", component.installer(&cx.config), component.short);
    let Some(step) = steps::find(cx, &id) else { return Ok(ADDON.skipped("no step looks after it")) };
    let assessment = step.plan(cx, Goal::Present).await?;
    let pods = match assessment.action {
        // What EKS finds wrong with pods is mended where the pods are looked at.
        Action::Unknown => workload::mend(ROLLOUT, scene, component).await,
        _ => None,
    };
    Ok(judge(&checks::apply_installer(&cx.config, component), &id, &assessment, pods))
}

fn judge(apply: &str, id: &str, assessment: &Assessment, pods: Option<String>) -> Finding {
    let fields = assessment.changes.iter().flat_map(|change| &change.fields);
    let present = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
    let reason = assessment.reason.as_str();
    match assessment.action {
        Action::Keep | Action::Skip | Action::Prove => ADDON.passed(format!("{reason} is ACTIVE")),
        Action::Create => ADDON.failed("the add-on is not installed", "no add-on", reason, apply),
        Action::Update | Action::Delete => {
            let (before, after): (Vec<_>, Vec<_>) = fields
                .map(|field| {
                    let say = |value| format!("{}: {}", field.path, present(value));
                    (say(&field.before), say(&field.after))
                })
                .unzip();
            let says = format!("the add-on is not as it is wanted: {reason}");
            ADDON.failed(says, before.join("\n"), after.join("\n"), apply)
        }
        // Moving between two managers is never done unasked, so the plan's words are the mend.
        Action::Blocked => {
            let owner = assessment.owner.as_ref().map(ToString::to_string).unwrap_or_default();
            let mend = match assessment.mend.as_deref() {
                Some(adopt) if adopt.starts_with("--adopt") => format!("{apply} {adopt}"),
                _ => "eks-bootstrap plan".to_owned(),
            };
            ADDON.failed(reason, owner, "the add-on alone", mend)
        }
        Action::Unknown => {
            let mend = if reason.contains("ConfigurationConflict") {
                format!("{apply} --adopt {id}")
            } else {
                pods.unwrap_or_else(|| "eks-bootstrap verify --wait 10m".to_owned())
            };
            ADDON.failed("the add-on does not work", reason, "ACTIVE and rolled out", mend)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Verdict;

    #[test]
    fn what_the_plan_says_is_what_is_found() {
        let mend = |assessment: &Assessment, pods: Option<&str>| {
            let finding = judge("eks-bootstrap apply", "eks.addon.ebs", assessment, pods.map(ToOwned::to_owned));
            match finding.verdict {
                Verdict::Failed { mend, .. } => mend,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(judge("", "", &Assessment::keep("add-on v1"), None).verdict, Verdict::Passed);
        assert_eq!(mend(&Assessment::create("add-on v1", Vec::new()), None), "eks-bootstrap apply");
        let conflict = Assessment::unknown("add-on v1 is DEGRADED: ConfigurationConflict: x");
        assert_eq!(mend(&conflict, Some("kubectl")), "eks-bootstrap apply --adopt eks.addon.ebs");
        let pods = Assessment::unknown("add-on v1 is DEGRADED: InsufficientNumberOfReplicas: x");
        assert_eq!(mend(&pods, Some("kubectl")), "kubectl");
        assert_eq!(mend(&pods, None), "eks-bootstrap verify --wait 10m");
    }
}
