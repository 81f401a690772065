//! The sandbox around more than one command: `sandbox shell` on a terminal, and `sandbox --context` beside a cluster that exists.

use crate::pty::Pty;
use crate::support::{HelmMajor, Lab, Run, finish, helm, keep_cache, program};

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_inside_has_everything_set_and_ends_the_sandbox() {
    let home = tempfile::tempdir().unwrap();
    let helm = helm(HelmMajor::Four);
    let helm = helm.to_str().unwrap();
    // Without a terminal there is nobody to type.
    let none = program(&["sandbox", "shell"], home.path());
    let run = tokio::task::spawn_blocking(|| { none }.output()).await.unwrap().unwrap();
    let run = Run::from(run).expect(64);
    assert!(run.stderr.contains("eks-bootstrap sandbox -- sh "), "{}", run.stderr);

    let pty = Pty::open();
    let mut command = program(&["sandbox", "--helm", helm, "shell"], home.path());
    keep_cache(&mut command);
    // What would lead a command inside elsewhere is gone.
    command.env("SHELL", "/bin/sh").env("AWS_PROFILE", "production");
    let child = pty.start(command);
    // A shell whose output is no terminal prompts for nothing.
    pty.shows("work on the sandbox in this shell", 1).await;
    pty.types("echo \"cluster=$EKS_BOOTSTRAP_CLUSTER profile=${AWS_PROFILE:-none}\"; command -v helm; command -v eks-bootstrap");
    pty.types("eks-bootstrap plan --detailed-exitcode >/dev/null; echo \"plan=$?\"; exit 7");
    let run = finish(child).await.expect(7);
    for text in ["cluster=demo profile=none", "/bin/helm\n", "/bin/eks-bootstrap\n", "plan=2"] {
        assert!(run.stdout.contains(text), "{text}: {}\n{}", run.stdout, pty.screen());
    }
    assert!(pty.screen().contains("sandbox ended, nothing of it is left"), "{}", pty.screen());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_exists_is_used_as_it_is() {
    let lab = Lab::start().await;
    let home = tempfile::tempdir().unwrap();
    let helm = helm(HelmMajor::Four);
    let admin = lab.sandbox.plane.admin_kubeconfig();
    let document: serde_json::Value = serde_json::from_slice(&std::fs::read(admin).unwrap()).unwrap();
    let context = document["current-context"].as_str().unwrap();
    let beside = ["sandbox", "--helm", helm.to_str().unwrap(), "--kubeconfig", admin.to_str().unwrap(), "--context"];
    let run = async |more: &[&str]| {
        let mut command = program(&[&beside[..], &[context], more].concat(), home.path());
        keep_cache(&mut command);
        Run::from(tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap())
    };
    // It has the DaemonSet of the built-in seed already, as every cluster of EKS has.
    run(&["--", "plan", "--detailed-exitcode"]).await.expect(2);
    let applied = run(&["--", "apply", "--yes"]).await.expect(0);
    assert!(applied.stderr.contains("what was made in the cluster of the context stays there"), "{}", applied.stderr);
    lab.object("apps/v1", "Deployment", "aws-load-balancer-controller").await;

    let world = home.path().join("world.yaml");
    let object = "{apiVersion: v1, kind: ConfigMap, metadata: {name: mine, namespace: default}}";
    let seed =
        format!("account: \"111122223333\"\nregion: eu-west-1\nclusters: [{{name: demo, objects: [{object}]}}]\n");
    std::fs::write(&world, seed).unwrap();
    let refused = run(&["--seed", world.to_str().unwrap(), "--", "plan"]).await.expect(64);
    assert!(refused.stderr.contains("clusters[0].objects"), "{}", refused.stderr);
    lab.stop().await;
}
