//! Which Ingresses are the controller's, by class, and the groups that the classes' parameters put them into. Pure.
//! <https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/guide/ingress/ingress_class/>

use std::collections::BTreeMap;

use serde_json::Value;

use super::ALB_CONTROLLER;
use crate::object::text;

const IS_DEFAULT: &str = "/metadata/annotations/ingressclass.kubernetes.io~1is-default-class";
const ANNOTATED: &str = "/metadata/annotations/kubernetes.io~1ingress.class";

/// The Ingress classes of the controller.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct AlbClasses {
    /// Classes by name, with the group that their parameters name.
    groups: BTreeMap<String, Option<String>>,
    /// The default class of the cluster, if it is one of them.
    default: Option<String>,
}

impl AlbClasses {
    /// The class that the chart brings, and every other one of the same controller.
    pub(crate) fn new(classes: &[Value], parameters: &[Value]) -> AlbClasses {
        let group = |class: &Value| {
            let named = text(class, "/spec/parameters/name");
            let parameters = parameters.iter().find(|parameters| text(parameters, "/metadata/name") == named)?;
            Some(text(parameters, "/spec/group/name").to_owned()).filter(|group| !group.is_empty())
        };
        let ours = classes.iter().filter(|class| text(class, "/spec/controller") == ALB_CONTROLLER);
        let mut groups = BTreeMap::from([("alb".to_owned(), None)]);
        groups.extend(ours.clone().map(|class| (text(class, "/metadata/name").to_owned(), group(class))));
        let default = ours.clone().find(|class| text(class, IS_DEFAULT) == "true");
        AlbClasses { groups, default: default.map(|class| text(class, "/metadata/name").to_owned()) }
    }

    /// Whether the controller works for an Ingress. The older annotation comes before the field; values of the chart may name
    /// another class for it than `alb`.
    pub(crate) fn serve(&self, ingress: &Value) -> bool {
        match text(ingress, ANNOTATED) {
            "" => self.groups.contains_key(self.class(ingress)),
            annotated => self.groups.contains_key(annotated),
        }
    }

    /// The group into which the parameters of its class put an Ingress; it comes before that of the annotation.
    pub(super) fn group(&self, ingress: &Value) -> Option<&str> {
        self.groups.get(self.class(ingress))?.as_deref()
    }

    fn class<'a>(&'a self, ingress: &'a Value) -> &'a str {
        match text(ingress, "/spec/ingressClassName") {
            "" => self.default.as_deref().unwrap_or_default(),
            named => named,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn class(name: &str, controller: &str, parameters: &str) -> Value {
        json!({"metadata": {"name": name}, "spec": {"controller": controller, "parameters": {
            "apiGroup": "elbv2.k8s.aws", "kind": "IngressClassParams", "name": parameters}}})
    }

    #[test]
    fn ingresses_are_told_by_class_and_annotation() {
        let classes = [class("public", ALB_CONTROLLER, ""), class("nginx", "k8s.io/ingress-nginx", "")];
        let classes = AlbClasses::new(&classes, &[]);
        let with = |class: &str| classes.serve(&json!({"spec": {"ingressClassName": class}}));
        assert!(with("alb") && with("public") && !with("nginx"));
        let annotated =
            |class: &str| classes.serve(&json!({"metadata": {"annotations": {"kubernetes.io/ingress.class": class}}}));
        assert!(annotated("alb") && annotated("public") && !annotated("nginx"));
        assert!(!classes.serve(&json!({"spec": {}})));
    }

    #[test]
    fn one_without_a_class_is_of_the_default_class() {
        let mut default = class("public", ALB_CONTROLLER, "");
        default["metadata"]["annotations"] = json!({"ingressclass.kubernetes.io/is-default-class": "true"});
        assert!(AlbClasses::new(&[default.clone()], &[]).serve(&json!({"spec": {}})));
        default["spec"]["controller"] = "k8s.io/ingress-nginx".into();
        assert!(!AlbClasses::new(&[default], &[]).serve(&json!({"spec": {}})));
    }

    #[test]
    fn groups_come_from_the_parameters_of_the_class() {
        let parameters = [
            json!({"metadata": {"name": "edge"}, "spec": {"group": {"name": "shared"}}}),
            json!({"metadata": {"name": "plain"}, "spec": {"scheme": "internal"}}),
        ];
        let all = [class("public", ALB_CONTROLLER, "edge"), class("own", ALB_CONTROLLER, "plain")];
        let classes = AlbClasses::new(&all, &parameters);
        let group = |class: &str| classes.group(&json!({"spec": {"ingressClassName": class}})).map(ToOwned::to_owned);
        assert_eq!((group("public").as_deref(), group("own"), group("alb")), (Some("shared"), None, None));
    }
}
