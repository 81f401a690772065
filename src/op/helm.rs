//! Writes that helm makes: install or upgrade, uninstall, rollback. One op is one run of helm.
//!
//! Helm reaches the cluster with a kubeconfig of ours that calls our own `token` command, or with the user's. A first Ctrl-C
//! lets it finish, its own `--timeout` ends it, and where the program has to be over soon it gets SIGTERM.

mod access;
mod chart_words;
mod seen;
mod stopped;
mod typed;

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::config::Config;
use crate::context::Facts;
use crate::error::{Error, Result};
use crate::escape::line;
use crate::helm_process::{Helm, Home, OLDEST, OLDEST_THAT_ADOPTS};
use crate::helm_writer::{self, WRITER_LABEL};
use crate::kube_client::KubeTarget;
use crate::limits::{self, HELM_GRACE};
use crate::op::shell::{Supply, quote};
use crate::owner::OUR_NAME;
use crate::read::chart::{ChartRead, ChartRef};
use crate::read::kube::KubeRead;
use crate::read::release::{self, ADOPTED_LABEL, MANAGED_BY_LABEL, OUR_LABEL};
use crate::stop::{self, Stops};
use access::Access;

/// What a release is to be.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseSpec {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its chart.
    pub chart: ChartRef,
    /// The values that are given.
    pub values: Value,
    /// How long helm waits, in seconds.
    pub timeout_seconds: u64,
    /// The cluster for which we install it.
    pub cluster_arn: String,
    /// Whether objects of others in the chart are taken over.
    pub take_ownership: bool,
}

/// One run of helm that writes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "call", rename_all = "kebab-case")]
pub enum HelmOp {
    /// `helm upgrade --install`, waiting until the workloads are ready.
    Upgrade {
        /// The release.
        release: Box<ReleaseSpec>,
    },
    /// `helm uninstall`, to remove a release, or to clear away a first installation that never finished.
    Uninstall {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// How long helm waits, in seconds.
        timeout_seconds: u64,
    },
    /// `helm rollback`, to get out of an upgrade that never finished.
    Rollback {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// The revision that was deployed last.
        revision: u64,
        /// How long helm waits, in seconds.
        timeout_seconds: u64,
    },
}

/// The label value that marks a release as installed by us for a cluster.
pub fn cluster_label(cluster_arn: &str) -> String {
    hex::encode(Sha256::digest(cluster_arn.as_bytes()))[..16].to_owned()
}

/// Helm, for writing.
#[derive(Clone)]
pub struct HelmWrite {
    helm: Helm,
    charts: ChartRead,
    kube: KubeRead,
    access: Arc<Access>,
    stops: Stops,
}

impl HelmWrite {
    /// A writer for the cluster of `facts`. Helm itself is looked for when it is needed.
    ///
    /// # Errors
    /// This program's own path cannot be found.
    pub fn new(
        config: &Config,
        facts: &Facts,
        target: &KubeTarget,
        helm: Helm,
        charts: ChartRead,
        kube: KubeRead,
    ) -> Result<HelmWrite> {
        let access = Access::new(config, facts, target)?;
        Ok(HelmWrite { helm, charts, kube, access: Arc::new(access), stops: stop::of_process() })
    }

    /// Makes sure that there is a helm that is new enough for `ops`, before anything is written.
    ///
    /// # Errors
    /// There is none, or it is too old.
    pub async fn check(&self, ops: impl Iterator<Item = &HelmOp>) -> Result<()> {
        for op in ops {
            let adopts = matches!(op, HelmOp::Upgrade { release } if release.take_ownership);
            self.helm.at_least(if adopts { &OLDEST_THAT_ADOPTS } else { &OLDEST }).await?;
        }
        Ok(())
    }
}

impl HelmOp {
    /// The run as the plan names it.
    pub fn call(&self) -> String {
        match self {
            HelmOp::Upgrade { .. } => "helm:upgrade",
            HelmOp::Uninstall { .. } => "helm:uninstall",
            HelmOp::Rollback { .. } => "helm:rollback",
        }
        .to_owned()
    }

    /// The equivalent command.
    pub fn command(&self) -> String {
        match self {
            HelmOp::Upgrade { release } => typed::upgrade(release),
            HelmOp::Uninstall { namespace, name, timeout_seconds } => {
                let (name, namespace) = (quote(name), quote(namespace));
                format!("helm uninstall {name} --namespace {namespace} --wait --timeout {timeout_seconds}s")
            }
            HelmOp::Rollback { namespace, name, revision, timeout_seconds } => {
                let (name, namespace) = (quote(name), quote(namespace));
                format!("helm rollback {name} {revision} --namespace {namespace} --wait --timeout {timeout_seconds}s")
            }
        }
    }

    /// What the command needs besides.
    pub(super) fn supply(&self) -> Option<Supply> {
        match self {
            HelmOp::Upgrade { release } => typed::supply(release),
            HelmOp::Uninstall { .. } | HelmOp::Rollback { .. } => None,
        }
    }

    /// Runs helm.
    pub async fn run(&self, helm: &HelmWrite) -> Result<()> {
        let mut home = Home::new()?;
        let mut arguments: Vec<OsString> = match self {
            HelmOp::Upgrade { release } => upgrade(release, helm, &home).await?,
            HelmOp::Uninstall { namespace, name, timeout_seconds } => {
                words(&["uninstall", name, "--namespace", namespace, "--wait", "--timeout", &timeout(*timeout_seconds)])
            }
            HelmOp::Rollback { namespace, name, revision, timeout_seconds } => {
                let (revision, timeout) = (revision.to_string(), timeout(*timeout_seconds));
                let plain = ["rollback", name, &revision, "--namespace", namespace, "--wait", "--timeout", &timeout];
                words(&[&plain[..], &forces(helm).await?[..]].concat())
            }
        };
        let limit = Duration::from_secs(self.timeout_seconds()) + HELM_GRACE.get();
        arguments.extend(helm.access.arguments(&mut home, limit).await?);
        let (namespace, name) = self.release();
        let command = format!("{} {name}", self.call().trim_start_matches("helm:"));
        match helm.helm.run_until(&command, &arguments, &home, limit, Some(&helm.stops)).await {
            Ok(_) => Ok(()),
            Err(Error::Stopped { what }) => Err(stopped::told(&helm.kube, &helm.stops, namespace, name, &what).await),
            Err(Error::HelmFailed { command, message, .. }) => {
                let history = match release::history(&helm.kube, namespace, name).await {
                    // Helm signs in as we do: what the API server says of the credentials is the cause.
                    Err(error) if error.bad_credentials() => return Err(error),
                    history => history.unwrap_or_default(),
                };
                if history.is_empty() && matches!(self, HelmOp::Uninstall { .. }) {
                    // Absent means done.
                    return Ok(());
                }
                let objects = history.first().map(|release| release.objects.as_slice()).unwrap_or_default();
                let seen = Box::pin(seen::of(&helm.kube, &message, namespace, objects)).await;
                Err(Error::HelmFailed { command, message, seen })
            }
            Err(other) => Err(other),
        }
    }

    fn timeout_seconds(&self) -> u64 {
        match self {
            HelmOp::Upgrade { release } => release.timeout_seconds,
            HelmOp::Uninstall { timeout_seconds, .. } | HelmOp::Rollback { timeout_seconds, .. } => *timeout_seconds,
        }
    }

    /// Namespace and name of the release.
    pub(crate) fn release(&self) -> (&str, &str) {
        match self {
            HelmOp::Upgrade { release } => (&release.namespace, &release.name),
            HelmOp::Uninstall { namespace, name, .. } | HelmOp::Rollback { namespace, name, .. } => (namespace, name),
        }
    }
}

/// What helm is given: no more than is left of the step, so that it ends by itself and says why.
fn timeout(seconds: u64) -> String {
    format!("{}s", limits::left(Duration::from_secs(seconds)).as_secs())
}

fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

fn labels(release: &ReleaseSpec) -> String {
    // What is taken over from someone else is marked, so that destroy gives it back instead of uninstalling it.
    let adopted = if release.take_ownership { format!(",{ADOPTED_LABEL}=true") } else { String::new() };
    format!("{OUR_LABEL}={},{MANAGED_BY_LABEL}={OUR_NAME}{adopted}", cluster_label(&release.cluster_arn))
}

async fn upgrade(release: &ReleaseSpec, helm: &HelmWrite, home: &Home) -> Result<Vec<OsString>> {
    let chart = helm.charts.local(&release.chart).await?;
    let values = home.write("values.json", &line(&release.values.to_string()))?;
    let timeout = timeout(release.timeout_seconds);
    let adopts = if release.take_ownership { vec!["--take-ownership"] } else { Vec::new() };
    let forces = forces(helm).await?;
    // Helm 4 does not hand its force flags on when `upgrade` has to install, and adopted objects have other managers.
    let history = release::history(&helm.kube, &release.namespace, &release.name).await?;
    let first = release.take_ownership && history.is_empty();
    // Should this helm die, the next run can tell.
    let revision = history.first().map_or(1, |latest| latest.revision + 1);
    let writer = helm_writer::label(revision).map(|writer| format!(",{WRITER_LABEL}={writer}")).unwrap_or_default();
    let verb: &[&str] = if first {
        &["install"]
    } else {
        // Values are exactly the given ones, whatever an earlier revision had.
        &["upgrade", "--install", "--reset-values", "--history-max", "10"]
    };
    let mut arguments = words(&[verb, &[&release.name]].concat());
    arguments.push(chart.path.into());
    // CRDs are applied by a step of their own, since helm never upgrades them.
    arguments.extend(words(&["--namespace", &release.namespace, "--skip-crds", "--wait", "--timeout", &timeout]));
    arguments.extend(words(&["--labels", &format!("{}{writer}", labels(release)), "--values"]));
    arguments.push(values.into());
    arguments.extend(words(&[adopts, forces].concat()));
    Ok(arguments)
}

/// Helm 4 applies server-side and stops at fields that someone edited by hand, in every later run too; helm 3 overwrites
/// them. The drift is ours to mend, so helm 4 is told to do the same, also for releases that helm 3 made.
async fn forces(helm: &HelmWrite) -> Result<Vec<&'static str>> {
    let found = helm.helm.found().await?;
    Ok(if found.1.major >= 4 { vec!["--server-side=true", "--force-conflicts"] } else { Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_fit_kubernetes() {
        let label = cluster_label("arn:aws:eks:eu-west-1:111122223333:cluster/demo");
        assert!(label.len() <= 63 && label.chars().all(|c| c.is_ascii_alphanumeric()));
    }
}
