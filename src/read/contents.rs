//! What charts contain, as helm renders them, for the rights that installing them needs: those of the user's own components, and
//! those of built-in ones that values of the user's change. Other charts are known; `permissions/cluster.rs` holds their table.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::component::{self, Component};
use crate::config::Config;
use crate::context::Facts;
use crate::error::Result;
use crate::permissions::cluster::{Contents, Kind, Told};
use crate::read::chart::ChartRead;
use crate::read::kube::KubeRead;

/// A chart of a component of a file, as helm renders it.
pub struct Rendered {
    component: Component,
    objects: Vec<Value>,
    crds: Vec<Value>,
}

impl Rendered {
    /// What it contains, with what the API server told of kinds that are neither Kubernetes' nor the chart's.
    pub fn contents(&self, told: &Told) -> Contents {
        Contents::rendered(&self.component, &self.objects, &self.crds, told)
    }
}

/// One for each wanted component of a file, and for each whose values the user changes.
///
/// # Errors
/// A chart of the user's own component that is not there, or that helm cannot render. A built-in one that cannot be rendered is left
/// to the table.
pub async fn rendered(charts: &ChartRead, config: &Config, facts: &Facts) -> Result<Vec<Rendered>> {
    let mut all = Vec::new();
    for component in component::wanted(config, facts) {
        if component.is_custom() {
            all.push(of(charts, config, facts, &component).await?);
        } else if component.configured(config).values.as_object().is_some_and(|values| !values.is_empty()) {
            all.extend(of(charts, config, facts, &component).await.ok());
        }
    }
    Ok(all)
}

async fn of(charts: &ChartRead, config: &Config, facts: &Facts, component: &Component) -> Result<Rendered> {
    let chart = config.chart(component);
    let values = component.chart_values(config, facts);
    let objects = charts.rendered(&chart, component.namespace, &values).await?;
    let local = charts.local(&chart).await?;
    let crds = if component.has_crds { local.crds(&values) } else { Vec::new() };
    Ok(Rendered { component: *component, objects, crds })
}

/// What the API server says of kinds; nothing of those that it does not know or does not tell.
pub async fn told(kube: &KubeRead, kinds: BTreeSet<Kind>) -> Told {
    let mut told = Told::new();
    for (version, kind) in kinds {
        if let Ok(Some(found)) = kube.resourced(&version, &kind).await {
            told.insert((version, kind), found);
        }
    }
    told
}

/// The kinds of which only the API server can say how they are called.
pub fn unknown(charts: &[Rendered]) -> BTreeSet<Kind> {
    charts.iter().flat_map(|chart| chart.contents(&Told::new()).unknown().to_vec()).collect()
}
