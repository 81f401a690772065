//! The contract of EKS and of the tagging API.

use aws_sdk_eks::types::{AddonPodIdentityAssociations, ResolveConflicts};
use aws_sdk_resourcegroupstagging::types::TagFilter;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::lab::{DOCUMENT, Lab, said, tag, tell};
use super::{Case, case};

const NODES: &str = "arn:aws:iam::111122223333:role/eks/nodes";
const DEMO: &str = "arn:aws:eks:eu-west-1:111122223333:cluster/demo";

pub(super) fn cases() -> Vec<Case> {
    let mut cases = clusters();
    cases.extend(addons());
    cases.extend(associations());
    cases.extend(tagging());
    cases
}

fn clusters() -> Vec<Case> {
    vec![
        case!(
            "cluster: issuer, authority, network and access",
            Simulator,
            |lab| {
                tell(lab.eks.describe_cluster().name("demo").send().await, |it| {
                    let it = it.cluster.unwrap();
                    let network = it.resources_vpc_config.unwrap();
                    let pem = STANDARD.decode(it.certificate_authority.unwrap().data.unwrap()).unwrap();
                    format!(
                        "{} {} {} {} {} {} {}",
                        it.identity.unwrap().oidc.unwrap().issuer.unwrap(),
                        pem.starts_with(b"-----BEGIN"),
                        network.vpc_id.unwrap().starts_with("vpc-"),
                        network.subnet_ids.unwrap().len(),
                        network.cluster_security_group_id.unwrap().starts_with("sg-"),
                        it.access_config.unwrap().authentication_mode.unwrap(),
                        it.tags.unwrap()["team"],
                    )
                })
            },
            "https://oidc.example.com/id/DEMO true true 2 true API_AND_CONFIG_MAP platform"
        ),
        case!(
            "cluster: Auto Mode",
            Simulator,
            |lab| {
                let auto = lab.eks.describe_cluster().name("automatic").send().await;
                let plain = lab.eks.describe_cluster().name("demo").send().await;
                let enabled = |it: aws_sdk_eks::operation::describe_cluster::DescribeClusterOutput| {
                    it.cluster.unwrap().compute_config.unwrap().enabled.unwrap().to_string()
                };
                format!("{} {}", tell(auto, enabled), tell(plain, enabled))
            },
            "true false"
        ),
        case!(
            "cluster: being created it has no issuer yet",
            Simulator,
            |lab| {
                tell(lab.eks.describe_cluster().name("young").send().await, |it| {
                    let it = it.cluster.unwrap();
                    format!("{} {:?}", it.status.unwrap(), it.identity)
                })
            },
            "CREATING None"
        ),
        case!(
            "cluster: one that is not there; the text ends with a full stop",
            Account,
            |lab| {
                let error = lab.eks.describe_cluster().name("none").send().await.unwrap_err();
                let text = error.as_service_error().unwrap().meta().message().unwrap().to_owned();
                format!("{}, {text}", said::<(), _>(Err(error)))
            },
            "404 ResourceNotFoundException, No cluster found for name: none."
        ),
        case!(
            "cluster: a name that is none",
            Simulator,
            |lab| said(lab.eks.describe_cluster().name("-demo-").send().await),
            "400 InvalidParameterException"
        ),
        case!(
            "cluster: one of another region is not seen",
            Simulator,
            |lab| said(lab.eks.describe_cluster().name("faraway").send().await),
            "404 ResourceNotFoundException"
        ),
        case!(
            "cluster: the list has pages",
            Simulator,
            |lab| {
                let first = lab.eks.list_clusters().max_results(2).send().await.unwrap();
                let second = lab
                    .eks
                    .list_clusters()
                    .max_results(2)
                    .set_next_token(first.next_token.clone())
                    .send()
                    .await
                    .unwrap();
                format!("{:?} {:?} {:?}", first.clusters(), second.clusters(), second.next_token)
            },
            r#"["automatic", "demo"] ["young"] None"#
        ),
        case!(
            "cluster: a token of a page that is none",
            Simulator,
            |lab| said(lab.eks.list_clusters().next_token("nonsense").send().await),
            "400 InvalidParameterException"
        ),
        case!(
            "cluster: tags are shown after TagResource",
            Simulator,
            |lab| {
                lab.eks.tag_resource().resource_arn(DEMO).tags("new", "ü").send().await.unwrap();
                lab.eks.untag_resource().resource_arn(DEMO).tag_keys("team").send().await.unwrap();
                let shown = tell(lab.eks.describe_cluster().name("demo").send().await, |it| {
                    format!("{:?}", it.cluster.unwrap().tags.unwrap())
                });
                let listed = tell(lab.eks.list_tags_for_resource().resource_arn(DEMO).send().await, |it| {
                    format!("{:?}", it.tags.unwrap())
                });
                format!("{shown} {}", shown == listed)
            },
            r#"{"new": "ü"} true"#
        ),
        case!(
            "cluster: tags of something that is not there",
            Simulator,
            |lab| {
                let arn = "arn:aws:eks:eu-west-1:111122223333:cluster/none";
                said(lab.eks.list_tags_for_resource().resource_arn(arn).send().await)
            },
            "404 NotFoundException"
        ),
        case!(
            "cluster: making one is not simulated and says so",
            Simulator,
            |lab| {
                let network = aws_sdk_eks::types::VpcConfigRequest::builder().build();
                said(lab.eks.create_cluster().name("x").role_arn(NODES).resources_vpc_config(network).send().await)
            },
            "501 NotImplemented"
        ),
        case!(
            "node groups: listed in pages and described",
            Simulator,
            |lab| {
                let page = lab.eks.list_nodegroups().cluster_name("demo").max_results(2).send().await.unwrap();
                let group = lab.eks.describe_nodegroup().cluster_name("demo").nodegroup_name("red").send().await;
                let role = tell(group, |it| it.nodegroup.unwrap().node_role.unwrap());
                format!("{:?} {} {role}", page.nodegroups(), page.next_token.is_some())
            },
            r#"["blue", "green"] true arn:aws:iam::111122223333:role/eks/nodes"#
        ),
        case!(
            "node groups: one that is not there",
            Simulator,
            |lab| said(lab.eks.describe_nodegroup().cluster_name("demo").nodegroup_name("none").send().await),
            "404 ResourceNotFoundException"
        ),
        case!(
            "access entries: listed and described",
            Simulator,
            |lab| {
                let arn = lab
                    .eks
                    .list_access_entries()
                    .cluster_name("demo")
                    .send()
                    .await
                    .unwrap()
                    .access_entries
                    .unwrap()
                    .remove(0);
                tell(lab.eks.describe_access_entry().cluster_name("demo").principal_arn(arn).send().await, |it| {
                    it.access_entry.unwrap().r#type.unwrap()
                })
            },
            "EC2_LINUX"
        ),
    ]
}

async fn status(lab: &Lab, addon: &str) -> String {
    let got = lab.eks.describe_addon().cluster_name("demo").addon_name(addon).send().await;
    tell(got, |it| it.addon.unwrap().status.unwrap().to_string())
}

fn addons() -> Vec<Case> {
    vec![
        case!(
            "add-on: CREATING before ACTIVE",
            Simulator,
            |lab| {
                let made = lab.eks.create_addon().cluster_name("demo").addon_name("metrics-server").send().await;
                let at_once = tell(made, |it| it.addon.unwrap().status.unwrap().to_string());
                lab.advance(5);
                format!("{at_once} {}", status(&lab, "metrics-server").await)
            },
            "CREATING ACTIVE"
        ),
        case!(
            "add-on: a duplicate is refused",
            Simulator,
            |lab| said(lab.eks.create_addon().cluster_name("demo").addon_name("vpc-cni").send().await),
            "409 ResourceInUseException"
        ),
        case!(
            "add-on: a version that is not offered",
            Simulator,
            |lab| {
                said(
                    lab.eks
                        .create_addon()
                        .cluster_name("demo")
                        .addon_name("metrics-server")
                        .addon_version("v9.9.9")
                        .send()
                        .await,
                )
            },
            "400 InvalidParameterException"
        ),
        case!(
            "add-on: one that is not there",
            Simulator,
            |lab| said(lab.eks.describe_addon().cluster_name("demo").addon_name("metrics-server").send().await),
            "404 ResourceNotFoundException"
        ),
        case!(
            "add-on: configuration, role and associations are kept",
            Simulator,
            |lab| {
                let owned = AddonPodIdentityAssociations::builder()
                    .service_account("ebs-csi-controller-sa")
                    .role_arn(NODES)
                    .build()
                    .unwrap();
                let create = lab
                    .eks
                    .create_addon()
                    .cluster_name("demo")
                    .addon_name("aws-ebs-csi-driver")
                    .configuration_values("{\"a\":1}");
                let made = create
                    .resolve_conflicts(ResolveConflicts::Overwrite)
                    .service_account_role_arn(NODES)
                    .pod_identity_associations(owned)
                    .send()
                    .await;
                tell(made, |it| {
                    let it = it.addon.unwrap();
                    let associations = it.pod_identity_associations.unwrap();
                    format!(
                        "{} {} {}",
                        it.configuration_values.unwrap(),
                        it.service_account_role_arn.unwrap() == NODES,
                        associations[0].contains(":podidentityassociation/demo/a-")
                    )
                })
            },
            r#"{"a":1} true true"#
        ),
        case!(
            "add-on: configuration that is neither JSON nor YAML",
            Simulator,
            |lab| {
                said(
                    lab.eks
                        .create_addon()
                        .cluster_name("demo")
                        .addon_name("metrics-server")
                        .configuration_values("{a: [")
                        .send()
                        .await,
                )
            },
            "400 InvalidParameterException"
        ),
        case!(
            "add-on: an update is known by its id",
            Simulator,
            |lab| {
                let update = lab
                    .eks
                    .update_addon()
                    .cluster_name("demo")
                    .addon_name("vpc-cni")
                    .configuration_values("{\"b\":2}")
                    .send()
                    .await
                    .unwrap();
                let id = update.update.unwrap().id.unwrap();
                let ask = || lab.eks.describe_update().name("demo").addon_name("vpc-cni").update_id(&id);
                let early = tell(ask().send().await, |it| it.update.unwrap().status.unwrap().to_string());
                let during = status(&lab, "vpc-cni").await;
                lab.advance(5);
                format!(
                    "{early} {during} {} {}",
                    tell(ask().send().await, |it| it.update.unwrap().status.unwrap().to_string()),
                    status(&lab, "vpc-cni").await
                )
            },
            "InProgress UPDATING Successful ACTIVE"
        ),
        case!(
            "add-on: an update that is not known",
            Simulator,
            |lab| said(lab.eks.describe_update().name("demo").addon_name("vpc-cni").update_id("none").send().await),
            "404 ResourceNotFoundException"
        ),
        case!(
            "add-on: DEGRADED with its health issue",
            Simulator,
            |lab| {
                let got = lab.eks.describe_addon().cluster_name("demo").addon_name("coredns").send().await;
                tell(got, |it| {
                    let it = it.addon.unwrap();
                    format!("{} {}", it.status.unwrap(), it.health.unwrap().issues.unwrap()[0].code.as_ref().unwrap())
                })
            },
            "DEGRADED InsufficientNumberOfReplicas"
        ),
        case!(
            "add-on: deleted it is gone after a while",
            Simulator,
            |lab| {
                let deleted = lab.eks.delete_addon().cluster_name("demo").addon_name("vpc-cni").send().await;
                let at_once = tell(deleted, |it| it.addon.unwrap().status.unwrap().to_string());
                lab.advance(5);
                format!("{at_once}, {}", status(&lab, "vpc-cni").await)
            },
            "DELETING, 404 ResourceNotFoundException"
        ),
        case!(
            "add-on versions: filters and compatibilities",
            Simulator,
            |lab| {
                let all =
                    lab.eks.describe_addon_versions().kubernetes_version("1.35").types("storage").send().await.unwrap();
                let names: Vec<_> = all.addons().iter().map(|it| it.addon_name().unwrap()).collect();
                let one = lab
                    .eks
                    .describe_addon_versions()
                    .kubernetes_version("1.35")
                    .addon_name("metrics-server")
                    .send()
                    .await
                    .unwrap();
                let version = &one.addons()[0].addon_versions()[0];
                let fits = &version.compatibilities()[0];
                format!(
                    "{} {} {} {}",
                    names.join(","),
                    one.addons()[0].owner().unwrap(),
                    fits.cluster_version().unwrap(),
                    fits.default_version
                )
            },
            "aws-ebs-csi-driver,aws-efs-csi-driver,snapshot-controller community 1.35 true"
        ),
        case!(
            "add-on versions: a Kubernetes version that nothing fits",
            Simulator,
            |lab| {
                let none = lab.eks.describe_addon_versions().kubernetes_version("1.10").send().await;
                tell(none, |it| it.addons().len().to_string())
            },
            "0"
        ),
    ]
}

async fn associate(lab: &Lab, account: &str, role: &str) -> String {
    let create = lab.eks.create_pod_identity_association().cluster_name("demo").namespace("kube-system");
    let made = create.service_account(account).role_arn(role).send().await;
    tell(made, |it| it.association.unwrap().association_id.unwrap()[..2].to_owned())
}

fn associations() -> Vec<Case> {
    vec![
        case!("association: made and described", Simulator, |lab| associate(&lab, "a", NODES).await, "a-"),
        case!(
            "association: a second for one service account is refused",
            Simulator,
            |lab| {
                associate(&lab, "a", NODES).await;
                associate(&lab, "a", "arn:aws:iam::111122223333:role/reader").await
            },
            "409 ResourceInUseException"
        ),
        case!(
            "association: the repeated request of one token is the same",
            Simulator,
            |lab| {
                let create = || {
                    lab.eks
                        .create_pod_identity_association()
                        .cluster_name("demo")
                        .namespace("n")
                        .service_account("a")
                        .role_arn(NODES)
                        .client_request_token("t")
                };
                let id = |it: aws_sdk_eks::operation::create_pod_identity_association::CreatePodIdentityAssociationOutput| it.association.unwrap().association_id.unwrap();
                (tell(create().send().await, id) == tell(create().send().await, id)).to_string()
            },
            "true"
        ),
        case!(
            "association: a role that is not there",
            Simulator,
            |lab| associate(&lab, "a", "arn:aws:iam::111122223333:role/none").await,
            "400 InvalidParameterException"
        ),
        case!(
            "association: a role of another account",
            Simulator,
            |lab| associate(&lab, "a", "arn:aws:iam::999999999999:role/x").await,
            "400 InvalidParameterException"
        ),
        case!(
            "association: a role just made is refused for seconds",
            Simulator,
            |lab| {
                let arn = lab.role("new").await;
                let early = associate(&lab, "a", &arn).await;
                lab.advance(10);
                format!("{early}, {}", associate(&lab, "a", &arn).await)
            },
            "400 InvalidParameterException, a-"
        ),
        case!(
            "association: the list has filters and pages",
            Simulator,
            |lab| {
                for account in ["a", "b", "c"] {
                    associate(&lab, account, NODES).await;
                }
                let list = || lab.eks.list_pod_identity_associations().cluster_name("demo");
                let filtered = list().namespace("kube-system").service_account("b").send().await.unwrap();
                let page = list().max_results(2).send().await.unwrap();
                let other = list().namespace("default").send().await.unwrap();
                format!(
                    "{} {} {} {}",
                    filtered.associations().len(),
                    page.associations().len(),
                    page.next_token.is_some(),
                    other.associations().len()
                )
            },
            "1 2 true 0"
        ),
        case!(
            "association: changed and deleted",
            Simulator,
            |lab| {
                let create = lab
                    .eks
                    .create_pod_identity_association()
                    .cluster_name("demo")
                    .namespace("n")
                    .service_account("a")
                    .role_arn(NODES);
                let id = create.send().await.unwrap().association.unwrap().association_id.unwrap();
                let update = lab.eks.update_pod_identity_association().cluster_name("demo").association_id(&id);
                let changed = update.role_arn("arn:aws:iam::111122223333:role/reader").send().await;
                let role = tell(changed, |it| it.association.unwrap().role_arn.unwrap());
                let delete = || lab.eks.delete_pod_identity_association().cluster_name("demo").association_id(&id);
                format!("{role}, {}, {}", said(delete().send().await), said(delete().send().await))
            },
            "arn:aws:iam::111122223333:role/reader, ok, 404 ResourceNotFoundException"
        ),
        case!(
            "association: not while the cluster is being created",
            Simulator,
            |lab| {
                let create = lab.eks.create_pod_identity_association().cluster_name("young").namespace("n");
                said(create.service_account("a").role_arn(NODES).send().await)
            },
            "400 InvalidRequestException"
        ),
    ]
}

fn tag_filter(key: &str, value: &str) -> TagFilter {
    TagFilter::builder().key(key).values(value).build()
}

fn tagging() -> Vec<Case> {
    vec![
        case!(
            "tagging: filters by tag and type; untagged things are left out",
            Simulator,
            |lab| {
                let get = || lab.tagging.get_resources();
                let all = get().resource_type_filters("ec2").send().await.unwrap().resource_tag_mapping_list().len();
                let private = get()
                    .tag_filters(tag_filter("role", "private"))
                    .send()
                    .await
                    .unwrap()
                    .resource_tag_mapping_list()
                    .len();
                let both = get()
                    .tag_filters(tag_filter("role", "private"))
                    .resource_type_filters("ec2:subnet")
                    .send()
                    .await
                    .unwrap();
                format!("{all} {private} {}", both.resource_tag_mapping_list()[0].resource_arn().unwrap())
            },
            "3 2 arn:aws:ec2:eu-west-1:111122223333:subnet/subnet-1"
        ),
        case!(
            "tagging: pages",
            Simulator,
            |lab| {
                let get = || lab.tagging.get_resources().resource_type_filters("ec2").resources_per_page(2);
                let first = get().send().await.unwrap();
                let second = get().set_pagination_token(first.pagination_token.clone()).send().await.unwrap();
                format!(
                    "{} {} {:?}",
                    first.resource_tag_mapping_list().len(),
                    second.resource_tag_mapping_list().len(),
                    second.pagination_token.unwrap_or_default()
                )
            },
            r#"2 1 """#
        ),
        case!(
            "tagging: it lags behind writes, and remembers what had tags",
            Simulator,
            |lab| {
                let get = || lab.tagging.get_resources().tag_filters(tag_filter("new", "1"));
                let count = |it: aws_sdk_resourcegroupstagging::operation::get_resources::GetResourcesOutput| {
                    it.resource_tag_mapping_list().len().to_string()
                };
                lab.eks.tag_resource().resource_arn(DEMO).tags("new", "1").send().await.unwrap();
                let early = tell(get().send().await, count);
                lab.advance(20);
                let late = tell(get().send().await, count);
                lab.eks.untag_resource().resource_arn(DEMO).tag_keys("new").tag_keys("team").send().await.unwrap();
                lab.advance(20);
                let bare = tell(lab.tagging.get_resources().resource_arn_list(DEMO).send().await, |it| {
                    format!("{}", it.resource_tag_mapping_list()[0].tags().len())
                });
                format!("{early} {late} {bare}")
            },
            "0 1 0"
        ),
        case!(
            "tagging: IAM answers in the global region only, without roles",
            Simulator,
            |lab| {
                let create = lab.iam.create_policy().policy_name("p").policy_document(DOCUMENT).tags(tag("own", "1"));
                create.send().await.unwrap();
                lab.role("tagged").await;
                lab.iam.tag_role().role_name("tagged").tags(tag("own", "1")).send().await.unwrap();
                lab.advance(20);
                let here = lab.tagging.get_resources().tag_filters(tag_filter("own", "1")).send().await.unwrap();
                let key =
                    aws_credential_types::Credentials::new("AKIACONTRACT00000001", "secret-1", None, None, "contract");
                let global = aws_sdk_resourcegroupstagging::Client::new(&lab.seen_by(&key, "us-east-1"));
                let there = global.get_resources().tag_filters(tag_filter("own", "1")).send().await.unwrap();
                let arns: Vec<_> =
                    there.resource_tag_mapping_list().iter().map(|it| it.resource_arn().unwrap()).collect();
                format!("{} {}", here.resource_tag_mapping_list().len(), arns.join(","))
            },
            "0 arn:aws:iam::111122223333:policy/p"
        ),
        case!(
            "tagging: a list of ARNs with other filters is refused",
            Simulator,
            |lab| {
                said(lab.tagging.get_resources().resource_arn_list(DEMO).tag_filters(tag_filter("a", "b")).send().await)
            },
            "400 InvalidParameterException"
        ),
    ]
}
