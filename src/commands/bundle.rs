//! `bundle`: downloads the charts of the wanted components once into one file, which `--charts` takes. Asks neither AWS nor a
//! cluster.

use serde_json::json;

use crate::bundle::{self, Entry, Index};
use crate::cli::{BundleArgs, Global, Output};
use crate::commands::images;
use crate::config::Config;
use crate::connect;
use crate::error::{Error, Result};
use crate::escape::line;
use crate::exit_code;
use crate::files;
use crate::read::chart::{ChartRead, ChartRef, ChartSource, oci_reference};
use crate::render::terminal::Terminal;
use crate::unpacking::LARGEST_FILE;

/// Runs the command.
///
/// # Errors
/// A chart that is not there or not what its digest says, or a file that cannot be written.
pub async fn run(global: &Global, args: &BundleArgs, terminal: Terminal) -> Result<u8> {
    let mut config = Config::resolve_for_any_cluster(global, &args.wanted)?;
    // Images are listed where they come from, since they are to be copied from there.
    config.image_registry = None;
    let charts = ChartRead::new(connect::helm(&config).await?);
    let mut packed = Vec::new();
    for component in images::wanted(&config) {
        let chart = config.chart(&component);
        let local = charts.local(&chart).await?;
        let Some(digest) = local.digest else {
            return Err(Error::Usage {
                message: format!("chart {} is a folder, and a bundle holds archives", chart.name),
                mend: format!("pack it with `helm package {}`, or leave --charts out", local.path.display()),
            });
        };
        let bytes = files::read(&local.path, LARGEST_FILE)
            .map_err(|source| Error::io(format!("read the archive of chart {}", chart.name), source.into()))?;
        let images = images::of(&component, &config, &charts).await?;
        let images = images.into_iter().map(|running| running.image).collect();
        let source = source(&chart);
        packed.push((Entry { name: chart.name, version: chart.version, source, digest, images }, bytes));
    }
    if packed.is_empty() {
        return Err(Error::Usage {
            message: "no component is wanted that has a chart".to_owned(),
            mend: "leave out --disable, or turn one on with --enable".to_owned(),
        });
    }
    let index = bundle::write(&args.out, packed)?;
    let file = args.out.display().to_string();
    terminal.result(&match global.output {
        Output::Json => format!("{:#}\n", json!({ "file": file, "bundle": index })),
        _ => text(&file, &index),
    });
    Ok(exit_code::DONE)
}

/// Where a chart came from, without the paths of this machine.
fn source(chart: &ChartRef) -> String {
    match &chart.source {
        ChartSource::Repository(url) if url.starts_with("oci://") => oci_reference(url, &chart.name),
        ChartSource::Repository(url) => url.clone(),
        ChartSource::Folder(_) => "a folder".to_owned(),
        ChartSource::Bundle(_) => "another bundle".to_owned(),
    }
}

fn text(file: &str, index: &Index) -> String {
    use std::fmt::Write as _;
    let file = line(file);
    let mut text = format!("{file}\n\ncharts\n");
    for Entry { name, version, source, digest, .. } in &index.charts {
        let _ = writeln!(text, "  {}\n    {digest}", line(&format!("{name} {version}  from {source}")));
    }
    text.push_str("\nimages\n");
    for image in images::lines(index.charts.iter().flat_map(|entry| &entry.images).map(String::as_str)).lines() {
        let _ = writeln!(text, "  {image}");
    }
    let _ = writeln!(text, "\nuse it with --charts {file}");
    text
}
