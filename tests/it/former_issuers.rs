//! A cluster that is deleted and made again under its name: what is ours for its former issuer goes, in `apply` and in `destroy`,
//! and what is of others stays.

use std::collections::BTreeMap;

use crate::support::HelmMajor;
use aws_sdk_iam::Client as Iam;
use eks_bootstrap::owner::{OUR_NAME, tags};
use eks_bootstrap::policy::{self, Document, Statement};
use eks_bootstrap::sandbox::aws::{Seed, SeedProvider};
use serde_json::Value;

use crate::permissions_enforced::iam;
use crate::support::{Aws, Lab, helm, of_aws};

const HOST: &str = "oidc.eks.eu-west-1.amazonaws.com/id";
const ARN: &str = "arn:aws:eks:eu-west-1:111122223333:cluster/demo";

fn provider_of(issuer: &str) -> String {
    format!("arn:aws:iam::111122223333:oidc-provider/{}", issuer.trim_start_matches("https://"))
}

fn made_for(cluster: &str) -> BTreeMap<String, String> {
    [(tags::MANAGED_BY, OUR_NAME), (tags::CLUSTER, cluster)]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

/// Providers that may be taken for ours: of a cluster of the same name in another region, and of nobody.
fn lookalikes(seed: &mut Seed) {
    let provider = |id: &str, tags| SeedProvider {
        url: format!("https://{HOST}/{id}"),
        client_ids: vec!["sts.amazonaws.com".to_owned()],
        thumbprints: Vec::new(),
        tags,
    };
    seed.oidc_providers.push(provider("0THERREGION", made_for(&ARN.replace("eu-west-1", "eu-west-2"))));
    seed.oidc_providers.push(provider("0UNMARKED", BTreeMap::new()));
}

/// The steps of a plan that change something, with their calls.
fn changes(plan: &Value) -> Vec<(&str, Vec<&str>)> {
    let steps = plan["steps"].as_array().unwrap().iter();
    let all = steps.map(|step| {
        let calls = step["calls"].as_array().unwrap().iter().map(|call| call.as_str().unwrap());
        (step["id"].as_str().unwrap(), calls.collect::<Vec<_>>())
    });
    all.filter(|(_, calls)| !calls.is_empty()).collect()
}

/// A step of a plan.
fn step<'a>(plan: &'a Value, id: &str) -> &'a Value {
    plan["steps"].as_array().unwrap().iter().find(|step| step["id"] == id).unwrap()
}

async fn trust(iam: &Iam, role: &str) -> Document {
    let role = iam.get_role().role_name(role).send().await.unwrap().role.unwrap();
    Document::from_url_encoded(role.assume_role_policy_document().unwrap()).unwrap()
}

/// Lets the pods of a living cluster into the role, as its own run with `--lbc-role-arn` does it.
async fn shared_with(iam: &Iam, role: &str, id: &str) -> Statement {
    let issuer = format!("https://{HOST}/{id}");
    let own = policy::irsa_statement(&provider_of(&issuer), &issuer, "kube-system", "aws-load-balancer-controller");
    let mut trust = policy::merge_trust(&trust(iam, role).await, &own);
    iam.update_assume_role_policy().role_name(role).policy_document(trust.to_json()).send().await.unwrap();
    trust.statements.pop().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_ours_for_the_former_issuer_goes_and_nothing_else() {
    let mut seed = Seed::builtin();
    lookalikes(&mut seed);
    let lab = Lab::with(seed, helm(HelmMajor::Four)).await;
    let (simulator, iam) = (&lab.sandbox.simulator, lab.iam().await);
    let (apply, plan) = (of_aws(&["apply", "--yes"]), of_aws(&["plan", "--detailed-exitcode", "-o", "json"]));
    let before = simulator.snapshot();
    lab.run(&apply).await.expect(0);
    let lbc = "demo-aws-load-balancer-controller-2bfeae5e";
    let living = shared_with(&iam, lbc, "0UNMARKED").await;
    lab.run(&plan).await.expect(0);

    let former = simulator.cluster_issuer("demo").unwrap();
    let issuer = simulator.recreate_cluster("demo").unwrap();
    let gone = former.rsplit('/').next().unwrap();
    assert_ne!(former, issuer);
    let planned = lab.run(&plan).await.expect(2).json();
    let (provider, role) =
        (["iam:DeleteOpenIDConnectProvider", "iam:CreateOpenIDConnectProvider"], "iam:UpdateAssumeRolePolicy");
    let expected =
        [("iam.oidc-provider", provider.to_vec()), ("iam.role.lbc", vec![role]), ("iam.role.ebs", vec![role])];
    assert_eq!(changes(&planned), expected, "{planned:#}");
    let url = &step(&planned, "iam.oidc-provider")["fields"][0];
    assert_eq!((&url["before"], &url["after"]), (&Value::from(former.as_str()), &Value::Null), "{url:#}");
    let reason = format!("trusts the cluster's former issuer {gone}; another cluster uses it too");
    assert_eq!(step(&planned, "iam.role.lbc")["reason"], reason.as_str());

    lab.run(&apply).await.expect(0);
    lab.run(&plan).await.expect(0);
    let statements = trust(&iam, lbc).await.statements;
    assert_eq!((statements.len(), &statements[0]), (2, &living));
    assert!(policy::trusts_provider(&trust(&iam, lbc).await, &provider_of(&issuer)));

    // Another life, of which no apply has heard: destroy leaves nothing of either issuer.
    simulator.recreate_cluster("demo").unwrap();
    let run = lab.run(&of_aws(&["destroy", "--confirm", "demo"])).await.expect(0);
    assert!(run.stderr.contains("left in AWS: nothing"), "{}", run.stderr);
    let after = simulator.snapshot();
    for kind in ["oidcProviders", "roles", "policies"] {
        assert_eq!(after[kind], before[kind], "{kind}");
    }
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_apply_goes_on_and_a_caller_who_may_not_list_is_told() {
    let aws = Aws::start(|_| {}).await;
    let of = |words: &[&'static str]| [&of_aws(words)[..], &["-c", "demo"]].concat();
    aws.run(&of(&["apply", "--yes"]), &[]).await.expect(0);
    let iam = iam(&aws.simulator);
    let former = provider_of(&aws.simulator.cluster_issuer("demo").unwrap());
    aws.simulator.recreate_cluster("demo").unwrap();
    // As an apply leaves it that was stopped after its first write.
    iam.delete_open_id_connect_provider().open_id_connect_provider_arn(&former).send().await.unwrap();
    let planned = aws.run(&of(&["plan", "-o", "json"]), &[]).await.expect(0).json();
    let writing: Vec<_> = changes(&planned).into_iter().map(|(step, calls)| (step, calls.len())).collect();
    assert_eq!(writing, [("iam.oidc-provider", 1), ("iam.role.lbc", 1), ("iam.role.ebs", 1)]);
    aws.run(&of(&["apply", "--yes"]), &[]).await.expect(0);
    aws.run(&of(&["plan", "--detailed-exitcode"]), &[]).await.expect(0);

    // Who may read only what an older policy allows still gets a plan, and is told what it does not look for.
    let printed = aws.run(&["permissions", "-c", "demo", "--for", "plan"], &[]).await.expect(0).stdout;
    let older = printed.replace("\"iam:ListOpenIDConnectProviders\"", "\"iam:GetContextKeysForCustomPolicy\"");
    assert_ne!(printed, older);
    aws.simulator.recreate_cluster("demo").unwrap();
    for (policy, told) in [(&printed, false), (&older, true)] {
        aws.simulator.set_caller_policy(Some(Document::parse(policy).unwrap()));
        let plan = aws.run(&of(&["plan"]), &[]).await.expect(0).stdout;
        let note = "note: iam.oidc-provider: providers of the cluster's former issuers are not looked for: iam:ListOpenIDConnectProviders";
        assert_eq!(plan.contains(note), told, "{plan}");
        assert_eq!(plan.contains("iam:DeleteOpenIDConnectProvider"), !told, "{plan}");
    }
}
