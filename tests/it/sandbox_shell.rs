//! The shell of `sandbox shell`, on a terminal.

use crate::pty::Pty;
use crate::support::{HelmMajor, finish, helm, keep_cache, program};

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_inside_has_everything_set_and_ends_the_sandbox() {
    let home = tempfile::tempdir().unwrap();
    let helm = helm(HelmMajor::Four);
    let helm = helm.to_str().unwrap();
    // Without a terminal there is nobody to type.
    let none = program(&["sandbox", "shell"], home.path());
    let run = tokio::task::spawn_blocking(|| { none }.output()).await.unwrap().unwrap();
    let run = crate::support::Run::from(run).expect(64);
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
