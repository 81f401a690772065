//! The table of texts by which refusals are recognised: the first row that fits is taken, so what is narrower stands first.
//!
//! Each text is one that Kubernetes or helm has kept for years, and stands in its source where the row says; the fixtures
//! beside the tests are what helm 3 and helm 4 printed against a real API server.

use super::Kind::{
    self, AdmissionPolicy, Conflict, Crash, Denied, HeldInDeletion, Image, Immutable, InProgress, Interrupted, Invalid,
    KubernetesVersion, NamespaceTerminating, NoSuchKind, Overloaded, Ownership, PluginFailed, PluginMissing,
    PodSecurity, Quota, RecordTooLarge, Reported, Schema, Template, TimedOut, Unschedulable, Volume, WebhookDenied,
    WebhookUnreachable,
};

/// One text.
pub(super) struct Row {
    /// What it means.
    pub(super) kind: Kind,
    /// The statuses with which the API server sends it; empty for any. Helm tells none.
    pub(super) statuses: &'static [u16],
    /// What the text holds, all of it.
    pub(super) parts: &'static [&'static str],
    /// Between which parts of the text its subject stands; helm 3 and helm 4 put it differently.
    pub(super) subject: &'static [(&'static str, &'static str)],
}

const fn row(
    kind: Kind,
    statuses: &'static [u16],
    parts: &'static [&'static str],
    subject: &'static [(&'static str, &'static str)],
) -> Row {
    Row { kind, statuses, parts, subject }
}

/// The table. Where: `k8s` is kubernetes/kubernetes, `helm` helm/helm.
#[rustfmt::skip]
pub(super) static ROWS: &[Row] = &[
    // k8s apiserver/pkg/admission/plugin/webhook. A denial has the code that the webhook chose, 400 if none.
    row(WebhookUnreachable, &[500], &["failed calling webhook \""], &[("failed calling webhook \"", "\"")]),
    row(WebhookDenied, &[], &["admission webhook \"", "denied the request"], &[("admission webhook \"", "\"")]),
    // k8s apiserver/pkg/admission/plugin/policy/validating; the code is the policy's reason.
    row(AdmissionPolicy, &[], &["ValidatingAdmissionPolicy '", "denied request"], &[("ValidatingAdmissionPolicy '", "'")]),
    // k8s pod-security-admission
    row(PodSecurity, &[403], &["violates PodSecurity \""], &[("violates PodSecurity \"", "\"")]),
    // k8s plugin/pkg/admission/namespace/lifecycle
    row(NamespaceTerminating, &[403], &["because it is being terminated"], &[("new content in namespace ", " ")]),
    // k8s plugin/pkg/admission/resourcequota and limitranger
    row(Quota, &[403], &["exceeded quota: "], &[("exceeded quota: ", ",")]),
    row(Quota, &[403], &["failed quota: "], &[("failed quota: ", ":")]),
    row(Quota, &[403], &["imum ", " usage per "], &[]),
    // k8s apiserver/pkg/endpoints/handlers/responsewriters: the authorizer's words.
    row(Denied, &[403], &["is forbidden: User \"", "cannot "], &[("is forbidden: User \"", "\"")]),
    // k8s pkg/registry/rbac/validation: a role may not be given what its writer does not have.
    row(Denied, &[403], &["is attempting to grant RBAC permissions not currently held"], &[("is forbidden: user \"", "\"")]),
    // k8s client-go/plugin/pkg/client/auth/exec
    row(PluginMissing, &[], &["exec: executable ", " not found"], &[("exec: executable ", " not found")]),
    row(PluginFailed, &[], &["getting credentials: "], &[("exec: executable ", " failed")]),
    // helm pkg/action/validate.go
    row(Ownership, &[], &["invalid ownership metadata"], &[("with install: ", " exists and"), ("with update: ", " exists and")]),
    // helm pkg/chart/.../jsonschema.go and pkg/action/install.go
    row(Schema, &[], &["values don't meet the specifications of the schema"], &[("following chart(s):", ":")]),
    row(KubernetesVersion, &[], &["chart requires kubeVersion: "], &[("chart requires kubeVersion: ", " which")]),
    // k8s pkg/apis/core/validation (a Secret's MaxSecretSize), apiserver's limit of a request, etcd's of one.
    row(RecordTooLarge, &[], &["Too long", "1048576"], &[]),
    row(RecordTooLarge, &[], &["equest is too large"], &[]),
    row(RecordTooLarge, &[], &["equest entity too large"], &[]),
    // k8s apimachinery/pkg/api/validation and the kinds' own validation of updates
    row(Immutable, &[422], &["field is immutable"], &[("with kind ", ":"), ("Kind=", ":")]),
    row(Immutable, &[422], &["may not change once set"], &[("with kind ", ":"), ("Kind=", ":")]),
    row(Immutable, &[422], &["cannot change roleRef"], &[("with kind ", ":"), ("Kind=", ":")]),
    row(Immutable, &[422], &["updates to ", "are forbidden"], &[("with kind ", ":"), ("Kind=", ":")]),
    row(Immutable, &[422], &["Forbidden: updates to "], &[("with kind ", ":"), ("Kind=", ":")]),
    // helm pkg/engine, pkg/action, and the YAML that it renders
    row(Template, &[], &["execution error at ("], &[("execution error at (", ")")]),
    row(Template, &[], &["parse error at ("], &[("parse error at (", ")")]),
    row(Template, &[], &["YAML parse error on "], &[("YAML parse error on ", ":")]),
    row(Template, &[], &["executing \"", " at <"], &[("template: ", ": executing"), ("FAILED: ", " executing")]),
    // k8s apimachinery/pkg/api/meta
    row(NoSuchKind, &[], &["no matches for kind \""], &[("no matches for kind \"", "\" ")]),
    row(NoSuchKind, &[404], &["does not know this kind or namespace"], &[]),
    // k8s apimachinery/pkg/api/errors and managedfields
    row(Conflict, &[409], &["Apply failed with ", "conflict"], &[("conflict with \"", "\"")]),
    row(Invalid, &[422], &["is invalid: "], &[]),
    row(Invalid, &[400], &["strict decoding error"], &[]),
    row(Invalid, &[400, 500], &["failed to create typed patch object"], &[]),
    row(Invalid, &[400], &["cannot unmarshal"], &[]),
    row(Interrupted, &[409], &["the object has been modified"], &[]),
    // helm pkg/action (errPending)
    row(InProgress, &[], &["another operation (install/upgrade/rollback) is in progress"], &[]),
    row(HeldInDeletion, &[], &["is being deleted since"], &[]),
    // The kubelet's and the scheduler's reasons, as pods and events tell them; before the time-outs that follow from them.
    row(Image, &[], &["ImagePullBackOff"], &[]),
    row(Image, &[], &["ErrImage"], &[]),
    row(Image, &[], &["InvalidImageName"], &[]),
    row(Unschedulable, &[], &["nschedulable"], &[]),
    row(Unschedulable, &[], &["nodes are available"], &[]),
    row(Volume, &[], &["FailedMount"], &[]),
    row(Volume, &[], &["FailedAttachVolume"], &[]),
    row(Crash, &[], &["CrashLoopBackOff"], &[]),
    row(Crash, &[], &["Unhealthy"], &[]),
    row(Crash, &[], &["OOMKilled"], &[]),
    // k8s apiserver/pkg/util/flowcontrol, client-go, and Go's net/http
    row(Overloaded, &[429], &["oo many requests"], &[]),
    row(Overloaded, &[503], &["asks to wait"], &[]),
    row(Interrupted, &[], &["http2: client connection lost"], &[]),
    row(Interrupted, &[], &["connection refused"], &[]),
    row(Interrupted, &[], &["connection reset by peer"], &[]),
    row(Interrupted, &[], &["unexpected EOF"], &[]),
    row(Interrupted, &[], &["TLS handshake timeout"], &[]),
    row(Interrupted, &[], &["etcdserver: "], &[]),
    row(Interrupted, &[503], &["unable to handle the request"], &[]),
    // helm pkg/kube's waiters
    row(TimedOut, &[], &["context deadline exceeded"], &[]),
    row(TimedOut, &[], &["timed out waiting"], &[]),
    row(TimedOut, &[], &["resource not ready"], &[]),
    // Reasons of controllers' events, such as FailedDeployModel, and AWS's code in them.
    row(Reported, &[], &["Failed"], &[]),
    row(Reported, &[], &["AccessDenied"], &[]),
];
