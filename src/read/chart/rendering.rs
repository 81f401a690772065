//! What helm makes of a chart: every object, without the chart's tests. Offline for a fixed Kubernetes, or for a cluster with what
//! that offers; helm itself asks no cluster in either case.

use std::ffi::OsString;
use std::sync::Arc;

use serde_json::Value;

use super::{ChartRead, ChartRef};
use crate::error::{Error, Result};
use crate::escape::line;
use crate::flight::Flights;
use crate::helm_process::{Home, Keys};
use crate::limits::HELM_LOCAL;
use crate::read::kube::Capabilities;
use crate::read::manifest;
use crate::secrets::Scrub;

/// The Kubernetes version for which charts are rendered where there is no cluster.
const KUBERNETES: &str = "1.36.0";

/// The API of volume snapshots, beside which the EBS CSI driver's chart runs another sidecar.
const SNAPSHOTS: &str = "snapshot.storage.k8s.io/v1";

/// What was rendered in this run. Some charts make certificates, so that rendering again gives another text.
pub(super) type Rendered = Flights<String, Arc<Vec<Value>>>;

impl ChartRead {
    /// Every object of the chart with these values, without a cluster.
    ///
    /// # Errors
    /// As [`ChartRead::local`], or helm cannot render it.
    pub async fn rendered(&self, chart: &ChartRef, namespace: &str, values: &Value) -> Result<Vec<Value>> {
        // Helm alone would take the Kubernetes version that it was built for, which the oldest helm's chart may refuse. What a
        // cluster may have and what charts then run more for: no image is to be missing.
        let capabilities =
            Capabilities { kubernetes: KUBERNETES.to_owned(), api_versions: [SNAPSHOTS.to_owned()].into() };
        self.template(chart, &chart.name, namespace, values, &capabilities).await
    }

    /// Every object that helm would create of the chart as this release on a cluster; the same answer throughout a run.
    ///
    /// # Errors
    /// The same.
    pub async fn rendered_on(
        &self,
        chart: &ChartRef,
        (namespace, release): (&str, &str),
        values: &Value,
        capabilities: &Capabilities,
    ) -> Result<Arc<Vec<Value>>> {
        let key = format!("{chart:?} {namespace}/{release} {values} {capabilities:?}");
        let (charts, chart, values, capabilities) = (self.clone(), chart.clone(), values.clone(), capabilities.clone());
        let (namespace, release) = (namespace.to_owned(), release.to_owned());
        let render =
            async move { charts.template(&chart, &release, &namespace, &values, &capabilities).await.map(Arc::new) };
        self.rendered.get(key, || render).await
    }

    async fn template(
        &self,
        chart: &ChartRef,
        release: &str,
        namespace: &str,
        values: &Value,
        capabilities: &Capabilities,
    ) -> Result<Vec<Value>> {
        let local = self.local(chart).await?;
        let home = Home::new()?;
        let secrets = Scrub::of(values);
        let values = home.write("values.json", &line(&values.to_string()))?;
        let mut arguments: Vec<OsString> = vec!["template".into(), release.into(), local.path.into_os_string()];
        arguments.extend(["--namespace", namespace, "--skip-tests", "--values"].map(Into::into));
        arguments.push(values.into_os_string());
        arguments.extend(offered(capabilities));
        let command = format!("template {}", chart.name);
        let rendered = self.helm.run(&command, &arguments, &home, HELM_LOCAL.get(), Keys::Removed).await;
        // Helm repeats values that a schema refuses.
        let text = rendered.map_err(|error| secrets.error(error))?;
        manifest::objects(&text).map_err(|error| Error::HelmFailed {
            command,
            message: secrets.text(&format!("what it rendered cannot be read: {error}")),
            seen: None,
        })
    }
}

/// What a cluster offers, as helm is told of it.
fn offered(capabilities: &Capabilities) -> Vec<OsString> {
    let versions = capabilities.api_versions.iter().flat_map(|version| ["--api-versions", version]);
    ["--kube-version", &capabilities.kubernetes].into_iter().chain(versions).map(OsString::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn helm_is_told_what_the_cluster_serves() {
        let api_versions = ["v1", "v1/Pod"].map(ToOwned::to_owned).into();
        let arguments = offered(&Capabilities { kubernetes: "v1.35.2-eks-1".to_owned(), api_versions });
        assert_eq!(
            arguments,
            ["--kube-version", "v1.35.2-eks-1", "--api-versions", "v1", "--api-versions", "v1/Pod"].map(OsString::from)
        );
    }
}
