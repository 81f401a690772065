//! What the charts of the user's own components contain, as helm renders them, for the rights that installing them needs. The
//! charts of built-in components are known; `permissions/cluster.rs` holds their table.

use crate::component;
use crate::config::Config;
use crate::context::Facts;
use crate::error::Result;
use crate::permissions::cluster::Contents;
use crate::read::chart::ChartRead;

/// One for each wanted component of a file.
///
/// # Errors
/// A chart that is not there, or that helm cannot render.
pub async fn of_custom(charts: &ChartRead, config: &Config, facts: &Facts) -> Result<Vec<Contents>> {
    let mut all = Vec::new();
    for component in component::wanted(config, facts).iter().filter(|component| component.is_custom()) {
        let chart = config.chart(component);
        let objects = charts.rendered(&chart, component.namespace, &component.chart_values(config, facts)).await?;
        let local = charts.local(&chart).await?;
        let crds = if component.has_crds { local.crds.as_slice() } else { &[] };
        all.push(Contents::rendered(component, &objects, crds));
    }
    Ok(all)
}
