//! What charts contain, as helm renders them, for the rights that installing them needs: those of the user's own components, and
//! those of built-in ones that values of the user's change. Other charts are known; `permissions/cluster.rs` holds their table.

use crate::component::{self, Component};
use crate::config::Config;
use crate::context::Facts;
use crate::error::Result;
use crate::permissions::cluster::Contents;
use crate::read::chart::ChartRead;

/// One for each wanted component of a file, and for each whose values the user changes.
///
/// # Errors
/// A chart of the user's own component that is not there, or that helm cannot render. A built-in one that cannot be rendered is left
/// to the table.
pub async fn rendered(charts: &ChartRead, config: &Config, facts: &Facts) -> Result<Vec<Contents>> {
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

async fn of(charts: &ChartRead, config: &Config, facts: &Facts, component: &Component) -> Result<Contents> {
    let chart = config.chart(component);
    let objects = charts.rendered(&chart, component.namespace, &component.chart_values(config, facts)).await?;
    let local = charts.local(&chart).await?;
    let crds = if component.has_crds { local.crds.as_slice() } else { &[] };
    Ok(Contents::rendered(component, &objects, crds))
}
