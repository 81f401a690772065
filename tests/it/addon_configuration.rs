//! The configuration of the driver's add-on, which EKS holds against a schema: what does not fit is refused once and at once, with the
//! field that the user has to change; a role that EKS does not know yet is waited for, although the code is the same.

use eks_bootstrap::sandbox::aws::{At, Effect, Fault};

use crate::support::Lab;

const APPLY: [&str; 5] = ["apply", "--yes", "-f", "config.yaml", "--disable"];

fn configured(lab: &Lab, values: &str) {
    let text = format!(
        "apiVersion: eks-bootstrap.dev/v1alpha1\nkind: ClusterBootstrap\nspec:\n  cluster: {{name: demo}}\n  components:\n    \
         awsEbsCsiDriver: {{managedBy: eksAddon, values: {values}}}\n"
    );
    std::fs::write(lab.work.path().join("config.yaml"), text).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_eks_does_not_take_is_refused_once_with_the_users_field() {
    let lab = Lab::start().await;
    let apply = [&APPLY[..], &["aws-load-balancer-controller"]].concat();
    let calls = |name: &str| lab.sandbox.simulator.calls().iter().filter(|call| call.operation == name).count();
    configured(&lab, "{controller: {replicaCount: 1}}");
    lab.forget();
    let unknown = Effect::Error {
        code: "InvalidParameterException".to_owned(),
        status: 400,
        message: "Role provided in the request does not exist.".to_owned(),
    };
    let at = At::Operation { name: "CreateAddon".to_owned(), nth: 1 };
    lab.sandbox.simulator.inject(Fault { at, effect: unknown, times: 2 });
    // Its role is one of this run.
    lab.run(&apply).await.expect(0);
    assert_eq!(calls("CreateAddon"), 3);
    let controller = lab.object("apps/v1", "Deployment", "ebs-csi-controller").await;
    assert_eq!(controller["spec"]["replicas"], 1);

    for (values, said, field) in [
        ("{controller: {replicas: 3}}", "$.controller.replicas: is not defined in the schema", "controller.replicas"),
        (r#"{node: {logLevel: "5"}}"#, "$.node.logLevel: string found, integer expected", "node.logLevel"),
    ] {
        configured(&lab, values);
        lab.forget();
        let run = lab.run(&apply).await.expect(1);
        assert!(run.stderr.contains(said), "{}", run.stderr);
        let fix = format!("correct spec.components.awsEbsCsiDriver.values.{field} in the configuration file");
        assert!(run.stderr.contains(&fix), "{}", run.stderr);
        assert_eq!((calls("UpdateAddon"), calls("CreateAddon")), (1, 0), "{values}");
    }
    lab.stop().await;
}
