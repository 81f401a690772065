//! The main job on charts that nobody here wrote: apply, an empty plan, the rows of drift that a chart has to do with, and a
//! destroy that leaves nothing.
//!
//! `EKS_BOOTSTRAP_TEST_RENDERED=DIR` names what the original charts render to (`rendered.rs`), `EKS_BOOTSTRAP_TEST_CHARTS=DIR`
//! the original charts, as `--charts` takes them. Without the variables nothing is tried. `EKS_BOOTSTRAP_TEST_HELM=FILE` is
//! another helm than the newest pinned one.

use std::path::{Path, PathBuf};

use crate::support::HelmMajor;
use eks_bootstrap::read::kube::ObjectRef;
use eks_bootstrap::read::release;
use eks_bootstrap::sandbox::aws::Seed;

use crate::components;
use crate::drift::{self, Drift, World, mend};
use crate::drift_content;
use crate::rendered;
use crate::support::{Lab, helm};

const RELEASES: [&str; 3] = ["aws-load-balancer-controller", "aws-ebs-csi-driver", "metrics-server"];
const WANTED: [&str; 2] = ["--enable", "metrics-server"];

fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// Rows of drift in the cluster: what changes in AWS has nothing to do with a chart.
fn of_the_cluster(drifts: &'static [Drift]) -> impl Iterator<Item = &'static Drift> {
    drifts
        .iter()
        .filter(|(_, steps)| steps.iter().all(|(step, _)| step.starts_with("k8s.") || step.starts_with("helm.")))
}

/// Everything that the releases made, CRDs aside.
async fn made(lab: &Lab) -> Vec<ObjectRef> {
    let reader = lab.reader().await;
    let mut objects = Vec::new();
    for name in RELEASES {
        objects.extend(release::history(&reader, "kube-system", name).await.unwrap().swap_remove(0).objects);
    }
    objects
}

/// Charts that are rendered already are there in every run, so their rows of content go together; they go one by one on the stand-ins.
async fn live_and_go(charts: &Path, one_by_one: bool) {
    let binary = variable("EKS_BOOTSTRAP_TEST_HELM").unwrap_or_else(|| helm(HelmMajor::Four));
    let lab = Lab::with(Seed::builtin(), binary).await.of_charts(charts);
    let command = |words: &[&'static str]| [words, &WANTED].concat();
    let before = lab.sandbox.simulator.snapshot();
    lab.run(&command(&["apply", "--yes"])).await.expect(0);
    lab.run(&command(&["plan", "--detailed-exitcode"])).await.expect(0);
    drift::second_apply_is_nothing(&lab, &WANTED).await;
    let world = World::of(&lab).await;
    for (drift, expected) in of_the_cluster(&drift::IAM_AND_KUBERNETES).chain(of_the_cluster(&drift::HELM)) {
        world.break_by(drift).await;
        mend(&lab, drift, expected, &WANTED).await;
    }
    let of_metrics = |drift: &&Drift| drift.1.iter().all(|(step, _)| *step == "helm.metrics");
    for (drift, expected) in of_the_cluster(&components::DRIFTS).filter(of_metrics) {
        components::break_by(&lab, drift).await;
        mend(&lab, drift, expected, &WANTED).await;
    }
    if one_by_one {
        drift_content::mend_each(&lab, &WANTED).await;
    } else {
        drift_content::mend_together(&lab, &WANTED).await;
    }
    drift::second_apply_is_nothing(&lab, &WANTED).await;
    let made = made(&lab).await;
    assert!(made.len() > 35, "{made:?}");
    lab.run(&command(&["destroy", "--confirm", "demo"])).await.expect(0);
    assert_eq!(lab.sandbox.simulator.snapshot(), before);
    let reader = lab.reader().await;
    for object in made {
        assert!(reader.get(&object).await.unwrap().is_none(), "{object} stays");
    }
    assert_eq!(reader.list("v1", "Secret", "kube-system", "owner=helm").await.unwrap().len(), 0);
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rendered_originals_live_and_go() {
    let Some(from) = rendered::folder() else {
        eprintln!("skipped: EKS_BOOTSTRAP_TEST_RENDERED names no folder with what the original charts render to");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    rendered::charts(&from, folder.path());
    live_and_go(folder.path(), false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn original_charts_live_and_go() {
    let Some(charts) = variable("EKS_BOOTSTRAP_TEST_CHARTS") else {
        eprintln!("skipped: EKS_BOOTSTRAP_TEST_CHARTS names no folder with the original charts");
        return;
    };
    live_and_go(&charts, true).await;
}
