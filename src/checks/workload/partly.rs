//! A component's release by its live objects, for callers who may not read Helm's records. Called by `workload.rs`.

use crate::check::{Check, Finding, Scene, Verdict};
use crate::component::Component;
use crate::error::Denied;
use crate::read::kube::ObjectRef;
use crate::read::live_release::{Expected, Live};

/// What the live objects say: a difference is one, and its absence proves nothing.
pub(super) async fn release(
    check: &'static Check,
    scene: &Scene<'_>,
    component: &Component,
    records: &Denied,
) -> Finding {
    let objects: Vec<_> = component
        .objects
        .iter()
        .map(|(version, kind, name)| ObjectRef::new(version, kind, component.namespace, name))
        .collect();
    let live = match Live::read(&scene.cx.kube, &objects).await {
        Ok(live) => live,
        Err(error) => return check.unread(&error),
    };
    let values = component.chart_values(&scene.cx.config, &scene.cx.facts);
    let expected = Expected {
        release: &format!("{}/{}", component.namespace, component.name),
        chart: component.chart,
        version: &component.configured(&scene.cx.config).version,
        images: &component.image_repositories(&values),
    };
    finding(check, &live, expected, records, component.short)
}

fn finding(check: &'static Check, live: &Live, expected: Expected<'_>, records: &Denied, short: &str) -> Finding {
    let differences = live.differences(expected);
    if differences.is_empty() {
        let reason = format!(
            "partly read: chart {} by the labels of {} objects; denied: {}",
            expected.version,
            live.found.len(),
            records.right()
        );
        let mend = "grant what `eks-bootstrap permissions --for verify --kubernetes` prints".to_owned();
        let verdict = Verdict::Unknown { reason, mend: Some(mend) };
        return Finding { check, about: None, says: check.title.to_owned(), verdict };
    }
    check.failed(
        format!("partly read, without the right to {}: the live objects differ", records.right()),
        differences.join(", "),
        format!("chart {} {}", expected.chart, expected.version),
        format!("eks-bootstrap apply --only helm.{short}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Severity;
    use crate::error::KubeError;

    #[test]
    fn live_objects_prove_nothing_but_show_differences() {
        let check = crate::checks::of("EKB-LBC-001").unwrap();
        let records = Denied::Kube(KubeError {
            operation: "list secrets in n".to_owned(),
            status: Some(403),
            reason: String::new(),
            message: String::new(),
        });
        let expected = Expected { release: "n/x", chart: "x", version: "1.0.0", images: &[] };
        let right = finding(check, &Live::default(), expected, &records, "x");
        let Verdict::Unknown { reason, mend: Some(mend) } = &right.verdict else { panic!("{right:?}") };
        assert!(reason.starts_with("partly read: ") && reason.ends_with("denied: list secrets in n"), "{reason}");
        assert!(mend.contains("permissions --for verify --kubernetes"), "{mend}");
        let missing = vec![ObjectRef::new("v1", "Service", "n", "s")];
        let wrong = finding(check, &Live { missing, ..Live::default() }, expected, &records, "x");
        assert_eq!(wrong.severity(), Some(Severity::Error));
        assert!(wrong.says.starts_with("partly read"), "{}", wrong.says);
    }
}
