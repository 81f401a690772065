//! Which of the things that the tagging API shows are really there: asked of the service that keeps them.
//!
//! A thing that its service does not know is left out. One that may not be asked about, or that another cluster of the same name
//! may own, is unconfirmed.

use std::collections::BTreeMap;

use super::{Found, REGION_TAG, Shown, Thing, Unconfirmed};
use crate::context::ReadContext;
use crate::error::{Error, Result};
use crate::names::last_part;
use crate::read::elbv2::Balanced;
use crate::read::tagging::Tagged;

/// What a service knows of a thing.
#[derive(Debug, Default)]
struct Known {
    vpc: Option<String>,
    used_by: Vec<String>,
}

/// What one service answered: things by ARN, or the right that is missing.
type Answer = std::result::Result<BTreeMap<String, Known>, String>;

/// The kinds of things, by their service and the beginning of their names in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    LoadBalancer,
    /// A listener or a rule: part of a load balancer, whose name is in its own.
    Part,
    TargetGroup,
    SecurityGroup,
    Volume,
    Accelerator,
    Other,
}

fn kind(arn: &str) -> Kind {
    let mut parts = arn.splitn(6, ':').skip(2);
    let (service, resource) = (parts.next().unwrap_or_default(), parts.nth(2).unwrap_or_default());
    match (service, resource.split_once('/').map_or(resource, |(kind, _)| kind)) {
        ("elasticloadbalancing", "loadbalancer") => Kind::LoadBalancer,
        ("elasticloadbalancing", "listener" | "listener-rule") => Kind::Part,
        ("elasticloadbalancing", "targetgroup") => Kind::TargetGroup,
        ("ec2", "security-group") => Kind::SecurityGroup,
        ("ec2", "volume") => Kind::Volume,
        ("globalaccelerator", "accelerator") => Kind::Accelerator,
        _ => Kind::Other,
    }
}

/// The load balancer of a listener or rule: `listener/app/NAME/ID/LISTENER`.
fn whole(arn: &str) -> Option<String> {
    let (front, rest) = arn.split_once(":listener")?;
    let mut parts = rest.trim_start_matches("-rule").split('/').skip(1);
    let (kind, name, id) = (parts.next()?, parts.next()?, parts.next()?);
    Some(format!("{front}:loadbalancer/{kind}/{name}/{id}"))
}

pub(super) async fn ask(cx: &ReadContext, shown: Shown) -> Result<Found> {
    let Shown { things, unread } = shown;
    let of = |wanted: Kind| -> Vec<String> {
        things.iter().filter(|thing| kind(&thing.arn) == wanted).map(|thing| thing.arn.clone()).collect()
    };
    let mut balancers = of(Kind::LoadBalancer);
    balancers.extend(of(Kind::Part).iter().filter_map(|arn| whole(arn)));
    balancers.sort();
    balancers.dedup();
    let (groups, security, volumes) = (of(Kind::TargetGroup), of(Kind::SecurityGroup), of(Kind::Volume));
    let accelerators = of(Kind::Accelerator);
    let (balancers, groups, security, volumes, accelerators) = futures::join!(
        async { answer(cx.elb.load_balancers(&balancers).await.map(balanced)) },
        async { answer(cx.elb.target_groups(&groups).await.map(balanced)) },
        async { answer(security_groups(cx, &security).await) },
        async { answer(ebs_volumes(cx, &volumes).await) },
        async { answer(existing(cx, &accelerators).await) },
    );
    let answers = (balancers?, groups?, security?, volumes?, accelerators?);
    let mut found = Found { unread, ..Found::default() };
    for thing in things {
        let (answer, asked) = match kind(&thing.arn) {
            Kind::LoadBalancer => (&answers.0, thing.arn.clone()),
            Kind::Part => (&answers.0, whole(&thing.arn).unwrap_or_default()),
            Kind::TargetGroup => (&answers.1, thing.arn.clone()),
            Kind::SecurityGroup => (&answers.2, thing.arn.clone()),
            Kind::Volume => (&answers.3, thing.arn.clone()),
            Kind::Accelerator => (&answers.4, thing.arn.clone()),
            Kind::Other => {
                let reason = "eks-bootstrap cannot ask its service whether it still exists".to_owned();
                found.unconfirmed.push(Unconfirmed { arn: thing.arn, reason, permission: None });
                continue;
            }
        };
        sort(&mut found, thing, answer.as_ref().map(|known| known.get(&asked)), &cx.facts.vpc);
    }
    Ok(found)
}

/// Puts a thing where it belongs, by what its service says: known or not, or not to be asked for want of a right.
fn sort(found: &mut Found, thing: Tagged, known: std::result::Result<Option<&Known>, &String>, vpc: &str) {
    let Tagged { arn, tags } = thing;
    let known = match known {
        // What its service does not know is only still shown.
        Ok(None) => return,
        Ok(Some(known)) => known,
        Err(permission) => {
            let reason = format!("needs the permission {permission}");
            return found.unconfirmed.push(Unconfirmed { arn, reason, permission: Some(permission.clone()) });
        }
    };
    let whose = match known.vpc.as_deref().filter(|own| !own.is_empty() && !vpc.is_empty() && *own != vpc) {
        Some(other) => {
            Some(format!("it is in {other}, not in the cluster's {vpc}; another cluster of this name may own it"))
        }
        None if kind(&arn) == Kind::Accelerator && !tags.contains_key(REGION_TAG) => {
            Some(format!("it has no tag {REGION_TAG}; a cluster of this name in another region may own it"))
        }
        None => None,
    };
    match whose {
        Some(reason) => found.unconfirmed.push(Unconfirmed { arn, reason, permission: None }),
        None => found.things.push(Thing { arn, tags, used_by: known.used_by.clone() }),
    }
}

/// A missing right makes a thing unconfirmed; everything else is an error.
fn answer(read: Result<BTreeMap<String, Known>>) -> Result<Answer> {
    match read {
        Ok(known) => Ok(Ok(known)),
        Err(Error::Aws(error)) if error.denied() => Ok(Err(error.operation)),
        Err(error) => Err(error),
    }
}

fn balanced(found: BTreeMap<String, Balanced>) -> BTreeMap<String, Known> {
    let known = |(arn, Balanced { vpc, used_by })| (arn, Known { vpc, used_by });
    found.into_iter().map(known).collect()
}

/// Answers by id become answers by ARN.
fn by_arn<T>(arns: &[String], mut found: BTreeMap<String, T>, known: impl Fn(T) -> Known) -> BTreeMap<String, Known> {
    let all = arns.iter().filter_map(|arn| Some((arn.clone(), known(found.remove(last_part(arn))?))));
    all.collect()
}

fn ids(arns: &[String]) -> Vec<String> {
    arns.iter().map(|arn| last_part(arn).to_owned()).collect()
}

async fn security_groups(cx: &ReadContext, arns: &[String]) -> Result<BTreeMap<String, Known>> {
    let found = cx.ec2.security_groups(&ids(arns)).await?;
    Ok(by_arn(arns, found, |vpc| Known { vpc: Some(vpc), used_by: Vec::new() }))
}

async fn ebs_volumes(cx: &ReadContext, arns: &[String]) -> Result<BTreeMap<String, Known>> {
    let found = cx.ec2.volumes(&ids(arns)).await?;
    Ok(by_arn(arns, found, |used_by| Known { vpc: None, used_by }))
}

async fn existing(cx: &ReadContext, arns: &[String]) -> Result<BTreeMap<String, Known>> {
    let Some(reader) = &cx.accelerators else { return Ok(BTreeMap::new()) };
    let mut known = BTreeMap::new();
    for arn in arns {
        if reader.exists(arn).await? {
            known.insert(arn.clone(), Known::default());
        }
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tagged(arn: &str, tags: &[(&str, &str)]) -> Tagged {
        let tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Tagged { arn: arn.to_owned(), tags }
    }

    #[test]
    fn every_kind_has_its_service() {
        let elb = |resource: &str| kind(&format!("arn:aws:elasticloadbalancing:r:1:{resource}"));
        assert_eq!(elb("loadbalancer/app/a/0"), Kind::LoadBalancer);
        assert_eq!(elb("listener/app/a/0/1"), Kind::Part);
        assert_eq!(elb("listener-rule/app/a/0/1/2"), Kind::Part);
        assert_eq!(elb("targetgroup/a/0"), Kind::TargetGroup);
        assert_eq!(elb("truststore/a/0"), Kind::Other);
        assert_eq!(kind("arn:aws-cn:ec2:r:1:security-group/sg-1"), Kind::SecurityGroup);
        assert_eq!(kind("arn:aws:ec2:r:1:volume/vol-1"), Kind::Volume);
        assert_eq!(kind("arn:aws:globalaccelerator::1:accelerator/a-b"), Kind::Accelerator);
        assert_eq!(kind("arn:aws:acm:r:1:certificate/a"), Kind::Other);
    }

    #[test]
    fn a_listener_is_there_as_long_as_its_load_balancer() {
        let balancer = Some("arn:aws:elasticloadbalancing:r:1:loadbalancer/net/a/0".to_owned());
        assert_eq!(whole("arn:aws:elasticloadbalancing:r:1:listener/net/a/0/1"), balancer);
        assert_eq!(whole("arn:aws:elasticloadbalancing:r:1:listener-rule/net/a/0/1/2"), balancer);
        assert_eq!(whole("arn:aws:elasticloadbalancing:r:1:listener/a"), None);
    }

    #[test]
    fn what_its_service_does_not_know_is_left_out() {
        let mut found = Found::default();
        let known = |vpc: &str| Known { vpc: Some(vpc.to_owned()), used_by: Vec::new() };
        sort(&mut found, tagged("arn:ghost", &[]), Ok(None), "vpc-1");
        sort(&mut found, tagged("arn:there", &[]), Ok(Some(&known("vpc-1"))), "vpc-1");
        sort(&mut found, tagged("arn:function", &[]), Ok(Some(&Known::default())), "vpc-1");
        sort(&mut found, tagged("arn:elsewhere", &[]), Ok(Some(&known("vpc-2"))), "vpc-1");
        sort(&mut found, tagged("arn:denied", &[]), Err(&"x:Y".to_owned()), "vpc-1");
        let accelerator = "arn:aws:globalaccelerator::1:accelerator/a";
        sort(&mut found, tagged(accelerator, &[]), Ok(Some(&Known::default())), "vpc-1");
        sort(&mut found, tagged(accelerator, &[(REGION_TAG, "r")]), Ok(Some(&Known::default())), "vpc-1");
        let things: Vec<_> = found.things.iter().map(|thing| thing.arn.as_str()).collect();
        assert_eq!(things, ["arn:there", "arn:function", accelerator]);
        let reasons: Vec<_> = found.unconfirmed.iter().map(|thing| thing.reason.as_str()).collect();
        assert_eq!(reasons.len(), 3);
        assert!(reasons[0].contains("vpc-2") && reasons[1] == "needs the permission x:Y", "{reasons:?}");
        assert!(reasons[2].contains(REGION_TAG), "{reasons:?}");
    }
}
