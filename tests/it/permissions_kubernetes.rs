//! The printed rights in a real control plane, and the printed policies of runs that need one: the caller has a group with
//! only what `permissions --kubernetes` prints, and the simulated AWS allows only what `permissions` prints.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::HelmMajor;
use eks_bootstrap::policy::Document;
use eks_bootstrap::sandbox::aws::{Seed, SeedPolicy, SeedRole};
use serde_json::{Value, json};

use crate::permissions_enforced::{removed_text, stumbled, without};
use crate::support::{Lab, Run, helm, of_aws};

const GROUP: &str = "eks-bootstrap";
const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
const ROLE: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces/kube-system/roles";
const CLUSTER_ROLE: &str = "/apis/rbac.authorization.k8s.io/v1/clusterroles";

/// A sandbox whose caller has no rights but those of one Role and one ClusterRole.
pub(crate) struct Rights {
    pub(crate) lab: Lab,
    changes: AtomicUsize,
}

/// What one purpose prints.
#[derive(Clone)]
pub(crate) struct Printed {
    policy: Document,
    namespaced: Vec<Value>,
    cluster: Vec<Value>,
}

impl Rights {
    pub(crate) async fn start(change: impl FnOnce(&mut Seed)) -> Rights {
        Rights::with(helm(HelmMajor::Four), change).await
    }

    async fn with(helm: PathBuf, change: impl FnOnce(&mut Seed)) -> Rights {
        let mut seed = Seed::builtin();
        seed.caller.groups = Some(vec![GROUP.to_owned()]);
        change(&mut seed);
        let rights = Rights { lab: Lab::with(seed, helm).await, changes: AtomicUsize::new(0) };
        let printed = rights.printed("plan", &[]).await;
        let text = rights.lab.run(&["permissions", "--kubernetes", "--for", "plan", "-o", "json"]).await.expect(0);
        // The printed objects themselves are what an administrator applies; later only their rules change.
        for object in text.json()["items"].as_array().unwrap() {
            let mut object = object.clone();
            object["metadata"]["name"] = json!("tried");
            if !object["roleRef"].is_null() {
                object["roleRef"]["name"] = json!("tried");
            }
            let plural = format!("{}s", object["kind"].as_str().unwrap().to_lowercase());
            let path = match object["metadata"]["namespace"].as_str() {
                Some(namespace) => format!("{RBAC}/namespaces/{namespace}/{plural}"),
                None => format!("{RBAC}/{plural}"),
            };
            rights.lab.create(&path, &object).await;
        }
        rights.allow(&printed.namespaced, &printed.cluster).await;
        rights
    }

    pub(crate) async fn printed(&self, purpose: &str, flags: &[&str]) -> Printed {
        let of = async |more: &[&str]| {
            let arguments = [&["permissions", "--for", purpose], more, flags].concat();
            self.lab.run(&arguments).await.expect(0)
        };
        let policy = Document::parse(&of(&[]).await.stdout).unwrap();
        let list = of(&["--kubernetes", "-o", "json"]).await.json();
        let rules = |kind: &str| {
            let object = list["items"].as_array().unwrap().iter().find(|object| object["kind"] == kind).unwrap();
            object["rules"].as_array().unwrap().clone()
        };
        Printed { policy, namespaced: rules("Role"), cluster: rules("ClusterRole") }
    }

    /// Gives the caller these rules and no others, and waits until the API server knows.
    async fn allow(&self, namespaced: &[Value], cluster: &[Value]) {
        let mark = format!("mark-{}", self.changes.fetch_add(1, Ordering::Relaxed));
        let marked = |rules: &[Value], place: &str| {
            let rule = json!({"apiGroups": [place], "resources": [mark], "verbs": ["get"]});
            json!({"rules": rules.iter().chain([&rule]).collect::<Vec<_>>()})
        };
        self.lab.patch(&format!("{ROLE}/tried"), &marked(namespaced, "namespace.test")).await;
        self.lab.patch(&format!("{CLUSTER_ROLE}/tried"), &marked(cluster, "cluster.test")).await;
        let reader = self.lab.reader().await;
        let begun = Instant::now();
        for place in ["namespace.test", "cluster.test"] {
            let review = json!({
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SubjectAccessReview",
                "metadata": {},
                "spec": {"user": "anyone", "groups": [GROUP], "resourceAttributes": {
                    "group": place, "resource": mark, "verb": "get", "namespace": "kube-system"}},
            });
            while reader.dry_run_create(&review).await.unwrap()["status"]["allowed"] != true {
                assert!(begun.elapsed() < Duration::from_mins(1), "the API server does not see the new rules");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }

    /// Runs with only what is printed.
    pub(crate) async fn run(&self, printed: &Printed, arguments: &[&str]) -> Run {
        self.allow(&printed.namespaced, &printed.cluster).await;
        self.lab.sandbox.simulator.set_caller_policy(Some(printed.policy.clone()));
        let run = self.lab.run(arguments).await;
        self.lab.sandbox.simulator.set_caller_policy(None);
        run
    }

    /// Fails unless a run is forbidden something without the rule.
    async fn forbidden(&self, printed: &Printed, rule: &Value, arguments: &[&str]) {
        let less = |rules: &[Value]| rules.iter().filter(|other| *other != rule).cloned().collect::<Vec<_>>();
        let (namespaced, cluster) = (less(&printed.namespaced), less(&printed.cluster));
        assert_eq!(namespaced.len() + cluster.len() + 1, printed.namespaced.len() + printed.cluster.len());
        self.allow(&namespaced, &cluster).await;
        let run = self.lab.run(arguments).await;
        let told = format!("{}{}", run.stdout, run.stderr);
        let refused = told.contains("forbidden") || told.contains("attempting to grant");
        // What a plan only remarks upon does not fail it; it says what it could not see.
        let unseen = told.contains("could not be looked at");
        assert!((run.code != 0 || unseen) && refused, "{arguments:?} gets along without {rule}: {told}");
    }

    /// The rule for a resource with these verbs.
    fn rule<'a>(printed: &'a Printed, resource: &str, verb: &str) -> &'a Value {
        let holds = |list: &Value, word: &str| list.as_array().unwrap().iter().any(|other| other == word);
        let fits = |rule: &&Value| holds(&rule["resources"], resource) && holds(&rule["verbs"], verb);
        printed.namespaced.iter().chain(&printed.cluster).find(fits).unwrap_or_else(|| panic!("{verb} {resource}"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_printed_rights_are_enough_and_needed() {
    let rights = Rights::start(|_| {}).await;
    let (plan, apply) = (rights.printed("plan", &[]).await, rights.printed("apply", &[]).await);
    let (verify, destroy) = (rights.printed("verify", &[]).await, rights.printed("destroy", &[]).await);
    let run = rights.run(&plan, &["plan", "--detailed-exitcode"]).await.expect(2);
    for unread in ["not readable", "could not be looked at"] {
        assert!(!run.stdout.contains(unread), "{}", run.stdout);
    }
    rights.run(&apply, &["apply", "--yes"]).await.expect(0);
    rights.run(&plan, &["plan", "--detailed-exitcode"]).await.expect(0);
    rights.run(&verify, &["verify"]).await.expect(0);

    // Whoever may only look is told what is missing when anything of it is taken away.
    for rule in plan.namespaced.iter().chain(&plan.cluster) {
        let causes_only = rule["resources"] == json!(["events", "pods"]);
        if !causes_only {
            rights.forbidden(&plan, rule, &["plan"]).await;
        }
    }
    for arguments in [&["plan", "--only", "helm.ebs"][..], &["destroy", "--only", "helm.ebs", "--confirm", "demo"]] {
        let printed = if arguments[0] == "plan" { &plan } else { &destroy };
        let place = printed.policy.statements.iter().position(|it| it.sid.as_deref() == Some("ReadAddon")).unwrap();
        let (mut policy, removed) = without(&printed.policy, place);
        // The agent's add-on is read by the same action, and what does not exist is asked of the cluster.
        policy.statements.retain(|statement| statement.sid.as_deref() != Some("ReadEks"));
        let run = rights.run(&Printed { policy, ..printed.clone() }, arguments).await.expect(77);
        assert!(stumbled(&run, &removed), "{}{}", run.stdout, run.stderr);
    }

    // Of what apply needs, the rights that are easily forgotten: tokens, CRDs, the charts' roles, webhooks, watching.
    let account = "/api/v1/namespaces/kube-system/serviceaccounts/aws-load-balancer-controller";
    let proved =
        ["apply", "--yes", "--timeout", "5s", "--only", "k8s.service-account.lbc", "--only", "proof.identity.lbc"];
    for (resource, verb) in [("serviceaccounts", "create"), ("serviceaccounts/token", "create")] {
        rights.lab.delete(account).await;
        rights.forbidden(&apply, Rights::rule(&apply, resource, verb), &proved).await;
        rights.run(&apply, &["apply", "--yes"]).await.expect(0);
    }
    let crd = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/targetgroupbindings.elbv2.k8s.aws";
    rights.lab.delete(crd).await;
    for verb in ["create", "patch"] {
        let rule = Rights::rule(&apply, "customresourcedefinitions", verb);
        rights.forbidden(&apply, rule, &["apply", "--yes", "--only", "k8s.crds.lbc"]).await;
    }
    rights.run(&apply, &["apply", "--yes", "--only", "k8s.crds.lbc"]).await.expect(0);
    let driver = ["apply", "--yes", "--only", "helm.ebs", "--timeout", "60s"];
    for (resource, verb) in [
        ("clusterroles", "create"),
        ("clusterroles", "escalate"),
        ("roles", "escalate"),
        ("daemonsets", "create"),
        ("csidrivers", "create"),
    ] {
        rights.lab.helm(&["uninstall", "aws-ebs-csi-driver", "-n", "kube-system", "--ignore-not-found"]).await;
        let rules: Vec<_> = apply.namespaced.iter().chain(&apply.cluster).collect();
        let ebs = |rule: &&&Value| rule["resourceNames"].to_string().contains("ebs-");
        let own = rules.iter().filter(ebs).find(|rule| {
            let holds = |list: &Value, word: &str| list.as_array().unwrap().iter().any(|other| other == word);
            holds(&rule["resources"], resource) && holds(&rule["verbs"], verb)
        });
        let rule = own.copied().unwrap_or_else(|| Rights::rule(&apply, resource, verb));
        rights.forbidden(&apply, rule, &driver).await;
    }
    // Helm shrugs off that it may not write its record's last word, and exits with 0 over a release that stays pending.
    rights.lab.helm(&["uninstall", "aws-ebs-csi-driver", "-n", "kube-system", "--ignore-not-found"]).await;
    let records = Rights::rule(&apply, "secrets", "update").clone();
    let less = apply.namespaced.iter().filter(|rule| **rule != records).cloned().collect();
    let begun = Instant::now();
    let command = [&driver[..], &["-o", "json"]].concat();
    let run = rights.run(&Printed { namespaced: less, ..apply.clone() }, &command).await.expect(1);
    let differs =
        "helm reports success, but status of helm/kube-system/aws-ebs-csi-driver still differs: `pending-install`";
    assert!(run.stdout.contains(differs), "{}", run.stdout);
    let missed = "status of helm/kube-system/aws-ebs-csi-driver is still pending-install, not deployed";
    let told = run.stdout.lines().any(|line| line.contains(r#""type":"step-progress""#) && line.contains(missed));
    assert!(told, "{}", run.stdout);
    assert!(begun.elapsed() < Duration::from_secs(40), "a write that changed nothing is not waited for");
    // It is of this host and its helm has ended, so the way out is open at once.
    let run = rights.run(&plan, &["plan", "--only", "helm.ebs"]).await.expect(0);
    assert!(run.stdout.contains("left pending-install by an interrupted helm"), "{}", run.stdout);
    rights.lab.helm(&["uninstall", "aws-ebs-csi-driver", "-n", "kube-system"]).await;
    rights.run(&apply, &["apply", "--yes"]).await.expect(0);
    rights.run(&plan, &["plan", "--detailed-exitcode"]).await.expect(0);

    let command = ["destroy", "--confirm", "demo"];
    for resource in
        ["persistentvolumes", "ingresses", "targetgroupbindings", "ingressclassparams", "globalaccelerators"]
    {
        let verb = "list";
        rights.forbidden(&destroy, Rights::rule(&destroy, resource, verb), &command).await;
    }
    let run = rights.run(&destroy, &command).await.expect(0);
    assert!(run.stderr.contains("left in AWS: nothing"), "{}", run.stderr);
    rights.lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn helm_3_needs_what_the_comment_says() {
    let rights = Rights::with(helm(HelmMajor::Three), |_| {}).await;
    let printed = rights.printed("apply", &[]).await;
    let command = ["apply", "--yes", "--only", "helm.ebs"];
    let run = rights.run(&printed, &command).await.expect(77);
    assert!(run.stderr.contains("attempting to grant RBAC permissions not currently held"), "{}", run.stderr);
    let text = rights.lab.run(&["permissions", "--kubernetes"]).await.expect(0).stdout;
    assert!(text.contains("# Helm 3 creates roles without telling RBAC their names: with it, take"), "{text}");
    let unnamed = |rules: &[Value]| -> Vec<Value> {
        let mut rules = rules.to_vec();
        for rule in &mut rules {
            if rule["verbs"].as_array().unwrap().contains(&json!("escalate")) {
                rule.as_object_mut().unwrap().remove("resourceNames");
            }
        }
        rules
    };
    let (namespaced, cluster) = (unnamed(&printed.namespaced), unnamed(&printed.cluster));
    rights.run(&Printed { namespaced, cluster, ..printed }, &command).await.expect(0);
    rights.lab.stop().await;
}

/// A role and a policy of someone else under the names that we would give.
fn foreign(seed: &mut Seed) {
    let name = "demo-aws-load-balancer-controller-2bfeae5e".to_owned();
    let statement = |action: &str| json!({"Effect": "Allow", "Action": action});
    let mut trust = statement("sts:AssumeRole");
    trust["Principal"] = json!({"Service": "ec2.amazonaws.com"});
    let mut policy = statement("ec2:DescribeVpcs");
    policy["Resource"] = json!("*");
    let document = |statement: Value| json!({"Version": "2012-10-17", "Statement": [statement]});
    let role: SeedRole = serde_json::from_value(json!({"name": name, "trust": document(trust)})).unwrap();
    let policy: SeedPolicy = serde_json::from_value(json!({"name": name, "documents": [document(policy)]})).unwrap();
    seed.roles.push(role);
    seed.policies.push(policy);
}

/// A destroy of the AWS steps by whom the policy allows only so much; before it, everything is applied by an administrator.
async fn destroyed(rights: &Rights, printed: &Printed, policy: &Document, flags: &[&'static str]) -> Run {
    let apply = [&of_aws(&["apply", "--yes"])[..], flags].concat();
    rights.lab.run(&apply).await.expect(0);
    let command = [&of_aws(&["destroy", "--confirm", "demo"])[..], flags].concat();
    rights.run(&Printed { policy: policy.clone(), ..printed.clone() }, &command).await
}

#[tokio::test(flavor = "multi_thread")]
async fn destroy_needs_every_statement_of_its_policy_and_no_other() {
    let ours = Rights::start(|_| {}).await;
    let adopted = Rights::start(foreign).await;
    let adopt = ["--adopt", "iam.role.lbc", "--adopt", "iam.policy.lbc"];
    let printed = ours.printed("destroy", &[]).await;
    for (rights, flags) in [(&ours, &[][..]), (&adopted, &adopt)] {
        destroyed(rights, &printed, &printed.policy, flags).await.expect(0);
    }
    for place in 0..printed.policy.statements.len() {
        let (less, removed) = without(&printed.policy, place);
        // Naming clusters is a courtesy that apply's test looks at; add-ons are asked for where there are releases; the
        // objects of Pod Identity have tests of their own.
        let elsewhere = ["FindCluster", "ReadAddon", "ReadEks", "RemoveEks"];
        if removed.sid.as_deref().is_some_and(|sid| elsewhere.contains(&sid)) {
            continue;
        }
        let (mut needed, mut last) = (false, String::new());
        for (rights, flags) in [(&ours, &[][..]), (&adopted, &adopt)] {
            let run = destroyed(rights, &printed, &less, flags).await;
            // The proof at the end does not fail a run; it says what it could not see.
            let unproved = format!("{}{}", run.stdout, run.stderr).contains("left in AWS: not known");
            needed = stumbled(&run, &removed) && (run.code != 0 || unproved);
            last = format!("{}{}", run.stdout, run.stderr);
            if needed {
                break;
            }
        }
        assert!(needed, "destroy gets along without {}: {last}", removed_text(&removed));
    }
    // What an earlier configuration made is looked for at the end too, and named.
    ours.lab.run(&of_aws(&["apply", "--yes"])).await.expect(0);
    let flags = ["--disable", "aws-load-balancer-controller"];
    let printed = ours.printed("destroy", &flags).await;
    let command = [&of_aws(&["destroy", "--confirm", "demo"])[..], &flags].concat();
    for (sid, kind) in [("ReadLeftRoles", "role"), ("ReadLeftPolicies", "policy")] {
        let place = printed.policy.statements.iter().position(|it| it.sid.as_deref() == Some(sid)).unwrap();
        let run = ours.run(&printed, &command).await.expect(0);
        let named = format!("{kind}/demo-aws-load-balancer-controller-2bfeae5e");
        let said = format!("{}{}", run.stdout, run.stderr);
        assert!(said.contains("left in AWS:") && said.contains(&named), "{said}");
        let (policy, removed) = without(&printed.policy, place);
        let less = Printed { policy, ..printed.clone() };
        let run = ours.run(&less, &command).await;
        let said = format!("{}{}", run.stdout, run.stderr);
        assert!(stumbled(&run, &removed), "destroy gets along without {}: {said}", removed_text(&removed));
    }
    ours.lab.stop().await;
    adopted.lab.stop().await;
}

/// Fails unless a move stumbles without each of these statements; it stays where it came to.
async fn moves_only_with(rights: &Rights, printed: &Printed, arguments: &[&str], names: &[&str]) {
    for name in names {
        let place = printed.policy.statements.iter().position(|statement| statement.sid.as_deref() == Some(name));
        let (policy, removed) = without(&printed.policy, place.unwrap_or_else(|| panic!("no {name}")));
        let run = rights.run(&Printed { policy, ..printed.clone() }, arguments).await;
        assert!(run.code != 0 && stumbled(&run, &removed), "{arguments:?} gets along without {name}: {}", run.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_between_irsa_and_pod_identity_gets_along_with_what_is_printed() {
    let rights = Rights::start(|_| {}).await;
    let by_pods = ["--identity", "pod-identity"];
    let printed = rights.printed("migrate", &[]).await;
    // Both ways are in it, whichever the configuration says.
    let same = rights.printed("migrate", &by_pods).await;
    assert_eq!((&printed.policy, &printed.namespaced), (&same.policy, &same.namespaced));
    assert_eq!(printed.cluster, same.cluster);
    let (there, back) = (["migrate", "--to", "pod-identity", "--yes"], ["migrate", "--to", "irsa", "--yes"]);

    let apply = rights.printed("apply", &[]).await;
    rights.run(&apply, &["apply", "--yes"]).await.expect(0);
    // In this order, since each run does what does not need the statement that it lacks.
    let needed = ["ReadAgentVersions", "ReadEks", "MakeEks", "TagEks", "HandToPods", "ChangeRole"];
    moves_only_with(&rights, &printed, &there, &needed).await;
    for (resource, verb) in [("pods", "create"), ("serviceaccounts", "patch")] {
        rights.lab.sandbox.simulator.set_caller_policy(Some(printed.policy.clone()));
        // A proof asks again until its time is over.
        let soon = [&there[..], &["--timeout", "3s"]].concat();
        rights.forbidden(&printed, Rights::rule(&printed, resource, verb), &soon).await;
    }
    rights.run(&printed, &there).await.expect(0);
    let plan = rights.printed("plan", &by_pods).await;
    rights.run(&plan, &[&["plan", "--detailed-exitcode"][..], &by_pods].concat()).await.expect(0);

    // What `apply` may do with Pod Identity is not enough for the way back: it reads no provider and takes no association away.
    let run = rights.run(&rights.printed("apply", &by_pods).await, &back).await;
    assert_eq!(run.code, 77, "{}", run.stderr);
    moves_only_with(&rights, &printed, &back, &["RemoveAssociation"]).await;
    rights.run(&printed, &back).await.expect(0);
    rights.run(&rights.printed("plan", &[]).await, &["plan", "--detailed-exitcode"]).await.expect(0);

    // Where there has never been a provider, the way to IRSA makes it.
    rights.run(&rights.printed("destroy", &[]).await, &["destroy", "--confirm", "demo"]).await.expect(0);
    let apply = rights.printed("apply", &by_pods).await;
    rights.run(&apply, &[&["apply", "--yes"][..], &by_pods].concat()).await.expect(0);
    moves_only_with(&rights, &printed, &back, &["Make"]).await;
    rights.run(&printed, &back).await.expect(0);
    rights.run(&rights.printed("plan", &[]).await, &["plan", "--detailed-exitcode"]).await.expect(0);
    rights.lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_printed_rights_show_which_cluster_a_kubeconfig_leads_to() {
    let rights = Rights::start(|_| {}).await;
    let variables: std::collections::BTreeMap<_, _> = rights.lab.sandbox.environment().into_iter().collect();
    let mut kubeconfig: Value = serde_json::from_slice(&std::fs::read(&variables["KUBECONFIG"]).unwrap()).unwrap();
    let cluster = &mut kubeconfig["clusters"][0]["cluster"];
    // As through a tunnel: nobody checks who answers.
    *cluster = json!({"server": cluster["server"], "insecure-skip-tls-verify": true});
    let path = rights.lab.work.path().join("tunnel");
    std::fs::write(&path, kubeconfig.to_string()).unwrap();
    let flags = ["--kubeconfig", path.to_str().unwrap()];
    let apply = [&["apply", "--yes", "--only", "iam.oidc-provider"], &flags[..]].concat();

    let printed = rights.printed("apply", &flags).await;
    let is_root = |rule: &Value| rule["resourceNames"] == json!(["kube-root-ca.crt"]);
    let is_issuer = |rule: &Value| rule["nonResourceURLs"] == json!(["/.well-known/openid-configuration"]);
    let kept = |rules: &[Value], gone: &dyn Fn(&Value) -> bool| rules.iter().filter(|it| !gone(it)).cloned().collect();
    let without_root = Printed { namespaced: kept(&printed.namespaced, &is_root), ..printed.clone() };
    let without_issuer = Printed { cluster: kept(&printed.cluster, &is_issuer), ..printed.clone() };
    assert_eq!(without_root.namespaced.len() + 1, printed.namespaced.len());
    assert_eq!(without_issuer.cluster.len() + 1, printed.cluster.len());
    let neither = Printed { cluster: without_issuer.cluster.clone(), ..without_root.clone() };
    let run = rights.run(&neither, &apply).await.expect(4);
    assert!(run.stderr.contains("nothing shows that kubeconfig"), "{}", run.stderr);
    assert!(run.stderr.contains("permissions --kubernetes --kubeconfig"), "{}", run.stderr);
    assert_eq!(rights.lab.aws_writes(), Vec::<String>::new());
    // Either of both will do.
    for one in [&without_root, &without_issuer] {
        rights.run(one, &apply).await.expect(0);
    }
    // Without a kubeconfig nothing of it is asked, and so nothing is granted.
    let plain = rights.printed("apply", &[]).await;
    assert!(!plain.namespaced.iter().any(is_root) && !plain.cluster.iter().any(is_issuer));
    rights.lab.stop().await;
}
