//! The objects that a fresh EKS cluster has and a fresh apiserver has not.
//!
//! Pure: two nodes of a managed node group (played by kwok), the administrators' binding, `aws-auth`. The start sequence
//! applies them; what a user's cluster holds beyond that is the seed's business.

use serde_json::{Value, json};

use super::Options;

/// The group that the sandbox's own token users belong to; bound to cluster-admin, as an access entry with
/// `AmazonEKSClusterAdminPolicy` would.
pub const ADMIN_GROUP: &str = "eks-bootstrap:admins";

/// Marks the nodes that kwok plays.
pub(super) const KWOK_ANNOTATION: (&str, &str) = ("kwok.x-k8s.io/node", "fake");

/// The address that kwok gives to pods: a range that nothing on a machine listens on.
pub(super) const POD_RANGE: &str = "192.168.128.0/17";

/// One simulated node.
struct Node {
    zone: char,
    address: [u8; 4],
    instance: &'static str,
}

const NODES: [Node; 2] = [
    Node { zone: 'a', address: [192, 168, 10, 21], instance: "i-0a1b2c3d4e5f60718" },
    Node { zone: 'b', address: [192, 168, 42, 35], instance: "i-0b2c3d4e5f6071829" },
];

/// The EC2 instances behind the nodes.
pub(in crate::sandbox) fn instances() -> impl Iterator<Item = &'static str> {
    NODES.iter().map(|node| node.instance)
}

/// The nodes, in the order in which they are created.
pub(super) fn nodes(options: &Options, kubernetes: &str) -> Vec<Value> {
    NODES.iter().map(|node| self::node(node, options, kubernetes)).collect()
}

fn node(node: &Node, options: &Options, kubernetes: &str) -> Value {
    let region = &options.region;
    let zone = format!("{region}{}", node.zone);
    let [a, b, c, d] = node.address;
    // EC2 names instances after their address; only us-east-1 has a domain of its own.
    let domain = if region == "us-east-1" { "ec2.internal".into() } else { format!("{region}.compute.internal") };
    let name = format!("ip-{a}-{b}-{c}-{d}.{domain}");
    let address = format!("{a}.{b}.{c}.{d}");
    let resources = |cpu: &str, memory: &str| json!({"cpu": cpu, "memory": memory, "ephemeral-storage": "20Gi", "hugepages-1Gi": "0", "hugepages-2Mi": "0", "pods": "58"});
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {KWOK_ANNOTATION.0: KWOK_ANNOTATION.1, "node.alpha.kubernetes.io/ttl": "0"},
            "labels": {
                "beta.kubernetes.io/arch": "amd64",
                "beta.kubernetes.io/os": "linux",
                "beta.kubernetes.io/instance-type": "m6i.xlarge",
                "eks.amazonaws.com/capacityType": "ON_DEMAND",
                "eks.amazonaws.com/nodegroup": "default",
                "failure-domain.beta.kubernetes.io/region": region,
                "failure-domain.beta.kubernetes.io/zone": zone,
                "kubernetes.io/arch": "amd64",
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "node.kubernetes.io/instance-type": "m6i.xlarge",
                "topology.kubernetes.io/region": region,
                "topology.kubernetes.io/zone": zone,
            },
        },
        "spec": {"providerID": format!("aws:///{zone}/{}", node.instance)},
        "status": {
            "allocatable": resources("3920m", "15076Mi"),
            "capacity": resources("4", "16Gi"),
            "addresses": [
                {"type": "InternalIP", "address": address},
                {"type": "InternalDNS", "address": name},
                {"type": "Hostname", "address": name},
            ],
            "nodeInfo": {
                "architecture": "amd64",
                "bootID": "", "machineID": "", "systemUUID": "",
                "containerRuntimeVersion": "containerd://2.1.4",
                "kernelVersion": "6.12.40-64.114.amzn2023.x86_64",
                "kubeProxyVersion": "",
                "kubeletVersion": format!("{kubernetes}-eks-sandbox"),
                "operatingSystem": "linux",
                "osImage": "Amazon Linux 2023",
            },
        },
    })
}

/// Makes the sandbox's users administrators.
pub(super) fn admin_binding() -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "eks-bootstrap-sandbox-admins"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": ADMIN_GROUP}],
    })
}

/// The map of IAM roles that EKS writes when a managed node group is created.
pub(super) fn aws_auth(options: &Options) -> Value {
    let role = &options.node_role_arn;
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "aws-auth", "namespace": "kube-system"},
        "data": {"mapRoles": format!(
            "- groups:\n  - system:bootstrappers\n  - system:nodes\n  rolearn: {role}\n  username: system:node:{{{{EC2PrivateDNSName}}}}\n"
        )},
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::sandbox::control_plane::Programs;

    fn options(region: &str) -> Options {
        Options {
            cluster: "prod".into(),
            issuer: "https://oidc.eks.eu-west-1.amazonaws.com/id/0123".into(),
            region: region.into(),
            partition: "aws".into(),
            account: "111122223333".into(),
            node_role_arn: "arn:aws:iam::111122223333:role/node".into(),
            kubernetes_version: None,
            programs: Programs::none(),
            reaper: None,
            authenticate: Arc::new(|_| Err(String::new())),
            associated: Arc::new(|_, _| false),
            progress: Arc::new(|_| {}),
        }
    }

    #[test]
    fn nodes_look_like_those_of_a_managed_node_group() {
        let nodes = nodes(&options("eu-west-1"), "v1.35.4");
        assert_eq!(nodes[0]["metadata"]["name"], "ip-192-168-10-21.eu-west-1.compute.internal");
        assert_eq!(nodes[0]["spec"]["providerID"], "aws:///eu-west-1a/i-0a1b2c3d4e5f60718");
        assert_eq!(nodes[1]["metadata"]["labels"]["topology.kubernetes.io/zone"], "eu-west-1b");
        assert_eq!(nodes[1]["status"]["nodeInfo"]["kubeletVersion"], "v1.35.4-eks-sandbox");
    }

    #[test]
    fn us_east_1_has_its_own_domain() {
        assert_eq!(nodes(&options("us-east-1"), "v1")[0]["metadata"]["name"], "ip-192-168-10-21.ec2.internal");
    }

    #[test]
    fn the_map_of_roles_keeps_the_placeholder() {
        let map = aws_auth(&options("eu-west-1"))["data"]["mapRoles"].as_str().unwrap().to_owned();
        assert!(map.contains("rolearn: arn:aws:iam::111122223333:role/node\n"));
        assert!(map.contains("username: system:node:{{EC2PrivateDNSName}}\n"));
    }
}
