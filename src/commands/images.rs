//! `images`: every image that the wanted components run, for mirroring. Helm renders the charts; AWS and the cluster are not
//! asked.

use serde_json::json;

use crate::cli::{Global, ImagesArgs, Output};
use crate::component;
use crate::config::Config;
use crate::connect;
use crate::context::Facts;
use crate::error::Result;
use crate::escape::line;
use crate::exit_code;
use crate::images::{self, Placed, Running};
use crate::read::chart::ChartRead;
use crate::render::terminal::Terminal;

/// Name and version of the form.
const SCHEMA: &str = "eks-bootstrap/images/v1";

/// Runs the command.
///
/// # Errors
/// A chart that is not there, or that helm cannot render.
pub async fn run(global: &Global, args: &ImagesArgs, terminal: Terminal) -> Result<u8> {
    let config = Config::resolve_for_any_cluster(global, &args.wanted)?;
    let charts = ChartRead::new(connect::helm(&config).await?);
    let mut all = Vec::new();
    for component in wanted(&config) {
        all.extend(of(&component, &config, &charts).await?);
    }
    terminal.result(&match global.output {
        Output::Json => format!("{:#}\n", json!({ "schema": SCHEMA, "images": all })),
        _ => lines(all.iter().map(|running| running.image.as_str())),
    });
    let mut code = exit_code::DONE;
    let registry = config.image_registry.as_deref().unwrap_or_default();
    for running in all.iter().filter(|running| running.placed != Placed::Right) {
        let Running { component, image, .. } = running;
        if running.placed == Placed::ByUser {
            terminal.message(&format!(
                "note: {component} runs {} outside {registry}, by your own chart values\n",
                line(image)
            ));
        } else {
            code = exit_code::FAILED;
            terminal.message(&format!(
                "warning: {component} runs {} outside {registry}: no value of its chart is known that names it; set it in \
                 the component's values\n",
                line(image)
            ));
        }
    }
    Ok(code)
}

/// One line each, every text once, in order.
pub(super) fn lines<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let once: std::collections::BTreeSet<_> = texts.collect();
    once.into_iter().fold(String::new(), |all, text| all + &line(text) + "\n")
}

/// The components that are wanted on a cluster that brings nothing itself.
pub(super) fn wanted(config: &Config) -> Vec<component::Component> {
    let facts = facts(config);
    component::wanted(config, &facts)
}

/// The images of one component under this configuration.
pub(super) async fn of(component: &component::Component, config: &Config, charts: &ChartRead) -> Result<Vec<Running>> {
    let values = component.chart_values(config, &facts(config));
    let objects = charts.rendered(&config.chart(component), component.namespace, &values).await?;
    let own = &component.configured(config).values;
    Ok(images::running(component, &objects, config.image_registry.as_deref(), own))
}

/// A cluster of which nothing is known: images do not depend on it, but the charts want some name everywhere.
pub(super) fn facts(config: &Config) -> Facts {
    let region = config.region.as_deref().unwrap_or("us-east-1");
    let account = config.account.as_deref().unwrap_or("111122223333");
    Facts { vpc: "vpc-any".to_owned(), ..Facts::offline(&config.cluster, region, account) }
}
