//! The objects of the EBS CSI driver's add-on, which EKS makes, changes and deletes with it: the stand-in chart, rendered by
//! helm and applied as EKS applies an add-on, under the field manager `eks` and its label.

use std::path::PathBuf;
use std::process::Stdio;

use serde_json::{Value, json};

use super::cluster::{Cluster, SIMULATED};
use crate::component::{EBS_CSI_DRIVER, merge};
use crate::error::{Cause, Error, Result};
use crate::owner::MANAGED_BY_LABEL;
use crate::read::manifest;
use crate::sandbox::aws::{AddonObjects, Installation, OnConflict};

/// The field manager of EKS' writes.
const FIELD_MANAGER: &str = "eks";

/// What renders the chart.
#[derive(Debug, Clone)]
pub(in crate::sandbox) struct Renderer {
    pub(in crate::sandbox) helm: PathBuf,
    pub(in crate::sandbox) charts: PathBuf,
}

/// Installs the add-on of one cluster.
pub(super) struct Addon {
    renderer: Renderer,
    installed: Option<(Installation, Vec<Value>)>,
}

impl Addon {
    pub(super) fn new(renderer: Renderer) -> Addon {
        Addon { renderer, installed: None }
    }

    /// Brings the objects to what the add-on says, once for every change of it.
    pub(super) async fn reconcile(&mut self, cluster: &Cluster) -> Result<()> {
        match (&self.installed, cluster.simulator.addon_objects(&cluster.place.cluster, EBS_CSI_DRIVER.name)) {
            (_, AddonObjects::AsTheyAre) | (None, AddonObjects::Gone) => {}
            (Some((present, _)), AddonObjects::Wanted(wanted)) if *present == wanted => {}
            (_, AddonObjects::Wanted(wanted)) => {
                let objects = self.render(&wanted).await?;
                self.install(cluster, wanted, objects).await?;
            }
            (Some((_, objects)), AddonObjects::Gone) => {
                for object in objects.iter().rev() {
                    cluster.delete(object).await?;
                }
                self.installed = None;
            }
        }
        Ok(())
    }

    /// EKS looks at all objects before it changes the first one.
    async fn install(&mut self, cluster: &Cluster, wanted: Installation, objects: Vec<Value>) -> Result<()> {
        let mut conflicts = Vec::new();
        let mut free = Vec::new();
        for object in &objects {
            let found = match wanted.on_conflict {
                OnConflict::Overwrite => Vec::new(),
                OnConflict::Fail | OnConflict::Preserve => cluster.conflicts(object, FIELD_MANAGER).await?,
            };
            if found.is_empty() {
                free.push(object);
            }
            conflicts.extend(found);
        }
        if wanted.on_conflict == OnConflict::Fail && !conflicts.is_empty() {
            let message = format!(
                "Conflicts found when trying to apply. Will not continue due to resolve conflicts mode. Conflicts:\n{}",
                conflicts.join("\n")
            );
            cluster.simulator.addon_conflicted(&cluster.place.cluster, EBS_CSI_DRIVER.name, &message);
            return Ok(());
        }
        for object in free {
            cluster.apply(object, FIELD_MANAGER).await?;
        }
        self.installed = Some((wanted, objects));
        Ok(())
    }

    async fn render(&self, wanted: &Installation) -> Result<Vec<Value>> {
        let failed =
            |source: Cause| Error::Sandbox { what: "the add-on's objects cannot be rendered".to_owned(), source };
        let mut values =
            json!({"controller": {"serviceAccount": {"create": true, "name": EBS_CSI_DRIVER.service_account}}});
        if let Some(arn) = &wanted.role_arn {
            values["controller"]["serviceAccount"]["annotations"] =
                json!({crate::steps::catalogue::ROLE_ANNOTATION: arn});
        }
        if let Some(text) = &wanted.configuration {
            let configured: Value = serde_saphyr::from_str(text).map_err(|source| failed(source.to_string().into()))?;
            merge(&mut values, &configured);
        }
        let mut command = tokio::process::Command::new(&self.renderer.helm);
        let chart = self.renderer.charts.join(EBS_CSI_DRIVER.name);
        command.args(["template", EBS_CSI_DRIVER.name]).arg(chart).args(["--namespace", EBS_CSI_DRIVER.namespace]);
        // An add-on has no hooks, so the chart's test pod is none of its objects.
        command
            .args(["--no-hooks", "--values", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.env_remove("KUBECONFIG").kill_on_drop(true);
        let run = async {
            use tokio::io::AsyncWriteExt as _;
            let mut child = command.spawn()?;
            if let Some(mut stdin) = child.stdin.take() {
                stdin.write_all(values.to_string().as_bytes()).await?;
            }
            child.wait_with_output().await
        };
        let output = run.await.map_err(|source| failed(source.into()))?;
        if !output.status.success() {
            return Err(failed(String::from_utf8_lossy(&output.stderr).into_owned().into()));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let objects = manifest::objects(&text).map_err(|reason| failed(reason.into()))?;
        Ok(objects.into_iter().map(as_eks_does).collect())
    }
}

/// The object with EKS' label instead of Helm's, and marked as simulated.
fn as_eks_does(mut object: Value) -> Value {
    merge(
        &mut object["metadata"],
        &json!({
            "labels": {MANAGED_BY_LABEL: "EKS"},
            "annotations": {SIMULATED: "made by the eks-bootstrap sandbox, as EKS makes it with the add-on"},
        }),
    );
    object
}
