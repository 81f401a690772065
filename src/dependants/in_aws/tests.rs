//! What explains what, and what is nobody's.

use super::*;
use crate::read::kube::ObjectRef;

fn thing(arn: &str, tags: &[(&str, &str)]) -> Thing {
    let tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Thing { arn: arn.to_owned(), tags, used_by: Vec::new() }
}

fn shop() -> Dependant {
    Dependant {
        object: ObjectRef::new("networking.k8s.io/v1", "Ingress", "shop", "web"),
        uid: String::new(),
        stacks: [("ingress.k8s.aws/stack".to_owned(), "shop/web".to_owned())].into(),
        arns: ["arn:e".to_owned()].into(),
        derived: false,
        going: false,
        finalizers: Vec::new(),
    }
}

#[test]
fn only_what_an_object_explains_will_be_deleted() {
    let all = [
        thing("arn:a", &[("ingress.k8s.aws/stack", "shop/web")]),
        thing("arn:b", &[("service.k8s.aws/stack", "shop/web")]),
        thing("arn:c", &[("elbv2.k8s.aws/resource", "backend-sg")]),
        thing("arn:d", &[]),
        thing("arn:e", &[]),
    ];
    let names = |dependants: &[Dependant]| unexplained(&all, dependants).into_iter().collect::<Vec<_>>();
    assert_eq!(names(&[shop()]), ["arn:b", "arn:d"]);
    assert_eq!(names(&[]).len(), 5);
    // The end of a binding does not end the shared group, so nobody waits for that; but it is not nobody's.
    let mut binding = shop();
    binding.object.kind = "TargetGroupBinding".to_owned();
    assert!(names(&[binding.clone()]).contains(&"arn:c".to_owned()));
    let objects = Objects { dependants: vec![binding], ..Objects::default() };
    assert!(!orphans(&all, &objects).contains("arn:c"));
}

#[test]
fn nothing_that_may_be_somebodys_is_an_orphan() {
    let stack = |value| [("ingress.k8s.aws/stack", value)];
    let mut used = thing("arn:group-of-live", &stack("gone/x"));
    used.used_by = vec!["arn:live".to_owned()];
    let mut other = thing("arn:group-of-orphan", &stack("gone/x"));
    other.used_by = vec!["arn:orphan".to_owned()];
    let mut foreign = thing("arn:group-of-stranger", &stack("gone/x"));
    foreign.used_by = vec!["arn:not-of-this-cluster".to_owned()];
    let all = [
        thing("arn:live", &stack("shop/web")),
        thing("arn:class-changed", &stack("shop/former")),
        thing("arn:orphan", &stack("gone/x")),
        used,
        other,
        foreign,
    ];
    let mut objects = Objects { dependants: vec![shop()], ..Objects::default() };
    objects.others.insert(("ingress.k8s.aws/stack".to_owned(), "shop/former".to_owned()));
    let found: Vec<_> = orphans(&all, &objects).into_iter().collect();
    assert_eq!(found, ["arn:group-of-orphan", "arn:orphan"]);
    // But the controller will delete none of these, and nobody waits for it to.
    assert!(unexplained(&all, &objects.dependants).contains("arn:class-changed"));
}

#[test]
fn volumes_are_matched_by_id() {
    let volume = |id: &str| Volume { id: id.to_owned(), shown: String::new(), driven: true };
    let mut root = thing("arn:aws:ec2:r:1:volume/vol-3", &[]);
    root.used_by = vec!["i-1".to_owned()];
    let all = [thing("arn:aws:ec2:r:1:volume/vol-1", &[]), thing("arn:aws:ec2:r:1:volume/vol-12", &[]), root];
    let alone = volumes_without_object(&all, &[volume("vol-1")]);
    assert_eq!(alone.into_iter().collect::<Vec<_>>(), ["arn:aws:ec2:r:1:volume/vol-12"]);
    assert_eq!(short("arn:aws:elasticloadbalancing:r:1:loadbalancer/app/x/0"), "loadbalancer/app/x/0");
    assert_eq!(short("arn:aws:ec2:r:1:volume/vol-1"), "volume/vol-1");
}
