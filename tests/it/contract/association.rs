//! The contract of Pod Identity associations.

use super::eks::NODES;
use super::lab::{Lab, said, tell};
use super::{Case, case};

async fn associate(lab: &Lab, account: &str, role: &str) -> String {
    let create = lab.eks.create_pod_identity_association().cluster_name("demo").namespace("kube-system");
    let made = create.service_account(account).role_arn(role).send().await;
    tell(made, |it| it.association.unwrap().association_id.unwrap()[..2].to_owned())
}

pub(super) fn cases() -> Vec<Case> {
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
