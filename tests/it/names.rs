//! Names from values: what `fullnameOverride`, `nameOverride` and `ingressClass` rename is found in every command; what contradicts the
//! role or the cluster is refused; objects of others and fields that cannot be changed are found in the plan.

use crate::support::HelmMajor;
use eks_bootstrap::read::kube::ObjectRef;
use serde_json::{Value, json};

use crate::support::{Aws, Lab, Run, helm};

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

/// The configuration with these values of the load balancer controller.
fn file(values: &str) -> String {
    format!(
        "apiVersion: eks-bootstrap.dev/v1alpha1\nkind: ClusterBootstrap\nspec:\n  cluster: {{name: demo, region: eu-west-1}}\n  \
         components:\n    awsLoadBalancerController: {{values: {values}}}\n    metricsServer: {{enabled: true, values: \
         {{fullnameOverride: numbers}}}}\n"
    )
}

fn step<'a>(plan: &'a Value, id: &str) -> &'a Value {
    plan["steps"].as_array().unwrap().iter().find(|step| step["id"] == id).unwrap()
}

fn calls(plan: &Value, id: &str) -> Vec<String> {
    let calls = step(plan, id)["calls"].as_array().unwrap();
    calls.iter().map(|call| call.as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_contradict_role_and_cluster_are_refused_before_anything_is_written() {
    let aws = Aws::start(|_| {}).await;
    for (values, field) in [
        ("{serviceAccount: {name: my-lbc}}", "`my-lbc` for values.serviceAccount.name"),
        ("{clusterName: staging}", "`staging` for values.clusterName"),
        ("{region: us-east-1}", "`us-east-1` for values.region"),
        ("{vpcId: vpc-1}", "`vpc-1` for values.vpcId"),
    ] {
        let path = aws.file("values.yaml");
        std::fs::write(&path, file(values)).unwrap();
        let path = path.display().to_string();
        for command in [&["plan", "-f", &path][..], &["apply", "--yes", "-f", &path]] {
            let refused = aws.run(command, &[]).await.expect(64);
            assert!(refused.stderr.contains(field), "{command:?}: {}", refused.stderr);
            assert!(refused.stderr.contains("remove the value"), "{}", refused.stderr);
        }
        assert_eq!(aws.writes(), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn renamed_objects_are_guarded_applied_verified_and_destroyed() {
    let lab = Lab::start().await;
    let path = lab.work.path().join("names.yaml");
    std::fs::write(&path, file("{fullnameOverride: alb, nameOverride: lb, ingressClass: public}")).unwrap();
    let path = path.display().to_string();
    let run = async |arguments: &[&str]| -> Run { lab.run(&[arguments, &["-f", &path]].concat()).await };

    // An object that nobody would look for by name: it belongs to Argo CD, so the release is not installed over it.
    let role =
        json!({"metadata": {"name": "alb-role", "labels": {"argocd.argoproj.io/instance": "platform"}}, "rules": []});
    lab.create(&format!("{RBAC}/clusterroles"), &role).await;
    let plan = run(&["plan", "-o", "json"]).await.expect(0).json();
    let rendered =
        lab.helm_runs().into_iter().find(|run| run.starts_with("template aws-load-balancer-controller")).unwrap();
    // Rendered as for this cluster, with what it serves.
    for flag in ["--kube-version v1.", "--api-versions apps/v1/Deployment", "--api-versions networking.k8s.io/v1 "] {
        assert!(rendered.contains(flag), "{flag}: {rendered}");
    }
    let lbc = step(&plan, "helm.lbc");
    assert_eq!(
        (&lbc["action"], &lbc["owner"]),
        (&json!("blocked"), &json!("Argo CD (application platform)")),
        "{lbc:#}"
    );
    assert!(lbc["reason"].as_str().unwrap().starts_with("ClusterRole/alb-role exists without this release"), "{lbc:#}");
    run(&["apply", "--yes"]).await.expect(4);
    let refused = run(&["apply", "--yes", "--adopt", "helm.lbc"]).await.expect(4);
    assert!(refused.stderr.contains("remove the chart from Argo CD application platform"), "{}", refused.stderr);
    lab.delete(&format!("{RBAC}/clusterroles/alb-role")).await;

    run(&["apply", "--yes"]).await.expect(0);
    for (version, kind, name) in [
        ("apps/v1", "Deployment", "alb"),
        ("v1", "Service", "lb-webhook-service"),
        ("networking.k8s.io/v1", "IngressClass", "public"),
        ("apps/v1", "Deployment", "numbers"),
    ] {
        lab.object(version, kind, name).await;
    }
    // What is installed and fits needs neither helm nor chart.
    lab.forget();
    let empty = lab.work.path().join("no-charts");
    std::fs::create_dir(&empty).unwrap();
    run(&["plan", "--detailed-exitcode", "--charts", &empty.display().to_string()]).await.expect(0);
    assert_eq!(lab.helm_runs(), Vec::<String>::new());
    let verified = run(&["verify", "-o", "json"]).await;
    let failed: Vec<_> =
        verified.json()["findings"].as_array().unwrap().iter().filter(|it| it["status"] == "failed").cloned().collect();
    assert_eq!((verified.code, failed.as_slice()), (0, [].as_slice()), "{failed:#?}");

    recreates_what_cannot_be_changed(&lab, &path).await;

    // The class is the user's own, and so is the Deployment whose finalizers are waited for.
    let ingress = json!({"metadata": {"name": "web"}, "spec": {"ingressClassName": "public",
        "defaultBackend": {"service": {"name": "kubernetes", "port": {"number": 443}}}}});
    lab.create("/apis/networking.k8s.io/v1/namespaces/default/ingresses", &ingress).await;
    let reference = ObjectRef::new("networking.k8s.io/v1", "Ingress", "default", "web");
    lab.until(&reference, |it| it.pointer("/status/loadBalancer/ingress/0").is_some()).await;
    run(&["destroy", "--confirm", "demo"]).await.expect(4);
    run(&["destroy", "--confirm", "demo", "--drain"]).await.expect(0);
    lab.gone(&reference).await;
    lab.gone(&ObjectRef::new("apps/v1", "Deployment", "kube-system", "alb")).await;
    lab.gone(&ObjectRef::new("networking.k8s.io/v1", "IngressClass", "", "public")).await;
    lab.stop().await;
}

/// A binding that somebody replaced by one of another role: the API server lets nobody change that.
async fn recreates_what_cannot_be_changed(lab: &Lab, path: &str) {
    let name = "numbers-auth-reader";
    let place = format!("{RBAC}/namespaces/kube-system/rolebindings");
    let mine = helm(HelmMajor::Three).display().to_string();
    for helm in [&[][..], &["--helm", &mine]] {
        let mut binding = lab.object("rbac.authorization.k8s.io/v1", "RoleBinding", name).await;
        let role = binding["roleRef"]["name"].clone();
        binding["roleRef"]["name"] = json!("other");
        let metadata = binding["metadata"].as_object_mut().unwrap();
        metadata.retain(|field, _| ["name", "labels", "annotations"].contains(&field.as_str()));
        lab.delete(&format!("{place}/{name}")).await;
        lab.create(&place, &binding).await;

        let plan = lab.run(&["plan", "-o", "json", "-f", path]).await.expect(0).json();
        let found = step(&plan, "helm.metrics");
        assert_eq!(found["action"], "blocked", "{found:#}");
        let reason = found["reason"].as_str().unwrap();
        let said = format!("RoleBinding/kube-system/{name}: roleRef.name (other -> {}) cannot", role.as_str().unwrap());
        assert!(reason.starts_with(&said), "{reason}");
        let refused = lab.run(&["apply", "--yes", "-f", path]).await.expect(4);
        assert!(refused.stderr.contains(&format!("--recreate RoleBinding/{name}")), "{}", refused.stderr);
        let wrong = lab.run(&["plan", "-f", path, "--recreate", "RoleBinding/number-auth-reader"]).await.expect(64);
        assert!(wrong.stderr.contains(&format!("did you mean `RoleBinding/{name}`?")), "{}", wrong.stderr);

        let flag = format!("rolebinding/{name}");
        let again = ["-f", path, "--recreate", &flag];
        let plan = lab.run(&[&["plan", "-o", "json"][..], &again].concat()).await.expect(0).json();
        assert_eq!(calls(&plan, "helm.metrics"), ["k8s:delete RoleBinding", "helm:upgrade"]);
        lab.run(&[&["apply", "--yes"][..], &again, helm].concat()).await.expect(0);
        let mended = lab.object("rbac.authorization.k8s.io/v1", "RoleBinding", name).await;
        assert_eq!(mended["roleRef"]["name"], role);
        // Nothing is left to do, and the flag alone deletes nothing.
        lab.forget();
        lab.run(&[&["apply", "--yes"][..], &again].concat()).await.expect(0);
        assert_eq!(lab.helm_runs(), Vec::<String>::new());
    }
}
