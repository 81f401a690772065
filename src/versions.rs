//! Which versions go together: the sets that were tried, what a version of the load balancer controller calls, and what is to be
//! said of a choice outside of them. Data and pure judgement; the plan's diagnostics and `verify` ask it. Nothing here refuses:
//! who chooses another version has reasons.
//!
//! Upgrades go in the order policy, CRDs, chart, which is the order of the steps. The policy of a component is that of the
//! newest version known here, which holds every action of the older ones, so that a downgrade takes nothing away from a
//! controller that still runs.

use std::collections::BTreeSet;

use semver::Version;

use crate::component::{Component, EBS_CSI_DRIVER, LOAD_BALANCER_CONTROLLER, METRICS_SERVER, NEWEST_KUBERNETES_TRIED};
use crate::policy::Document;

/// Versions that were tried together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tried {
    /// The component.
    pub component: &'static str,
    /// The chart's version.
    pub chart: &'static str,
    /// The version of the software in it.
    pub app: &'static str,
    /// How many CRDs the chart has.
    pub crds: usize,
    /// Its permissions: a document of ours, or AWS managed policies.
    pub policy: &'static str,
    /// The images that the chart can run, with their tags.
    pub images: &'static [&'static str],
    /// The oldest and the newest Kubernetes.
    pub kubernetes: ((u64, u64), (u64, u64)),
}

/// All sets.
pub const TRIED: &[Tried] = &[
    Tried {
        component: "aws-load-balancer-controller",
        chart: "3.5.0",
        app: "3.5.0",
        crds: 7,
        policy: "policies/aws-load-balancer-controller.json",
        images: &["public.ecr.aws/eks/aws-load-balancer-controller:v3.5.0"],
        kubernetes: (LOAD_BALANCER_CONTROLLER.oldest_kubernetes, NEWEST_KUBERNETES_TRIED),
    },
    Tried {
        component: "aws-ebs-csi-driver",
        chart: "2.64.0",
        app: "1.64.0",
        crds: 0,
        policy: "AmazonEBSCSIDriverPolicyV2, else AmazonEBSCSIDriverPolicy",
        images: &[
            "public.ecr.aws/csi-components/csi-attacher:v4.12.0-eksbuild.5",
            "public.ecr.aws/csi-components/csi-node-driver-registrar:v2.17.0-eksbuild.5",
            "public.ecr.aws/csi-components/csi-provisioner:v6.3.0-eksbuild.4",
            "public.ecr.aws/csi-components/csi-resizer:v2.2.1-eksbuild.3",
            "public.ecr.aws/csi-components/csi-snapshotter:v8.6.0-eksbuild.5",
            "public.ecr.aws/csi-components/livenessprobe:v2.19.0-eksbuild.5",
            "public.ecr.aws/ebs-csi-driver/aws-ebs-csi-driver:v1.64.0",
            "public.ecr.aws/ebs-csi-driver/volume-modifier-for-k8s:v0.9.5-eksbuild.5",
        ],
        kubernetes: (EBS_CSI_DRIVER.oldest_kubernetes, NEWEST_KUBERNETES_TRIED),
    },
    Tried {
        component: "metrics-server",
        chart: "3.13.1",
        app: "0.8.1",
        crds: 0,
        policy: "none",
        images: &[
            "registry.k8s.io/autoscaling/addon-resizer:1.8.23",
            "registry.k8s.io/metrics-server/metrics-server:v0.8.1",
        ],
        kubernetes: (METRICS_SERVER.oldest_kubernetes, NEWEST_KUBERNETES_TRIED),
    },
];

/// What is to be said of a chart's version.
pub fn of_chart(component: &Component, chart: &str) -> Option<String> {
    let tried: Vec<_> = TRIED.iter().filter(|set| set.component == component.name).map(|set| set.chart).collect();
    // Of a component of the user's own nothing is known here.
    (!tried.contains(&chart) && !tried.is_empty()).then(|| {
        format!(
            "chart {chart} of {} was not tried with this program, {} was: compare its values and permissions first",
            component.name,
            tried.join(", ")
        )
    })
}

/// What is to be said of the cluster's Kubernetes, such as `1.35`.
pub fn of_kubernetes(components: &[Component], kubernetes: &str) -> Option<String> {
    let number = kubernetes.split_once('.');
    let version: (u64, u64) = number.and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)))?;
    let shown = |(major, minor): (u64, u64)| format!("{major}.{minor}");
    if let Some(component) = components.iter().find(|component| version < component.oldest_kubernetes) {
        let oldest = shown(component.oldest_kubernetes);
        return Some(format!("{} {} needs Kubernetes {oldest} or newer", component.name, component.version));
    }
    (version > NEWEST_KUBERNETES_TRIED).then(|| {
        let newest = shown(NEWEST_KUBERNETES_TRIED);
        format!("Kubernetes {kubernetes} is newer than what the charts were tried with ({newest})")
    })
}

/// The software's major and minor version in a chart. The load balancer controller's charts have carried its own version
/// since 3.0; before that, chart 1.N held 2.N.
pub fn app_of(component: &Component, chart: &str) -> Option<(u64, u64)> {
    if let Some(set) = TRIED.iter().find(|set| set.component == component.name && set.chart == chart) {
        return Version::parse(set.app).ok().map(|app| (app.major, app.minor));
    }
    let chart = Version::parse(chart).ok().filter(|_| !component.actions_since.is_empty())?;
    Some(if chart.major == 1 { (2, chart.minor) } else { (chart.major, chart.minor) })
}

/// What a version calls, in lower case: all that the newest known one does, without what came later.
pub fn needed(component: &Component, app: (u64, u64), newest: &Document) -> BTreeSet<String> {
    let later = component.actions_since.iter().filter(|(since, _)| *since > app);
    let later: BTreeSet<_> = later.flat_map(|(_, actions)| *actions).map(|action| action.to_lowercase()).collect();
    actions(newest).into_iter().filter(|action| !later.contains(action)).collect()
}

/// The actions that a version calls and a policy does not allow, as IAM spells them.
pub fn missing(component: &Component, app: (u64, u64), newest: &Document, held: &Document) -> Vec<String> {
    let have = actions(held);
    let lacking: Vec<_> = needed(component, app, newest).difference(&have).cloned().collect();
    let spelled: Vec<_> = newest.statements.iter().flat_map(|statement| statement.action.iter().flatten()).collect();
    let spell = |action: String| {
        spelled.iter().find(|name| name.eq_ignore_ascii_case(&action)).map_or(action, |name| (*name).clone())
    };
    lacking.into_iter().map(spell).collect()
}

fn actions(document: &Document) -> BTreeSet<String> {
    document.grants().into_iter().map(|grant| grant.action).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::component::BUILT_IN;
    use crate::policy::load_balancer_controller_policy;

    #[test]
    fn what_is_installed_by_default_was_tried() {
        for component in BUILT_IN {
            assert_eq!(of_chart(&component, component.version), None, "{}", component.name);
            let set = TRIED.iter().find(|set| set.component == component.name).unwrap();
            assert_eq!(set.crds > 0, component.has_crds, "{}", component.name);
        }
        let told = of_chart(&LOAD_BALANCER_CONTROLLER, "3.4.0").unwrap();
        assert!(told.contains("3.4.0") && told.contains("3.5.0 was"), "{told}");
    }

    #[test]
    fn the_table_is_what_the_charts_say() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("templates/sandbox/charts");
        for set in TRIED {
            let chart = std::fs::read_to_string(root.join(set.component).join("Chart.yaml")).unwrap();
            let chart: serde_json::Value = serde_saphyr::from_str(&chart).unwrap();
            let app = chart["appVersion"].as_str().unwrap().trim_start_matches('v');
            assert_eq!((chart["version"].as_str(), app), (Some(set.chart), set.app), "{}", set.component);
            let files = std::fs::read_dir(root.join(set.component).join("crds")).into_iter().flatten();
            let crds: String = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect();
            assert_eq!(crds.matches("\nkind: CustomResourceDefinition").count(), set.crds, "{}", set.component);
        }
    }

    #[test]
    fn kubernetes_has_a_range() {
        assert_eq!(of_kubernetes(&BUILT_IN, "1.36"), None);
        assert!(
            of_kubernetes(&BUILT_IN, "1.37").unwrap().contains("newer than what the charts were tried with (1.36)")
        );
        let old = of_kubernetes(&BUILT_IN, "1.21").unwrap();
        assert!(old.contains("aws-load-balancer-controller 3.5.0 needs Kubernetes 1.22"), "{old}");
        assert_eq!(of_kubernetes(&[METRICS_SERVER], "unknown"), None);
    }

    #[test]
    fn charts_hold_versions_of_the_software() {
        let of = |chart| app_of(&LOAD_BALANCER_CONTROLLER, chart);
        assert_eq!(
            (of("3.5.0"), of("3.0.1"), of("1.17.1"), of("1.4.0")),
            (Some((3, 5)), Some((3, 0)), Some((2, 17)), Some((2, 4)))
        );
        assert_eq!(app_of(&EBS_CSI_DRIVER, "2.60.0"), None, "nothing is known of what others call");
    }

    #[test]
    fn an_older_policy_lacks_what_came_later() {
        let newest = load_balancer_controller_policy("aws").unwrap();
        let mut old = newest.clone();
        let later: Vec<_> = LOAD_BALANCER_CONTROLLER.actions_since.iter().flat_map(|(_, actions)| *actions).collect();
        for statement in &mut old.statements {
            statement.action.iter_mut().for_each(|actions| actions.retain(|action| !later.contains(&&action.as_str())));
        }
        let lacking = |app| missing(&LOAD_BALANCER_CONTROLLER, app, &newest, &old);
        assert_eq!(lacking((2, 4)), Vec::<String>::new());
        assert_eq!(lacking((2, 7)), ["elasticloadbalancing:DescribeTrustStores"]);
        assert_eq!(lacking((3, 5)).len(), 10);
        // Every version gets along with the document that is written, so that a downgrade needs no order of its own.
        for (app, _) in LOAD_BALANCER_CONTROLLER.actions_since {
            assert_eq!(missing(&LOAD_BALANCER_CONTROLLER, *app, &newest, &newest), Vec::<String>::new());
        }
    }
}
