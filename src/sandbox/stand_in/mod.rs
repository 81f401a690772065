//! Stand-ins for the work of the controllers that the sandbox's nodes only pretend to run.
//!
//! kwok marks pods as running, but no container ever starts: nobody would give an Ingress an address or a claim its volume.
//! These do it instead, with simulated AWS objects, and only while the real controller would: its Deployment has ready
//! replicas and its role may make the call. Otherwise they write the warning event that the controller would write, and
//! finalizers hang as they do in life. What they touch carries the annotation `sandbox.eks-bootstrap.dev/simulated`.
//!
//! ```text
//! watches -> wake -> load_balancer (stack, front) | accelerator | volume -> cluster -> control plane, simulated AWS
//! ```
//!
//! Started by the sandbox with its control plane and ended with it; never for an existing cluster.

mod accelerator;
mod addon;
mod agent;
mod cluster;
mod front;
mod load_balancer;
mod stack;
mod volume;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::AsyncBufReadExt as _;
use http::Request;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::error::{Error, Result};
use crate::kube_client::{KubeTarget, kubeconfig};
use crate::sandbox::aws::Simulator;

pub(super) use addon::Renderer;
pub(super) use cluster::Place;

use addon::Addon;
use cluster::Cluster;
use load_balancer::LoadBalancers;

/// What the stand-ins work on, and what tells whether they may.
const WATCHED: [&str; 8] = [
    "/apis/apps/v1/namespaces/kube-system/deployments",
    "/apis/networking.k8s.io/v1/ingresses",
    "/apis/elbv2.k8s.aws/v1beta1/targetgroupbindings",
    "/apis/aga.k8s.aws/v1beta1/globalaccelerators",
    "/apis/storage.k8s.io/v1/volumeattachments",
    "/api/v1/services",
    "/api/v1/persistentvolumeclaims",
    "/api/v1/persistentvolumes",
];
/// Changes come in groups; one look after the group is enough.
const GROUPING: Duration = Duration::from_millis(40);
/// Roles and policies change without the control plane knowing, and what failed is tried again.
const RESYNC: Duration = Duration::from_secs(1);

/// The running stand-ins; they end when this is dropped.
pub(super) struct StandIns(JoinSet<()>);

impl StandIns {
    /// Waits until they have ended: none of them writes after this.
    pub(super) async fn stop(mut self) {
        self.0.shutdown().await;
    }
}

/// Starts the stand-ins; returns at once, they wait for their controllers by themselves.
///
/// # Errors
/// A kubeconfig that cannot be used.
pub(super) async fn start(
    kubeconfig: &Path,
    place: Place,
    simulator: Simulator,
    renderer: Renderer,
) -> Result<StandIns> {
    let target = KubeTarget::Local(kubeconfig.to_path_buf());
    let cluster = Arc::new(Cluster::connect(&target, place, simulator).await?);
    let client = kubeconfig::local(kubeconfig).await.and_then(|config| Ok(kube::Client::try_from(config)?));
    let client = client.map_err(|source| Error::Sandbox {
        what: "the controllers' stand-ins cannot reach the control plane".to_owned(),
        source,
    })?;
    let wake = Arc::new(Notify::new());
    let mut tasks = JoinSet::new();
    for path in WATCHED {
        tasks.spawn(watch(client.clone(), path, Arc::clone(&wake)));
    }
    tasks.spawn(work(cluster, wake, Addon::new(renderer)));
    Ok(StandIns(tasks))
}

/// Wakes the stand-ins at every change of a collection; what changed they see by themselves.
async fn watch(client: kube::Client, path: &str, wake: Arc<Notify>) {
    loop {
        let request = Request::get(format!("{path}?watch=1&allowWatchBookmarks=false")).body(Vec::new());
        if let Ok(stream) = client.request_stream(request.expect("a constant path is a URI")).await {
            let mut lines = Box::pin(stream);
            let mut line = Vec::new();
            while matches!(lines.read_until(b'\n', &mut line).await, Ok(1..)) {
                line.clear();
                wake.notify_one();
            }
        }
        // The watch has ended, or the kind does not exist (yet).
        tokio::time::sleep(RESYNC).await;
    }
}

async fn work(cluster: Arc<Cluster>, wake: Arc<Notify>, mut addon: Addon) {
    let mut balancers = LoadBalancers::new(Arc::clone(&cluster));
    loop {
        if tokio::time::timeout(RESYNC, wake.notified()).await.is_ok() {
            tokio::time::sleep(GROUPING).await;
        }
        let (balanced, accelerated, provisioned, agent, driver) = tokio::join!(
            balancers.reconcile(),
            accelerator::reconcile(&cluster),
            volume::reconcile(&cluster),
            agent::reconcile(&cluster),
            addon.reconcile(&cluster)
        );
        for error in
            [balanced.err(), accelerated.err(), provisioned.err(), agent.err(), driver.err()].into_iter().flatten()
        {
            // Conflicts, and a control plane that is being stopped; the next look tries again.
            tracing::debug!(%error, "a stand-in of the sandbox could not finish");
        }
    }
}
