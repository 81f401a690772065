//! The sandbox: a simulated AWS beside a real local Kubernetes control plane. Everything is real except AWS itself.
//!
//! `commands/sandbox.rs` starts one for people, the integration tests and benchmarks for themselves. What the AWS simulator
//! keeps of AWS' behaviour is written in `aws/`; what of Kubernetes is answered by us instead of by pods (admission
//! webhooks, the metrics API, EKS' token and pod identity webhooks) in `control_plane/`; what the controllers would do for
//! Ingresses and volumes is simulated in `stand_in/`. It is not a way to run workloads: nodes are kwok's, no container ever
//! starts.
#![expect(
    clippy::disallowed_methods,
    reason = "the sandbox starts children, waits for them and has variables of its own"
)]

pub mod aws;
pub mod control_plane;
pub mod seal;
mod stand_in;

use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use http::Method;
use include_dir::{Dir, include_dir};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::kube_client::{KubeApi, KubeTarget};
use crate::kubeconfig;
use crate::names;
use crate::proxy;
use crate::read::kube::{KubeRead, ObjectRef, Paths};
use crate::read::rollout;
use aws::{Front, Seed, Simulator};
use control_plane::{ADMIN_GROUP, ControlPlane, ControlPlaneError, Programs, Progress, Sources, TokenUser};
use stand_in::{Place, Renderer, StandIns};

/// The stand-in charts.
static CHARTS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/templates/sandbox/charts");
const CHARTS_FOLDER: &str = "charts";

/// Makes a control plane.
pub type MakePlane = fn(control_plane::Options) -> LocalBoxFuture<'static, Result<ControlPlane, ControlPlaneError>>;

/// Makes a new one.
pub fn new_plane(options: control_plane::Options) -> LocalBoxFuture<'static, Result<ControlPlane, ControlPlaneError>> {
    ControlPlane::start(options).boxed_local()
}

/// How a sandbox is to start.
pub struct Options {
    /// The starting world.
    pub seed: Seed,
    /// Simulated latency of every AWS call.
    pub latency: Duration,
    /// This program, for tokens and for the process that cleans up.
    pub program: PathBuf,
    /// The helm binary; none means one of our own.
    pub helm: Option<PathBuf>,
    /// Where the programs come from that are not here yet.
    pub sources: Sources,
    /// Where the control plane comes from: [`new_plane`], or one that another sandbox has left.
    pub plane: MakePlane,
    /// Whether the stand-in charts are used.
    pub stand_in_charts: bool,
    /// A context of a kubeconfig (the usual files where none is named) whose cluster takes the control plane's place.
    pub existing: Option<(Option<PathBuf>, String)>,
    /// Told what takes long.
    pub progress: Arc<dyn Fn(Progress) + Send + Sync>,
}

/// A running sandbox; it ends with [`Sandbox::stop`], on drop, and when this process dies.
pub struct Sandbox {
    /// The simulated AWS.
    pub simulator: Simulator,
    /// The real control plane.
    pub plane: ControlPlane,
    front: Front,
    cluster: String,
    region: String,
    helm: PathBuf,
    charts: Option<PathBuf>,
    kubeconfig: PathBuf,
    tools: PathBuf,
    existing: bool,
    /// None beside a cluster that exists: what runs there does its work itself.
    stand_ins: Option<StandIns>,
}

/// What the control plane has to know of the seed's first cluster.
struct Cluster {
    name: String,
    region: String,
    partition: String,
    account: String,
    kubernetes_version: Option<String>,
    node_role_arn: String,
    /// What its tokens name, where it is a local one.
    outpost_id: Option<String>,
    objects: Vec<Value>,
    /// The groups of everyone whom the simulated AWS knows.
    groups: Vec<String>,
}

impl Cluster {
    fn first(seed: &Seed) -> Result<Cluster> {
        let Some(cluster) = seed.clusters.first() else {
            return Err(failed("the seed cannot be used", "it has no cluster: give `clusters` at least one"));
        };
        let node_role = cluster.nodegroups.first().map_or("nodes", |group| group.role.as_str());
        Ok(Cluster {
            name: cluster.name.clone(),
            region: cluster.region.clone().unwrap_or_else(|| seed.region.clone()),
            partition: seed.partition.clone(),
            account: seed.account.clone(),
            kubernetes_version: cluster.version.clone(),
            node_role_arn: names::iam_arn(&seed.partition, &seed.account, "role", "/", node_role),
            outpost_id: cluster.outpost_id.clone(),
            objects: cluster.objects.clone(),
            // Everyone is an administrator, as by an EKS access entry, unless the seed says otherwise.
            groups: seed.caller.groups.clone().unwrap_or_else(|| vec![ADMIN_GROUP.to_owned()]),
        })
    }

    fn place(&self, issuer: &str) -> Place {
        Place {
            cluster: self.name.clone(),
            region: self.region.clone(),
            partition: self.partition.clone(),
            account: self.account.clone(),
            issuer: issuer.to_owned(),
        }
    }
}

/// What a sandbox is built on: an existing cluster, or the programs of one to be started.
enum Found {
    Plane(ControlPlane),
    Programs(Programs),
}

impl Found {
    /// `MAJOR.MINOR` of its Kubernetes.
    fn kubernetes(&self) -> String {
        match self {
            Found::Plane(plane) => plane.kubernetes().to_owned(),
            Found::Programs(programs) => programs.kubernetes_minor(),
        }
    }
}

fn failed(what: &str, source: impl Into<crate::error::Cause>) -> Error {
    Error::Sandbox { what: what.to_owned(), source: source.into() }
}

impl Sandbox {
    /// Starts AWS and the control plane and puts the seed's objects into both.
    ///
    /// # Errors
    /// What is missing on this machine, or what failed.
    pub async fn start(options: Options) -> Result<Sandbox> {
        let Options { mut seed, latency, program, helm, sources, plane: make, stand_in_charts, existing, progress } =
            options;
        let cluster = Cluster::first(&seed)?;
        let lacking = |source| failed("a program that it needs is missing", source);
        let found = if let Some((kubeconfig, context)) = &existing {
            let plane = ControlPlane::existing(kubeconfig.as_deref(), context)
                .await
                .map_err(|source| failed("the cluster of the context cannot be used", source))?;
            // Tokens of that cluster carry its own issuer.
            if let Some(first) = seed.clusters.first_mut() {
                first.issuer = Some(plane.issuer().to_owned());
            }
            Found::Plane(plane)
        } else {
            let find = Programs::find(&sources, helm.is_none(), progress.as_ref());
            Found::Programs(find.await.map_err(lacking)?)
        };
        for cluster in &mut seed.clusters {
            cluster.version.get_or_insert_with(|| found.kubernetes());
        }
        let simulator = Simulator::new(seed).map_err(|source| failed("the seed cannot be used", source))?;
        simulator.set_latency(latency);
        let issuer = simulator.cluster_issuer(&cluster.name).unwrap_or_default();
        let helm = match (helm, &found) {
            (Some(helm), _) => helm,
            (None, Found::Programs(programs)) => programs.helm().map(Path::to_owned).unwrap_or_default(),
            (None, Found::Plane(_)) => Programs::helm_alone(&sources, progress.as_ref()).await.map_err(lacking)?,
        };
        let plane = match found {
            Found::Plane(plane) => plane,
            Found::Programs(programs) => {
                let options = plane_options(&simulator, &cluster, &issuer, &program, programs, progress);
                make(options).await.map_err(|source| failed("the control plane does not start", source))?
            }
        };
        simulator.set_cluster_endpoint(&cluster.name, plane.endpoint(), plane.ca_pem());
        simulator.set_issuer_keys(&issuer, plane.issuer_jwks());
        if existing.is_none() {
            simulator.give_nodes(&cluster.name, control_plane::instances());
        }
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .map_err(|source| failed("no loopback port is free", source))?;
        let front = simulator.serve(listener).await;
        let unpacked = unpack_charts(plane.directory())?;
        let tools = link_tools(plane.directory(), &program, &helm)?;
        // A cluster that exists does not know the simulated AWS's tokens, so there its own credentials are used.
        let kubeconfig = if existing.is_some() {
            plane.admin_kubeconfig().to_path_buf()
        } else {
            write_kubeconfig(&plane, &program, &cluster)?
        };
        let admin = plane.admin_kubeconfig().to_path_buf();
        let target = match &existing {
            Some(_) => KubeTarget::Kubeconfig { path: admin, context: None },
            None => KubeTarget::Local(admin),
        };
        // A cluster that exists is used as it is.
        if existing.is_none() {
            put(&target, &cluster.objects).await?;
        }
        let stand_ins = if existing.is_some() {
            None
        } else {
            let here = cluster.place(&issuer);
            let renderer = Renderer { helm: helm.clone(), charts: unpacked.clone() };
            Some(stand_in::start(plane.admin_kubeconfig(), here, simulator.clone(), renderer).await?)
        };
        Ok(Sandbox {
            simulator,
            plane,
            front,
            cluster: cluster.name,
            region: cluster.region,
            helm,
            charts: stand_in_charts.then_some(unpacked),
            kubeconfig,
            tools,
            existing: existing.is_some(),
            stand_ins,
        })
    }

    /// The address of the simulated AWS.
    pub fn aws_url(&self) -> String {
        self.front.url()
    }

    /// The cluster's name.
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// The variables by which the aws CLI, kubectl, helm and this program find the sandbox; [`seal`] knows those that have to go
    /// before they are set.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let text = |path: &Path| path.display().to_string();
        let key = self.simulator.access_key();
        let mut variables = vec![
            ("AWS_ENDPOINT_URL", self.front.url()),
            ("AWS_ACCESS_KEY_ID", key.access_key_id),
            ("AWS_SECRET_ACCESS_KEY", key.secret_access_key),
            ("AWS_REGION", self.region.clone()),
            ("AWS_DEFAULT_REGION", self.region.clone()),
            // Nothing of the user's own AWS configuration is to leak in.
            ("AWS_CONFIG_FILE", "/dev/null".to_owned()),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null".to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            ("EKS_BOOTSTRAP_CLUSTER", self.cluster.clone()),
            ("EKS_BOOTSTRAP_HELM", text(&self.helm)),
            ("EKS_BOOTSTRAP_SANDBOX_TOKEN", self.front.token().to_owned()),
            ("HELM_BIN", text(&self.helm)),
            ("KUBECONFIG", text(&self.kubeconfig)),
        ];
        // Nothing but the user's own proxies would lead away from loopback.
        for (name, value) in proxy::sparing(&["127.0.0.1", "localhost"]) {
            variables.push((name, value));
        }
        if self.existing {
            variables.push(("EKS_BOOTSTRAP_KUBECONFIG", text(&self.kubeconfig)));
        }
        if let Some(charts) = &self.charts {
            variables.push(("EKS_BOOTSTRAP_CHARTS", text(charts)));
        }
        variables
    }

    /// A folder with this program and the sandbox's helm under their names, for the front of `PATH`.
    pub fn tools(&self) -> &Path {
        &self.tools
    }

    /// Ends everything and removes the files.
    pub async fn stop(self) {
        drop(self.stand_ins);
        self.plane.stop().await;
    }

    /// Ends everything but the control plane, and removes the files that it does not need.
    ///
    /// # Errors
    /// A file stays.
    pub async fn into_plane(self) -> Result<ControlPlane> {
        if let Some(stand_ins) = self.stand_ins {
            stand_ins.stop().await;
        }
        let folder = self.plane.directory();
        let removed = fs::remove_dir_all(folder.join(CHARTS_FOLDER))
            .and_then(|()| fs::remove_dir_all(&self.tools))
            .and_then(|()| fs::remove_file(&self.kubeconfig));
        removed.map_err(|source| failed("its files cannot be removed", source))?;
        Ok(self.plane)
    }
}

/// Creates the seed's Kubernetes objects, as another tool would have: under another field manager.
async fn put(target: &KubeTarget, objects: &[Value]) -> Result<()> {
    let api = KubeApi::connect(target).await?;
    let paths = Paths::new(api.clone());
    for object in objects {
        let reference = ObjectRef::of(object);
        let what = format!("the seed's {reference} cannot be created");
        let namespace = reference.namespace.as_deref().unwrap_or("default");
        let Some(path) = paths.collection(&reference.api_version, &reference.kind, namespace).await? else {
            return Err(failed(&what, "the API server does not know its kind"));
        };
        let path = format!("{path}?fieldManager=seed");
        let created = api.request(&what, Method::POST, &path, "application/json", object).await;
        if created.map_err(|source| failed(&what, source))?.is_none() {
            return Err(failed(&what, "its namespace does not exist"));
        }
    }
    settle(target, objects).await
}

/// How long workloads of a seed are waited for; one that is meant to stay broken costs this.
const SETTLED: Duration = Duration::from_secs(10);

/// Waits until the seed's workloads have rolled out, so that a fresh sandbox is as sound as a cluster that has been there.
async fn settle(target: &KubeTarget, objects: &[Value]) -> Result<()> {
    let workloads: Vec<_> = objects.iter().map(ObjectRef::of).collect();
    let kube = KubeRead::connect(target).await?;
    let end = std::time::Instant::now() + SETTLED;
    while !rollout::of(&kube, &workloads).await?.ready && std::time::Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// A control plane that knows the callers of the simulated AWS.
fn plane_options(
    simulator: &Simulator,
    cluster: &Cluster,
    issuer: &str,
    program: &Path,
    programs: Programs,
    progress: Arc<dyn Fn(Progress) + Send + Sync>,
) -> control_plane::Options {
    let judge = simulator.clone();
    let (name, groups) = (cluster.name.clone(), cluster.groups.clone());
    let (eks, of) = (simulator.clone(), cluster.name.clone());
    control_plane::Options {
        cluster: cluster.name.clone(),
        issuer: issuer.to_owned(),
        region: cluster.region.clone(),
        partition: cluster.partition.clone(),
        account: cluster.account.clone(),
        node_role_arn: cluster.node_role_arn.clone(),
        kubernetes_version: cluster.kubernetes_version.clone(),
        programs,
        reaper: Some(program.to_path_buf()),
        authenticate: Arc::new(move |token| {
            let principal = judge.authenticate_eks_token(token, &name)?;
            Ok(TokenUser { username: principal.arn, uid: principal.user_id, groups: groups.clone() })
        }),
        associated: Arc::new(move |namespace, account| eks.pod_is_associated(&of, namespace, account)),
        progress,
    }
}

fn link_tools(directory: &Path, program: &Path, helm: &Path) -> Result<PathBuf> {
    let tools = directory.join("bin");
    let link = |what: &Path, name: &str| std::os::unix::fs::symlink(std::path::absolute(what)?, tools.join(name));
    fs::DirBuilder::new()
        .mode(0o700)
        .create(&tools)
        .and_then(|()| link(program, "eks-bootstrap"))
        .and_then(|()| link(helm, "helm"))
        .map_err(|source| failed("its programs cannot be linked", source))?;
    Ok(tools)
}

fn unpack_charts(directory: &Path) -> Result<PathBuf> {
    let charts = directory.join(CHARTS_FOLDER);
    fs::DirBuilder::new()
        .mode(0o700)
        .create(&charts)
        .and_then(|()| CHARTS.extract(&charts))
        .map_err(|source| failed("the charts cannot be unpacked", source))?;
    Ok(charts)
}

/// A kubeconfig for people: kubectl and helm get their tokens from this program, as they would on EKS.
fn write_kubeconfig(plane: &ControlPlane, program: &Path, cluster: &Cluster) -> Result<PathBuf> {
    let mut arguments = vec!["token", "--cluster", &cluster.name, "--region", &cluster.region];
    if let Some(id) = &cluster.outpost_id {
        arguments.extend(["--cluster-id", id]);
    }
    let document = kubeconfig::with_our_token(
        &cluster.name,
        plane.endpoint(),
        plane.ca_pem(),
        program,
        &arguments,
        kubeconfig::Ways::default(),
    );
    let path = plane.directory().join("kubeconfig");
    let write = || -> std::io::Result<()> {
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        serde_json::to_writer_pretty(file, &document).map_err(std::io::Error::other)
    };
    write().map_err(|source| failed("the kubeconfig cannot be written", source))?;
    Ok(path)
}
