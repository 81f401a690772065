//! What the simulator adds to AWS: faults, the recorder and latency.

use std::time::Duration;

use eks_bootstrap::sandbox::aws::{At, Effect, Fault};

use super::lab::{TRUST, said};
use super::{Case, case};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(
            "fault: the second call is refused with a given error",
            Simulator,
            |lab| {
                lab.simulator().inject(Fault::once(
                    At::Call(2),
                    Effect::Error { code: "ServiceUnavailable".into(), status: 503, message: String::new() },
                ));
                let call = || lab.sts.get_caller_identity();
                format!("{}, {}, {}", said(call().send().await), said(call().send().await), said(call().send().await))
            },
            "ok, 503 ServiceUnavailable, ok"
        ),
        case!(
            "fault: throttled as each service does it",
            Simulator,
            |lab| {
                let throttle = |name: &str| Fault::once(At::Operation { name: name.into(), nth: 1 }, Effect::Throttle);
                for name in ["ListRoles", "ListClusters", "GetResources"] {
                    lab.simulator().inject(throttle(name));
                }
                let iam = said(lab.iam.list_roles().send().await);
                let eks = said(lab.eks.list_clusters().send().await);
                format!("{iam}, {eks}, {}", said(lab.tagging.get_resources().send().await))
            },
            "400 Throttling, 429 ThrottlingException, 400 ThrottledException"
        ),
        case!(
            "fault: a dropped call did nothing",
            Simulator,
            |lab| {
                lab.simulator().inject(Fault::once(At::Write(1), Effect::Drop));
                let create = || lab.iam.create_role().role_name("new").assume_role_policy_document(TRUST);
                format!("{}, {}", said(create().send().await), said(create().send().await))
            },
            "no answer, ok"
        ),
        case!(
            "fault: a call whose answer is lost was done",
            Simulator,
            |lab| {
                lab.simulator().inject(Fault::once(At::Write(1), Effect::LoseAnswer));
                let create = || lab.iam.create_role().role_name("new").assume_role_policy_document(TRUST);
                format!("{}, {}", said(create().send().await), said(create().send().await))
            },
            "no answer, 409 EntityAlreadyExists"
        ),
        case!(
            "recorder: operation, write, caller and error of each call",
            Simulator,
            |lab| {
                lab.role("new").await;
                said(lab.iam.get_role().role_name("none").send().await);
                let calls = lab.simulator().calls();
                let shown =
                    calls.iter().map(|it| format!("{} {} {} {:?}; ", it.number, it.operation, it.write, it.error));
                let mut text: String = shown.collect();
                lab.simulator().clear_calls();
                text.push_str(&lab.simulator().calls().len().to_string());
                text
            },
            r#"1 CreateRole true None; 2 GetRole false Some("NoSuchEntity"); 0"#
        ),
        case!(
            "latency: every call takes at least as long",
            Simulator,
            |lab| {
                lab.simulator().set_latency(Duration::from_millis(120));
                let start = std::time::Instant::now();
                said(lab.sts.get_caller_identity().send().await);
                (start.elapsed() >= Duration::from_millis(120)).to_string()
            },
            "true"
        ),
    ]
}
