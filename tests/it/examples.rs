//! The example files, those in `examples/` and those in the README: each is a configuration that the program understands, and
//! that it applies, finds nothing to do for afterwards, and takes away without a trace.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::support::HelmMajor;
use eks_bootstrap::sandbox::aws::{Seed, SeedPolicy};
use serde_json::{Value, json};

use crate::readme::{README, yaml_blocks};
use crate::support::{Lab, Run, helm, program};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples")
}

/// The examples by name; a block of the README that is a file too stands there once.
fn examples() -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            all.insert(name, std::fs::read_to_string(&path).unwrap());
        }
    }
    let blocks = yaml_blocks().filter(|block| block.contains("kind: ClusterBootstrap"));
    for (number, block) in blocks.enumerate() {
        if all.values().all(|text| text != block) {
            all.insert(format!("readme-{number}.yaml"), block.to_owned());
        }
    }
    all
}

/// Puts an example where the program runs, with the components that it may name.
fn place(name: &str, text: &str, home: &Path) {
    std::fs::write(home.join(name), text).unwrap();
    std::fs::create_dir_all(home.join("components")).unwrap();
    for entry in std::fs::read_dir(folder().join("components")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, home.join("components").join(path.file_name().unwrap())).unwrap();
    }
}

/// The clusters that a file speaks of.
fn clusters(text: &str) -> Vec<String> {
    let documents = text.split("\n---\n").map(|document| serde_saphyr::from_str::<Value>(document).unwrap());
    documents.map(|document| document["spec"]["cluster"]["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_example_is_named_in_the_readme_and_understood() {
    let home = tempfile::tempdir().unwrap();
    let mut readme = false;
    for (name, text) in examples() {
        readme |= name.starts_with("readme-");
        assert!(name.starts_with("readme-") || README.contains(&format!("examples/{name}")), "{name}");
        place(&name, &text, home.path());
        let clusters = clusters(&text);
        assert_eq!(clusters.iter().collect::<BTreeSet<_>>().len(), clusters.len(), "{name}");
        for cluster in clusters {
            let arguments = ["config", "view", "-f", &name, "-c", &cluster];
            let view = Run::from(program(&arguments, home.path()).output().unwrap()).expect(0).stdout;
            let view: Value = serde_saphyr::from_str(&view).unwrap();
            assert_eq!(view["spec"]["cluster"]["name"], cluster.as_str(), "{name}");
        }
    }
    assert!(readme, "the README shows none");
}

/// The world of the examples has the policy that their roles are bounded by.
fn world() -> Seed {
    let mut seed = Seed::builtin();
    let all = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]});
    seed.policies.push(SeedPolicy {
        name: "boundary".to_owned(),
        path: "/".to_owned(),
        description: None,
        documents: vec![all],
        tags: BTreeMap::new(),
    });
    seed
}

/// Every second of the examples, beginning with this one, so that two sandboxes share the time.
async fn whole_lives(first: usize) {
    let lab = Lab::with(world(), helm(HelmMajor::Four)).await;
    let before = lab.sandbox.simulator.snapshot();
    for (name, text) in examples().into_iter().skip(first).step_by(2) {
        assert!(clusters(&text).iter().any(|cluster| cluster == "demo"), "{name}: the sandbox has only demo");
        place(&name, &text, lab.work.path());
        let with = |words: &[&'static str]| -> Vec<String> {
            words.iter().copied().chain(["-f", &name, "-c", "demo"]).map(ToOwned::to_owned).collect()
        };
        let run = async |words: &[&'static str]| {
            let arguments = with(words);
            lab.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).await.expect(0)
        };
        run(&["apply", "--yes"]).await;
        run(&["plan", "--detailed-exitcode"]).await;
        let gone = run(&["destroy", "--confirm", "demo"]).await;
        assert!(gone.stderr.contains("left in AWS: nothing"), "{name}: {}", gone.stderr);
        assert_eq!(lab.sandbox.simulator.snapshot(), before, "{name}");
    }
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_half_is_applied_and_destroyed() {
    whole_lives(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_half_is_applied_and_destroyed() {
    whole_lives(1).await;
}
