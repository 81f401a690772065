//! Ops: the only writes of the program. One op is one API call or one helm run.
//!
//! An op is data. Its text, the IAM actions that it needs, the equivalent shell command and its execution all come from
//! the same value, so that what is shown cannot drift from what is done. Only the engine runs ops, with a
//! [`WriteContext`] that no read path can get hold of.

pub mod eks;
pub mod helm;
pub mod iam;
pub mod kube;
pub mod shell;

use serde::Serialize;

use crate::context::WriteContext;
use crate::error::Result;
use crate::op::helm::HelmOp;
use crate::op::kube::KubeOp;
use crate::op::shell::Supply;
use crate::secrets::Scrub;

/// One write.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "service", rename_all = "kebab-case")]
pub enum Op {
    /// A call to IAM.
    Iam(iam::IamOp),
    /// A call to EKS.
    Eks(eks::EksOp),
    /// A call to the Kubernetes API server.
    Kube(kube::KubeOp),
    /// A run of helm.
    Helm(helm::HelmOp),
}

impl Op {
    /// The call as IAM (`iam:CreateRole`, `eks:CreateAddon`), RBAC (`k8s:patch serviceaccounts`) or helm (`helm:upgrade`) name it.
    pub fn call(&self) -> String {
        match self {
            Op::Iam(op) => op.call().to_owned(),
            Op::Eks(op) => op.call().to_owned(),
            Op::Kube(op) => op.call(),
            Op::Helm(op) => op.call(),
        }
    }

    /// The equivalent command of the aws CLI, kubectl or helm.
    pub fn command(&self) -> String {
        match self {
            Op::Iam(op) => op.command(),
            Op::Eks(op) => op.command(),
            Op::Kube(op) => op.command(),
            Op::Helm(op) => op.command(),
        }
    }

    /// Performs the write.
    ///
    /// # Errors
    /// What the service said; whether the write took place is then unknown, and a new observation tells.
    pub async fn run(&self, cx: &WriteContext) -> Result<()> {
        let outcome = match self {
            Op::Iam(op) => op.run(&cx.iam).await,
            Op::Eks(op) => op.run(&cx.eks).await,
            Op::Kube(op) => op.run(&cx.kube).await,
            Op::Helm(op) => op.run(&cx.helm).await,
        };
        // Who refuses a value repeats it.
        outcome.map_err(|error| self.secrets().error(error))
    }

    /// The secrets that it writes.
    fn secrets(&self) -> Scrub {
        match self {
            Op::Helm(HelmOp::Upgrade { release }) => Scrub::of(&release.values),
            Op::Kube(KubeOp::Apply { object, .. }) => Scrub::of(object),
            Op::Kube(KubeOp::Restore(restore)) => Scrub::of(&restore.document),
            Op::Eks(op) => op.configuration().as_ref().map(Scrub::of).unwrap_or_default(),
            _ => Scrub::default(),
        }
    }

    /// What a person has to supply to run the command, since it is not printed.
    pub fn supply(&self) -> Option<Supply> {
        match self {
            Op::Iam(_) => None,
            Op::Eks(op) => op.supply(),
            Op::Kube(op) => op.supply(),
            Op::Helm(op) => op.supply(),
        }
    }
}
