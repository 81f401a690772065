//! The contract of EKS: clusters, node groups and add-ons.

use aws_sdk_eks::types::{AddonPodIdentityAssociations, ResolveConflicts};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::lab::{Lab, said, tell};
use super::{Case, case};

pub(super) const NODES: &str = "arn:aws:iam::111122223333:role/eks/nodes";
pub(super) const DEMO: &str = "arn:aws:eks:eu-west-1:111122223333:cluster/demo";

pub(super) fn cases() -> Vec<Case> {
    let mut cases = clusters();
    cases.extend(addons());
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
                    .configuration_values("{\"fips\":true}");
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
            r#"{"fips":true} true true"#
        ),
        case!(
            "add-on: configuration that its schema does not know, or of another type",
            Simulator,
            |lab| {
                let make = |text: &str| {
                    lab.eks
                        .create_addon()
                        .cluster_name("demo")
                        .addon_name("aws-ebs-csi-driver")
                        .configuration_values(text)
                };
                let unknown = said(make("{\"controller\":{\"replicas\":1}}").send().await);
                let mistyped = said(make("controller: {replicaCount: two}").send().await);
                let created = said(make("{\"node\":{}}").send().await);
                lab.advance(5);
                let update = lab.eks.update_addon().cluster_name("demo").addon_name("aws-ebs-csi-driver");
                let changed = said(update.configuration_values("{\"nodes\":{}}").send().await);
                format!("{unknown}, {mistyped}, {created}, {changed}")
            },
            "400 InvalidParameterException, 400 InvalidParameterException, ok, 400 InvalidParameterException"
        ),
        case!(
            "add-on: its schema can be asked for",
            Simulator,
            |lab| {
                let ask = |name: &str, version: &str| {
                    lab.eks.describe_addon_configuration().addon_name(name).addon_version(version)
                };
                let found = ask("aws-ebs-csi-driver", "v1.64.0-eksbuild.1").send().await;
                let found = tell(found, |it| {
                    let account = it.pod_identity_configuration()[0].service_account().unwrap().to_owned();
                    format!("{account} {}", it.configuration_schema.unwrap().contains("additionalProperties"))
                });
                let version = said(ask("aws-ebs-csi-driver", "v0").send().await);
                format!("{found}, {version}, {}", said(ask("nothing", "v1").send().await))
            },
            "ebs-csi-controller-sa true, 400 InvalidParameterException, 400 InvalidParameterException"
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
            "add-on: nothing is there to preserve when it is created",
            Simulator,
            |lab| {
                let create = lab.eks.create_addon().cluster_name("demo").addon_name("metrics-server");
                said(create.resolve_conflicts(ResolveConflicts::Preserve).send().await)
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
