//! What every purpose needs of AWS, as a table: a row is a statement, or one for each component where conditions differ.
//!
//! Conditions stand where IAM knows their keys for the action (service authorization reference of IAM): tags of the request
//! on what makes or tags, tags of the object on what deletes, the policy's ARN on attachments, the boundary on what makes,
//! bounds or extends a role. Names, prefix and path need no condition: they are in the ARNs.

use super::Purpose::{self, Apply, Destroy, Migrate, Plan, Verify};

/// Which objects a statement speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum On {
    /// The cluster.
    Cluster,
    /// Actions that know no resources, or ask about all of them.
    Everything,
    /// The OIDC provider.
    Provider,
    /// Every OIDC provider of the account: former issuers of the cluster have names that nobody knows.
    Providers,
    /// The OIDC provider and the policies that are ours.
    ProviderAndPolicies,
    /// Everything that is ours: provider, roles, policies.
    Made,
    /// Roles of ours that the configuration does not speak of.
    LeftRoles,
    /// Policies of ours that the configuration does not speak of.
    LeftPolicies,
    /// The component's role.
    Role,
    /// The component's role, whether it exists or not.
    RoleOrNone,
    /// The same, and the one of AWS's documentation where it is looked for.
    Roles,
    /// The component's policy, or the AWS managed ones that will do.
    Policies,
    /// The policies that may have been made for the component under another configuration.
    OtherPolicies,
    /// The component's EKS add-on.
    Addon,
    /// Everything there is, for the sake of one component.
    Offers,
    /// Every role: which ones are the nodes', nobody knows before node groups are listed.
    NodeRoles,
    /// The cluster, and its node groups.
    NodeGroups,
    /// The cluster, and its Fargate profiles.
    FargateProfiles,
    /// The cluster, when something is made in it for the component.
    InCluster,
    /// Pod Identity associations of the cluster.
    Associations,
    /// The cluster's associations and the agent's add-on.
    EksObjects,
    /// The same and the cluster, of which EKS is asked where something is not there or is made with tags.
    EksTagged,
}

impl On {
    pub(super) const fn of_component(self) -> bool {
        matches!(
            self,
            On::Role
                | On::RoleOrNone
                | On::Roles
                | On::Policies
                | On::OtherPolicies
                | On::Addon
                | On::InCluster
                | On::Associations
                | On::EksObjects
                | On::EksTagged
                | On::Offers
                | On::NodeRoles
                | On::NodeGroups
                | On::FargateProfiles
        )
    }
}

/// For which components a statement is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// All.
    Always,
    /// Those whose role is ours and not named by the user.
    OwnRole,
    /// Those whose role the user names.
    NamedRole,
    /// Those whose role is ours, where a boundary is asked for.
    BoundRole,
    /// Those whose policy is ours.
    OwnPolicy,
    /// Those that use an AWS managed policy.
    AwsPolicy,
    /// Those whose policy the user names.
    NamedPolicy,
    /// Those of which the configuration says which policy they are to have, so that it is swapped.
    Swaps,
    /// Those that use KMS keys.
    Keys,
    /// Those that exist as an EKS add-on too.
    Addon,
    /// Those whose policy is wanted on the nodes' roles.
    OnNodeRoles,
    /// Those that EKS is to install as an add-on.
    ByEks,
    /// Those that get their role by EKS Pod Identity.
    PodIdentity,
}

/// Under which condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Only {
    /// None.
    Always,
    /// The new object gets our tags for this cluster.
    TheseTags,
    /// The same, and the role gets the configuration's boundary.
    TheseTagsAndBoundary,
    /// Only tags that the configuration asks for are set.
    TheseTagKeys,
    /// Only our own tags are taken off.
    OurTagKeys,
    /// The object carries our tag.
    Ours,
    /// The role is handed to EKS for pods, and to nobody else.
    ToPods,
    /// Only the component's policies.
    ThesePolicies,
    /// The same, and the role has the configuration's boundary.
    ThesePoliciesAndBoundary,
    /// The configuration's boundary.
    Boundary,
}

/// One statement.
#[derive(Debug)]
pub(super) struct Grant {
    pub(super) sid: &'static str,
    pub(super) purposes: &'static [Purpose],
    pub(super) actions: &'static [&'static str],
    pub(super) on: On,
    pub(super) when: When,
    pub(super) only: Only,
}

const ALL: &[Purpose] = &[Plan, Apply, Verify, Destroy, Migrate];
const LOOK: &[Purpose] = &[Plan, Apply, Verify, Migrate];
/// What a move changes too: it finds roles, policies and releases as an apply has left them.
const MOVE: &[Purpose] = &[Apply, Migrate];

const fn grant(
    sid: &'static str,
    purposes: &'static [Purpose],
    actions: &'static [&'static str],
    on: On,
    when: When,
    only: Only,
) -> Grant {
    Grant { sid, purposes, actions, on, when, only }
}

/// All statements, in the order in which they are printed.
#[rustfmt::skip]
pub(super) const GRANTS: &[Grant] = &[
    grant("ReadCluster", ALL, &["eks:DescribeCluster", "eks:ListPodIdentityAssociations"], On::Cluster, When::Always, Only::Always),
    // Only to name the clusters that exist when the one asked for does not.
    grant("FindCluster", &[Destroy, Migrate], &["eks:ListClusters"], On::Everything, When::Always, Only::Always),
    grant("ReadProvider", ALL, &["iam:GetOpenIDConnectProvider"], On::Providers, When::Always, Only::Always),
    grant("ChangeProvider", MOVE, &["iam:AddClientIDToOpenIDConnectProvider"], On::Provider, When::Always, Only::Always),

    grant("ReadEks", LOOK, &["eks:DescribePodIdentityAssociation", "eks:DescribeAddon"], On::EksTagged, When::PodIdentity, Only::Always),
    grant("ReadEks", &[Destroy], &["eks:DescribePodIdentityAssociation", "eks:DescribeAddon"], On::EksTagged, When::Always, Only::Always),
    grant("ReadAgentVersions", &[Plan, Apply, Migrate], &["eks:DescribeAddonVersions"], On::Everything, When::PodIdentity, Only::Always),
    grant("MakeEks", MOVE, &["eks:CreatePodIdentityAssociation", "eks:CreateAddon"], On::InCluster, When::PodIdentity, Only::TheseTags),
    grant("ChangeAssociation", &[Apply], &["eks:UpdatePodIdentityAssociation"], On::Associations, When::PodIdentity, Only::Always),
    grant("HandToPods", MOVE, &["iam:PassRole"], On::Role, When::PodIdentity, Only::ToPods),
    grant("TagEks", MOVE, &["eks:TagResource"], On::EksTagged, When::PodIdentity, Only::TheseTagKeys),
    grant("RemoveEks", &[Destroy], &["eks:DeletePodIdentityAssociation", "eks:DeleteAddon", "eks:UntagResource"], On::EksObjects, When::Always, Only::Ours),
    // On the way back to IRSA; `apply` never takes one away.
    grant("RemoveAssociation", &[Migrate], &["eks:DeletePodIdentityAssociation"], On::Associations, When::PodIdentity, Only::Ours),
    // How many providers there are is asked only where the cluster's is missing, how many roles and policies before an installation.
    grant("ReadQuotas", &[Verify], &["iam:ListOpenIDConnectProviders", "iam:GetAccountSummary"], On::Everything, When::Always, Only::Always),
    // A cluster that was made again has left the one of its former issuer behind.
    grant("RemoveFormer", MOVE, &["iam:DeleteOpenIDConnectProvider"], On::Providers, When::Always, Only::Ours),

    grant("ReadAddon", ALL, &["eks:DescribeAddon"], On::Addon, When::Addon, Only::Always),

    grant("ReadRole", LOOK, &["iam:GetRole", "iam:ListAttachedRolePolicies"], On::Roles, When::Always, Only::Always),
    // Roles and policies of ours are read by the end of their names, see below.
    grant("ReadRole", &[Destroy], &["iam:GetRole"], On::Role, When::NamedRole, Only::Always),
    grant("ReadAttachments", &[Destroy], &["iam:ListAttachedRolePolicies"], On::RoleOrNone, When::Always, Only::Always),
    grant("SimulateRole", &[Verify], &["iam:SimulatePrincipalPolicy"], On::Role, When::Always, Only::Always),
    // What the driver may do with the keys that StorageClasses name.
    grant("ReadInlinePolicies", &[Verify], &["iam:ListRolePolicies", "iam:GetRolePolicy"], On::Role, When::Keys, Only::Always),
    grant("MakeRole", &[Apply], &["iam:CreateRole"], On::Role, When::OwnRole, Only::TheseTagsAndBoundary),
    grant("ChangeRole", &[Apply], &["iam:UpdateRole"], On::Role, When::OwnRole, Only::Always),
    grant("ChangeRole", &[Apply, Destroy, Migrate], &["iam:UpdateAssumeRolePolicy"], On::Role, When::Always, Only::Always),
    grant("BoundRole", &[Apply], &["iam:PutRolePermissionsBoundary"], On::Role, When::BoundRole, Only::Boundary),
    grant("Attach", &[Apply], &["iam:AttachRolePolicy"], On::Role, When::Always, Only::ThesePoliciesAndBoundary),
    grant("ReadWhatHangsOnRole", &[Destroy], &["iam:ListRolePolicies", "iam:ListInstanceProfilesForRole"], On::RoleOrNone, When::Always, Only::Always),
    grant("Detach", &[Destroy], &["iam:DetachRolePolicy"], On::Role, When::Always, Only::ThesePolicies),
    grant("Swap", &[Apply], &["iam:DetachRolePolicy"], On::Role, When::Swaps, Only::ThesePolicies),

    grant("ReadPolicy", LOOK, &["iam:GetPolicy", "iam:GetPolicyVersion", "iam:ListPolicyVersions"], On::Policies, When::OwnPolicy, Only::Always),
    grant("ReadPolicy", &[Destroy], &["iam:ListPolicyVersions", "iam:ListEntitiesForPolicy"], On::Policies, When::OwnPolicy, Only::Always),
    grant("ReadAwsPolicy", LOOK, &["iam:GetPolicy"], On::Policies, When::AwsPolicy, Only::Always),
    grant("ReadNamedPolicy", LOOK, &["iam:GetPolicy", "iam:GetPolicyVersion"], On::Policies, When::NamedPolicy, Only::Always),
    // What a policy of ours that another one replaces was made by.
    grant("ReadOtherPolicies", &[Plan, Apply, Migrate], &["iam:GetPolicy"], On::OtherPolicies, When::Swaps, Only::Always),
    grant("ChangePolicy", &[Apply], &["iam:CreatePolicyVersion", "iam:SetDefaultPolicyVersion", "iam:DeletePolicyVersion"], On::Policies, When::OwnPolicy, Only::Always),

    grant("ReadAddonVersions", LOOK, &["eks:DescribeAddonVersions"], On::Offers, When::ByEks, Only::Always),
    grant("MakeAddon", MOVE, &["eks:CreateAddon", "eks:UpdateAddon", "eks:TagResource"], On::Addon, When::ByEks, Only::Always),
    grant("PassRole", MOVE, &["iam:PassRole"], On::Role, When::ByEks, Only::Always),
    grant("RemoveAddon", &[Destroy], &["eks:DeleteAddon", "eks:UntagResource"], On::Addon, When::ByEks, Only::Always),
    // Whether nodes hold a policy that nobody asked for is looked at in any case.
    grant("AuditNodeGroups", &[Verify], &["eks:ListNodegroups", "eks:DescribeNodegroup"], On::NodeGroups, When::Always, Only::Always),
    // What could bring nodes is asked only where none takes the pods.
    grant("AuditFargate", &[Verify], &["eks:ListFargateProfiles", "eks:DescribeFargateProfile"], On::FargateProfiles, When::Always, Only::Always),
    grant("AuditNodeRoles", &[Verify], &["iam:ListAttachedRolePolicies"], On::NodeRoles, When::Always, Only::Always),
    grant("ReadNodeGroups", &[Plan, Apply], &["eks:ListNodegroups", "eks:DescribeNodegroup"], On::NodeGroups, When::OnNodeRoles, Only::Always),
    grant("ReadNodeRoles", ALL, &["iam:GetRole", "iam:ListAttachedRolePolicies"], On::NodeRoles, When::OnNodeRoles, Only::Always),
    grant("AttachToNodes", &[Apply], &["iam:AttachRolePolicy"], On::NodeRoles, When::OnNodeRoles, Only::ThesePolicies),
    grant("TagNodes", &[Apply], &["iam:TagRole"], On::NodeRoles, When::OnNodeRoles, Only::OurTagKeys),
    grant("DetachFromNodes", &[Apply, Destroy], &["iam:DetachRolePolicy"], On::NodeRoles, When::OnNodeRoles, Only::ThesePolicies),
    grant("UntagNodes", &[Apply, Destroy], &["iam:UntagRole"], On::NodeRoles, When::OnNodeRoles, Only::OurTagKeys),

    grant("Make", &[Apply], &["iam:CreateOpenIDConnectProvider", "iam:CreatePolicy"], On::ProviderAndPolicies, When::Always, Only::TheseTags),
    grant("Make", &[Migrate], &["iam:CreateOpenIDConnectProvider"], On::Provider, When::Always, Only::TheseTags),
    grant("Tag", &[Migrate], &["iam:TagOpenIDConnectProvider"], On::Provider, When::Always, Only::TheseTagKeys),
    // Whatever is made with tags needs the right to tag it as well.
    grant("Tag", &[Apply], &["iam:TagOpenIDConnectProvider", "iam:TagRole", "iam:TagPolicy"], On::Made, When::Always, Only::TheseTagKeys),
    grant("Remove", &[Destroy], &["iam:DeleteOpenIDConnectProvider", "iam:DeleteRole", "iam:DeletePolicyVersion", "iam:DeletePolicy"], On::Made, When::Always, Only::Ours),
    grant("Untag", &[Destroy], &["iam:UntagRole", "iam:UntagPolicy"], On::Made, When::Always, Only::OurTagKeys),

    // Subnets by their tags; at the end of a destroy, what is left by the controllers' tags.
    grant("ReadNetwork", &[Plan, Apply, Verify], &["ec2:DescribeSubnets", "ec2:DescribeRouteTables", "tag:GetResources", "eks:ListClusters"], On::Everything, When::Always, Only::Always),
    // Former issuers are looked for among all providers; a statement of its own would have no room in IAM's 6,144 characters.
    grant("ReadNetwork", &[Plan, Apply], &["iam:ListOpenIDConnectProviders"], On::Everything, When::Always, Only::Always),
    grant("FindCluster", &[Migrate], &["iam:ListOpenIDConnectProviders"], On::Everything, When::Always, Only::Always),
    // The tagging API goes on showing what is deleted, so each service is asked about its own.
    // And which security groups stand between the control plane and the nodes.
    grant("ReadNetwork", &[Verify], &["elasticloadbalancing:DescribeLoadBalancers", "ec2:DescribeInstances", "ec2:DescribeSecurityGroups"], On::Everything, When::Always, Only::Always),
    grant("ReadTags", &[Destroy], &["tag:GetResources", "elasticloadbalancing:DescribeLoadBalancers", "elasticloadbalancing:DescribeTargetGroups", "ec2:DescribeSecurityGroups", "ec2:DescribeVolumes", "globalaccelerator:DescribeAccelerator"], On::Everything, When::Always, Only::Always),
    // Whether others trust the provider is asked of every role of the account.
    // And what of ours is left is asked of every role and policy.
    grant("ReadTrusts", &[Destroy], &["iam:ListRoles", "iam:ListPolicies", "iam:ListOpenIDConnectProviders"], On::Everything, When::Always, Only::Always),
    grant("ReadLeftRoles", &[Destroy], &["iam:GetRole"], On::LeftRoles, When::Always, Only::Always),
    grant("ReadLeftPolicies", &[Destroy], &["iam:GetPolicy"], On::LeftPolicies, When::Always, Only::Always),
];
