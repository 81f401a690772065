//! Places in texts of a component's file that are filled from the facts: `${cluster}` and the like. Pure.

use crate::context::Facts;
use crate::validate;

/// A place's name, and what stands there.
type Place = (&'static str, fn(&Facts) -> &str);

/// Every place.
const PLACES: [Place; 5] = [
    ("partition", |facts| &facts.partition),
    ("account", |facts| &facts.account),
    ("region", |facts| &facts.region),
    ("cluster", |facts| &facts.cluster),
    ("vpc", |facts| &facts.vpc),
];

/// The text with its places filled. Others stay: `${aws:PrincipalTag/team}` is a variable of IAM's.
pub(crate) fn filled(text: &str, facts: &Facts) -> String {
    PLACES.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("${{{name}}}"), value(facts)))
}

/// The first place that looks like one of ours and is none, with the name that was probably meant.
pub(crate) fn misspelled(text: &str) -> Option<(String, &'static str)> {
    let words = text.split("${").skip(1).filter_map(|rest| rest.split_once('}')).map(|(word, _)| word);
    let own = PLACES.iter().map(|(name, _)| *name).chain(["role_arn"]);
    words
        .filter(|word| own.clone().all(|name| name != *word))
        .find_map(|word| Some((format!("${{{word}}}"), *validate::nearest(word, own.clone()).first()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_ours_are_filled_and_variables_of_iam_stay() {
        let facts = crate::context::tests::facts();
        let text = "arn:${partition}:route53:::x/${cluster}/${aws:username}";
        assert_eq!(filled(text, &facts), "arn:aws:route53:::x/demo/${aws:username}");
        assert_eq!(misspelled(text), None);
        assert_eq!(misspelled("${clustr}"), Some(("${clustr}".to_owned(), "cluster")));
    }
}
