//! The class against small worlds: every write is carried out in memory, and after each of them there is at most one default.

use super::*;
use crate::plan::Action;

fn step(default: bool, adopt: bool) -> StorageClassStep {
    let object = json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "provisioner": "ebs.csi.aws.com",
        "metadata": {"name": "gp3", "labels": {MANAGED_BY_LABEL: OUR_NAME}}, "reclaimPolicy": "Delete",
        "parameters": {"type": "gp3", "encrypted": "true"}, "allowVolumeExpansion": true});
    StorageClassStep { needs: Vec::new(), object, default, adopt }
}

fn class(name: &str, default: Option<&str>) -> Value {
    let annotations: BTreeMap<_, _> = default.map(|value| (DEFAULT[0], value)).into_iter().collect();
    json!({"metadata": {"name": name, "annotations": annotations}, "provisioner": "kubernetes.io/aws-ebs"})
}

fn foreign(encrypted: &str, default: Option<&str>) -> Value {
    let mut foreign = step(true, false).object;
    foreign["metadata"] = class("gp3", default)["metadata"].clone();
    foreign["parameters"]["encrypted"] = json!(encrypted);
    foreign
}

fn observed(world: &[Value]) -> Observed {
    let (mut class, others): (Vec<_>, Vec<_>) = world.iter().cloned().partition(|class| name(class) == "gp3");
    Observed { class: class.pop(), others }
}

fn plan(step: &StorageClassStep, goal: Goal, world: &[Value]) -> Assessment {
    match goal {
        Goal::Present => step.diff(&observed(world)),
        Goal::Absent => step.absent_diff(&observed(world)),
    }
}

/// What the API server would do.
fn write(world: &mut Vec<Value>, change: &Change) {
    let Op::Kube(op) = &change.op else { panic!("{change:?}") };
    let place = |world: &[Value], object: &ObjectRef| world.iter().position(|class| name(class) == object.name);
    match op {
        KubeOp::Apply { object, .. } => {
            world.retain(|class| name(class) != name(object));
            world.push(object.clone());
        }
        KubeOp::Delete { object } | KubeOp::Remove { object } => world.retain(|class| name(class) != object.name),
        KubeOp::Annotate { object, annotations } => {
            let Some(place) = place(world, object) else { return };
            for (key, value) in annotations {
                let all = world[place]["metadata"]["annotations"].as_object_mut().unwrap();
                match value {
                    Some(value) => all.insert(key.clone(), json!(value)),
                    None => all.remove(key),
                };
            }
        }
        KubeOp::Restart { .. } | KubeOp::Restore(_) => panic!("a class has no pods: {op:?}"),
        KubeOp::Unmark { object, labels, annotations } => {
            let Some(place) = place(world, object) else { return };
            for (part, names) in [("labels", labels), ("annotations", annotations)] {
                for name in names {
                    world[place]["metadata"][part].as_object_mut().unwrap().remove(name);
                }
            }
        }
    }
}

fn names_of_defaults(world: &[Value]) -> Vec<&str> {
    world.iter().filter(|class| is_default(class)).map(name).collect()
}

/// Runs `goal` and stops after `writes` of them; then runs it again until nothing is left to do.
fn reach(step: &StorageClassStep, goal: Goal, world: &mut Vec<Value>, writes: usize) {
    // Two that were there before are two again.
    let marked = world.iter().filter(|class| annotation(class, WAS_DEFAULT).is_some()).count();
    let most = names_of_defaults(world).len().max(marked).max(1);
    for round in 0..4 {
        let assessment = plan(step, goal, world);
        assert!(!matches!(assessment.action, Action::Blocked | Action::Unknown), "{assessment:?}");
        if assessment.changes.is_empty() {
            return;
        }
        let limit = if round == 0 { writes } else { usize::MAX };
        for change in assessment.changes.iter().take(limit) {
            write(world, change);
            assert!(names_of_defaults(world).len() <= most, "{:?} after {change:?}", names_of_defaults(world));
        }
    }
    panic!("never settles: {:?}", plan(step, goal, world));
}

#[test]
fn the_default_moves_and_comes_back_from_any_half_way_point() {
    let worlds = [
        vec![],
        vec![class("gp2", None)],
        vec![class("gp2", Some("true"))],
        vec![class("gp2", Some("false")), class("io2", Some("true"))],
    ];
    for before in worlds {
        for stop in 0..=4 {
            let mut world = before.clone();
            reach(&step(true, false), Goal::Present, &mut world, stop);
            assert_eq!(names_of_defaults(&world), ["gp3"], "{before:?}");
            reach(&step(true, false), Goal::Absent, &mut world, stop);
            assert_eq!(world, before, "stopped after {stop}");
            // Interrupted while moving, then removed at once.
            for change in plan(&step(true, false), Goal::Present, &world).changes.iter().take(stop) {
                write(&mut world, change);
            }
            reach(&step(true, false), Goal::Absent, &mut world, 9);
            assert_eq!(world, before, "removed after {stop}");
        }
    }
}

#[test]
fn several_and_older_default_annotations_are_moved_too() {
    let mut older = class("gp2", None);
    older["metadata"]["annotations"] = json!({DEFAULT[1]: "true"});
    let before = vec![older, class("io2", Some("true"))];
    let mut world = before.clone();
    reach(&step(true, false), Goal::Present, &mut world, 1);
    assert_eq!(names_of_defaults(&world), ["gp3"]);
    reach(&step(true, false), Goal::Absent, &mut world, 9);
    assert_eq!(world, before);
}

#[test]
fn a_default_that_someone_else_has_by_now_stays() {
    let mut world = vec![class("gp2", Some("true")), class("io2", None)];
    reach(&step(true, false), Goal::Present, &mut world, 9);
    write(&mut world, &annotate(&class("gp3", None), [(DEFAULT[0].to_owned(), Some("false".to_owned()))].into()));
    write(&mut world, &annotate(&class("io2", None), [(DEFAULT[0].to_owned(), Some("true".to_owned()))].into()));
    reach(&step(true, false), Goal::Absent, &mut world, 9);
    assert_eq!(names_of_defaults(&world), ["io2"]);
    assert_eq!(annotation(&world[0], WAS_DEFAULT), None);
}

#[test]
fn turning_the_default_off_gives_it_back() {
    let mut world = vec![class("gp2", Some("true"))];
    reach(&step(true, false), Goal::Present, &mut world, 9);
    reach(&step(false, false), Goal::Present, &mut world, 1);
    assert_eq!(names_of_defaults(&world), ["gp2"]);
}

#[test]
fn what_cannot_be_changed_is_made_anew_and_the_memory_stays() {
    let mut world = vec![class("gp2", Some("true"))];
    reach(&step(true, false), Goal::Present, &mut world, 9);
    let mut other = step(true, false);
    other.object["parameters"]["kmsKeyId"] = json!("arn:k");
    let assessment = plan(&other, Goal::Present, &world);
    let calls: Vec<_> = assessment.changes.iter().map(|change| change.op.call()).collect();
    assert_eq!(calls, ["k8s:delete StorageClass", "k8s:patch StorageClass"]);
    assert!(assessment.reason.contains("deleted and made anew"), "{}", assessment.reason);
    // Without the key again: a parameter too many differs as well.
    reach(&other, Goal::Present, &mut world, 1);
    assert_eq!(plan(&step(true, false), Goal::Present, &world).changes.len(), 2);
    reach(&step(true, false), Goal::Absent, &mut world, 9);
    assert_eq!(names_of_defaults(&world), ["gp2"]);
    // Expansion can be changed in place.
    let mut plain = step(true, false).object;
    plain["metadata"]["annotations"] = json!({DEFAULT[0]: "true"});
    plain["allowVolumeExpansion"] = json!(false);
    assert_eq!(plan(&step(true, false), Goal::Present, &[plain]).changes.len(), 1);
}

#[test]
fn a_class_of_someone_else_is_used_or_blocked_or_adopted() {
    let action = |class: Value, adopt| plan(&step(true, adopt), Goal::Present, &[class]).action;
    assert_eq!(action(foreign("true", Some("true")), false), Action::Keep);
    assert_eq!(action(foreign("true", None), false), Action::Blocked);
    assert_eq!(action(foreign("false", Some("true")), false), Action::Blocked);
    assert_eq!(action(foreign("false", Some("true")), true), Action::Update);
    assert_eq!(plan(&step(true, false), Goal::Absent, &[foreign("true", None)]).action, Action::Skip);
}

#[test]
fn an_adopted_class_is_given_back() {
    for default in [Some("true"), Some("false")] {
        let before = vec![class("gp2", Some(if default == Some("true") { "false" } else { "true" }))];
        let mut world = [before.clone(), vec![foreign("true", default)]].concat();
        reach(&step(true, true), Goal::Present, &mut world, 9);
        assert_eq!(names_of_defaults(&world), ["gp3"]);
        reach(&step(true, false), Goal::Present, &mut world, 9);
        reach(&step(true, false), Goal::Absent, &mut world, 1);
        let gp3 = observed(&world).class.unwrap();
        assert_eq!(gp3["metadata"]["labels"], json!({}));
        assert_eq!(gp3["metadata"]["annotations"], json!({DEFAULT[0]: default.unwrap()}), "{default:?}");
        assert_eq!(observed(&world).others, before, "{default:?}");
    }
}

#[test]
fn keys_are_named_by_their_arn() {
    let config = |key: &str| StorageClassConfig {
        enabled: Some(true),
        default: true,
        encrypted: true,
        kms_key_id: Some(key.to_owned()),
    };
    let facts = crate::context::tests::facts();
    let key = |text: &str| object(&config(text), &facts)["parameters"]["kmsKeyId"].as_str().unwrap().to_owned();
    assert_eq!(key("arn:aws:kms:eu-west-1:111122223333:alias/x"), "arn:aws:kms:eu-west-1:111122223333:alias/x");
    let id = "1234abcd-12ab-34cd-56ef-1234567890ab";
    assert_eq!(key(id), format!("arn:aws:kms:eu-west-1:111122223333:key/{id}"));
}
