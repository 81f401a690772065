//! What the plan has to say of images that the nodes may not reach.

use super::warning;
use crate::component;
use crate::context::ReadContext;
use crate::plan::{Diagnostic, StepId};

/// Nodes there have no way to the registries of the charts.
pub(super) fn unreachable(cx: &ReadContext) -> Option<Diagnostic> {
    let partition = cx.facts.partition.as_str();
    let why = match partition {
        _ if cx.config.isolated => "an isolated cluster".to_owned(),
        "aws-cn" => "partition aws-cn".to_owned(),
        _ if partition.starts_with("aws-iso") => format!("the isolated partition {partition}"),
        _ => return None,
    };
    if cx.config.image_registry.is_some() {
        return None;
    }
    let runs = |component: &component::Component| {
        component.wanted(&cx.config, &cx.facts) && cx.config.chooses(&StepId::from(format!("helm.{}", component.short)))
    };
    let wanted = component::all(&cx.config).into_iter().filter(runs);
    // Whoever names the image in the component's values has seen to it.
    let left = wanted.filter(|component| {
        let values = &component.configured(&cx.config).values;
        component
            .images
            .first()
            .is_some_and(|image| image.value.split('.').try_fold(values, |value, name| value.get(name)).is_none())
    });
    let names: Vec<_> = left.map(|component| component.name).collect();
    (!names.is_empty()).then(|| {
        warning(format!(
            "the nodes of {why} may not reach the registries from which {} would run; `eks-bootstrap images` lists what to \
             mirror, --image-registry HOST/PREFIX takes it from there",
            names.join(", ")
        ))
    })
}
