//! How a chart is named in a command that a person could type. Pure; used by `op/helm.rs` for `plan -o commands`.

use crate::op::shell::quote;
use crate::read::chart::{ChartRef, ChartSource, OCI, oci_reference};

/// What has to be run before, and the chart as helm is told of it.
pub(super) fn of(chart: &ChartRef) -> (String, String) {
    let ChartRef { name, version, .. } = chart;
    let archive = format!("{name}-{version}.tgz");
    let (plain, version) = (archive.as_str(), quote(version));
    let archive = quote(plain);
    // Before what could be taken for a flag.
    let here = quote(&format!("./{plain}"));
    let words = match &chart.source {
        ChartSource::Folder(folder) => return (String::new(), quote(&folder.join(name).display().to_string())),
        ChartSource::Bundle(file) => {
            return (format!("tar -xf {} {archive} && ", quote(&file.display().to_string())), here);
        }
        ChartSource::Repository(url) if url.starts_with(OCI) => {
            format!("{} --version {version}", quote(&oci_reference(url, name)))
        }
        ChartSource::Repository(url) => format!("{} --repo {} --version {version}", quote(name), quote(url)),
    };
    match chart.digest.as_ref().and_then(|digest| digest.strip_prefix("sha256:")) {
        // Helm itself verifies no digest of an archive.
        Some(digest) => (
            format!(
                "helm pull {words} && printf '%s\\n' {} | sha256sum --check - && ",
                quote(&format!("{digest}  {plain}"))
            ),
            here,
        ),
        None => (String::new(), words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(source: ChartSource, digest: Option<&str>) -> String {
        let digest = digest.map(ToOwned::to_owned);
        let (first, chart) = of(&ChartRef { name: "x".to_owned(), version: "1.0.0".to_owned(), source, digest });
        format!("{first}helm upgrade {chart}")
    }

    #[test]
    fn a_pinned_chart_is_verified_before_it_is_used() {
        let registry = || ChartSource::Repository("oci://a.example/charts".to_owned());
        assert_eq!(words(registry(), None), "helm upgrade oci://a.example/charts/x --version 1.0.0");
        assert_eq!(
            words(registry(), Some("sha256:00ff")),
            "helm pull oci://a.example/charts/x --version 1.0.0 && printf '%s\\n' '00ff  x-1.0.0.tgz' | sha256sum --check - \
             && helm upgrade ./x-1.0.0.tgz"
        );
        let repository = ChartSource::Repository("https://a.example".to_owned());
        assert_eq!(words(repository, None), "helm upgrade x --repo https://a.example --version 1.0.0");
        assert_eq!(words(ChartSource::Folder("/c".into()), None), "helm upgrade /c/x");
        let bundle = ChartSource::Bundle("/c.tar".into());
        assert_eq!(words(bundle, None), "tar -xf /c.tar x-1.0.0.tgz && helm upgrade ./x-1.0.0.tgz");
    }
}
