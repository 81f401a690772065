//! Which actions of one document another one does not allow at all. A look at names only: resources and conditions of a policy
//! that somebody else wrote are its author's business; IAM itself judges them when `verify` asks it.

use std::collections::BTreeSet;

use super::operator::glob;
use super::{Document, Effect};

/// The actions of `needed` that no statement of `have` allows, as `needed` spells them, sorted.
pub fn lacking(have: &Document, needed: &Document) -> Vec<String> {
    // Names of actions have no case.
    let like = |pattern: &String, action: &str| glob(&pattern.to_ascii_lowercase(), &action.to_ascii_lowercase());
    let allows = |action: &str| {
        let mut allowing = have.statements.iter().filter(|statement| statement.effect == Effect::Allow);
        allowing.any(|statement| match (&statement.action, &statement.not_action) {
            (Some(patterns), _) => patterns.iter().any(|pattern| like(pattern, action)),
            (None, Some(patterns)) => !patterns.iter().any(|pattern| like(pattern, action)),
            (None, None) => false,
        })
    };
    let wanted = needed.statements.iter().filter(|statement| statement.effect == Effect::Allow);
    let wanted: BTreeSet<_> = wanted.flat_map(|statement| statement.action.iter().flatten()).collect();
    wanted.into_iter().filter(|action| !allows(action)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(statement: &str) -> Document {
        Document::parse(&format!(r#"{{"Version":"2012-10-17","Statement":[{statement}]}}"#)).unwrap()
    }

    #[test]
    fn wildcards_and_complements_allow() {
        let needed = document(r#"{"Effect":"Allow","Action":["ec2:CreateTags","ec2:DescribeVpcs"],"Resource":"*"}"#);
        let lacks = |statement: &str| lacking(&document(statement), &needed);
        assert_eq!(lacks(r#"{"Effect":"Allow","Action":["EC2:describe*","ec2:CreateTag?"],"Resource":"*"}"#), [""; 0]);
        assert_eq!(lacks(r#"{"Effect":"Allow","Action":"ec2:Describe*","Resource":"*"}"#), ["ec2:CreateTags"]);
        assert_eq!(lacks(r#"{"Effect":"Allow","NotAction":"ec2:create*","Resource":"*"}"#), ["ec2:CreateTags"]);
        assert_eq!(lacks(r#"{"Effect":"Deny","Action":"*","Resource":"*"}"#).len(), 2);
    }
}
