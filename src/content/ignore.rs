//! Fields that others own, by pattern: `KIND/[NAMESPACE/]NAME PATH` as the plan prints it, with `*` for any characters. Pure.

/// One line of `ignoreDrift`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// A pattern, or why it is none.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Pattern, &'static str> {
        let Some((object, path)) = text.split_once(' ') else {
            return Err("it has no space between the object and the path");
        };
        let parts: Vec<_> = object.split('/').collect();
        if parts.iter().any(|part| part.is_empty()) || !(2..=3).contains(&parts.len()) && object != "*" {
            return Err("the object is not KIND/NAME or KIND/NAMESPACE/NAME");
        }
        if !object.starts_with(|first: char| first == '*' || first.is_ascii_uppercase()) {
            return Err("the kind is not written as in a manifest, such as Deployment");
        }
        if path.trim() != path || path.is_empty() {
            return Err("the path is empty or has spaces around it");
        }
        if path.starts_with(['/', '.', '$', '[']) {
            return Err("the path is not written as the plan prints it");
        }
        Ok(Pattern(text.to_owned()))
    }

    /// Whether it covers a difference.
    pub fn covers(&self, object: &str, path: &str) -> bool {
        matches(&self.0, &format!("{object} {path}"))
    }
}

/// `*` stands for any characters, also none; everything else, brackets too, for itself.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut left) = text.strip_prefix(first) else { return false };
    let parts: Vec<_> = rest.split('*').collect();
    let Some((last, middle)) = parts.split_last() else { return true };
    for part in middle {
        let Some(at) = left.find(part) else { return false };
        left = &left[at + part.len()..];
    }
    left.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OBJECT: &str = "Deployment/kube-system/ebs-csi-controller";
    const PATH: &str = "spec.template.spec.containers[ebs-plugin].image";

    #[test]
    fn stars_stand_for_anything() {
        let covers = |text: &str| Pattern::parse(text).unwrap().covers(OBJECT, PATH);
        for text in [
            &format!("{OBJECT} {PATH}"),
            &format!("{OBJECT} *"),
            "* *",
            "* *.image",
            "Deployment/*/* spec.template.spec.containers[*].image",
            "*/kube-system/* *containers[ebs-plugin]*",
        ] {
            assert!(covers(text), "{text}");
        }
        for text in [
            "DaemonSet/*/* *",
            "* *.images",
            "Deployment/kube-system/ebs-csi-controller spec.template.spec.containers[e].image",
        ] {
            assert!(!covers(text), "{text}");
        }
        assert!(!matches("a*a", "a"), "one character does not stand for two");
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_its_reason() {
        for (text, reason) in [
            ("Deployment/kube-system/x", "space"),
            ("Deployment spec.replicas", "KIND/NAME"),
            ("Deployment//x spec", "KIND/NAME"),
            ("deployment/kube-system/x spec.replicas", "manifest"),
            ("Deployment/kube-system/x /spec/replicas", "plan prints"),
            ("Deployment/kube-system/x  spec.replicas", "spaces"),
            ("Deployment/a/b/c spec.replicas", "KIND/NAME"),
        ] {
            let found = Pattern::parse(text).unwrap_err();
            assert!(found.contains(reason), "{text}: {found}");
        }
    }
}
