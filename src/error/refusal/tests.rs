use super::*;

/// What helm 3.17 and helm 4.3 printed on stderr against a real API server (Kubernetes 1.35), each under the kind that it is
/// to be recognised as.
const HELM: [(&str, &str); 2] = [
    ("helm 3", include_str!("../../../tests/fixtures/helm3-refusals.txt")),
    ("helm 4", include_str!("../../../tests/fixtures/helm4-refusals.txt")),
];

/// Heading and text, in one line as helm's last words are kept.
fn sections(fixture: &str) -> impl Iterator<Item = (&str, String)> {
    fixture.split("## ").skip(1).map(|section| {
        let (heading, text) = section.split_once('\n').unwrap();
        (heading, text.split_whitespace().collect::<Vec<_>>().join(" "))
    })
}

#[test]
fn what_both_helms_print_is_recognised() {
    for (helm, fixture) in HELM {
        let mut kinds = 0;
        for (heading, text) in sections(fixture) {
            let found =
                Refusal::of_text(&text).unwrap_or_else(|| panic!("{helm}: {heading} is not recognised: {text}"));
            assert_eq!(format!("{:?}", found.kind), heading, "{helm}: {text}");
            kinds += 1;
        }
        assert!(kinds >= 32, "{helm}: {kinds}");
    }
}

#[test]
fn what_a_refusal_speaks_of_is_named() {
    for (helm, fixture) in HELM {
        let subjects: Vec<_> = sections(fixture)
            .filter_map(|(heading, text)| Some((heading, Refusal::of_text(&text)?.subject?)))
            .map(|(heading, subject)| format!("{heading} {subject}"))
            .collect();
        for expected in [
            "WebhookDenied images.policy.example.com",
            "WebhookUnreachable mutate.kyverno.svc-fail",
            "AdmissionPolicy replica-limit",
            "PodSecurity restricted:latest",
            "Quota small",
            "Quota cpu",
            "PluginMissing aws-iam-authenticator-missing",
            "KubernetesVersion >=1.99.0",
            "NoSuchKind Widget",
            "Schema x",
            "Immutable StatefulSet",
            "Template x/templates/x.yaml:1:3",
            "Template x/templates/x.yaml:1:10",
        ] {
            assert!(subjects.iter().any(|subject| subject == expected), "{helm}: {expected} is not in {subjects:?}");
        }
        let unreachable = sections(fixture).find(|(heading, _)| *heading == "WebhookUnreachable").unwrap();
        let service = Refusal::of_text(&unreachable.1).unwrap().service;
        assert_eq!(service, Some(("kyverno".to_owned(), "kyverno-svc".to_owned())), "{helm}");
    }
}

#[test]
fn a_status_narrows_what_a_text_means() {
    let kube = |status: u16, message: &str| {
        let error = KubeError {
            operation: "apply X".to_owned(),
            status: Some(status),
            reason: String::new(),
            message: message.to_owned(),
        };
        (Refusal::of_kube(&error).map(|refusal| refusal.kind), error.denied())
    };
    let table = [
        (403, "secrets is forbidden: User \"bob\" cannot list resource \"secrets\"", Some(Kind::Denied), true),
        (403, "Forbidden", None, true),
        (401, "Unauthorized", None, true),
        (403, "pods \"x\" is forbidden: exceeded quota: small, requested: pods=1", Some(Kind::Quota), false),
        (403, "pods \"x\" is forbidden: violates PodSecurity \"restricted:latest\": y", Some(Kind::PodSecurity), false),
        (
            403,
            "configmaps \"x\" is forbidden: unable to create new content in namespace dns because it is being terminated",
            Some(Kind::NamespaceTerminating),
            false,
        ),
        (500, "failed calling webhook \"a.b\": x", Some(Kind::WebhookUnreachable), false),
        (422, "anything", Some(Kind::Invalid), false),
        (429, "anything", Some(Kind::Overloaded), false),
        (409, "exceeded quota: small, no", None, false),
        (500, "anything", None, false),
    ];
    for (status, message, kind, denied) in table {
        assert_eq!(kube(status, message), (kind, denied), "{status} {message}");
    }
}

#[test]
fn what_pods_and_events_say_is_recognised() {
    let table = [
        ("pod ...x7k2q ImagePullBackOff: 403", Kind::Image),
        (
            "pod ...x7k2q Unschedulable: 0/2 nodes are available: 2 node(s) had untolerated taint(s)",
            Kind::Unschedulable,
        ),
        (
            "FailedCreate: Error creating: pods \"x-\" is forbidden: exceeded quota: small, requested: pods=1",
            Kind::Quota,
        ),
        (
            "pod ...x7k2q FailedMount: MountVolume.SetUp failed for volume \"cert\": secret \"tls\" not found",
            Kind::Volume,
        ),
        ("pod ...x7k2q Unhealthy: Readiness probe failed: dial tcp: connection refused", Kind::Crash),
        ("Namespace/dns is being deleted since 2026-01-01T00:00:00Z, held by ConfigMap/dns/a", Kind::HeldInDeletion),
        ("Ingress/shop/web: FailedDeployModel: AccessDenied", Kind::Reported),
    ];
    for (text, kind) in table {
        assert_eq!(Refusal::of_text(text).map(|refusal| refusal.kind), Some(kind), "{text}");
    }
    assert_eq!(Refusal::of_text("deployment 1/2 ready"), None);
}
