//! Condition operators on strings, as far as trust policies need them: what is compared, how, and with which quantifier.
//!
//! Quantifiers matter for keys with several values; a token's claims have one, so they only differ where the key is missing.

/// How a condition operator compares one value with another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    EqualIgnoringCase,
    Like,
    Null,
}

/// How an operator treats a key with several values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quantifier {
    Single,
    Any,
    All,
}

/// A condition operator, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Test {
    pub(super) comparison: Comparison,
    pub(super) negated: bool,
    quantifier: Quantifier,
    if_exists: bool,
}

impl Test {
    /// Nothing for an operator that is not understood.
    pub(super) fn parse(operator: &str) -> Option<Self> {
        let (quantifier, rest) = match operator.split_once(':') {
            None => (Quantifier::Single, operator),
            Some(("ForAnyValue", rest)) => (Quantifier::Any, rest),
            Some(("ForAllValues", rest)) => (Quantifier::All, rest),
            Some(_) => return None,
        };
        let (name, if_exists) = rest.strip_suffix("IfExists").map_or((rest, false), |name| (name, true));
        let (comparison, negated) = match name {
            "StringEquals" => (Comparison::Equal, false),
            "StringNotEquals" => (Comparison::Equal, true),
            "StringEqualsIgnoreCase" => (Comparison::EqualIgnoringCase, false),
            "StringNotEqualsIgnoreCase" => (Comparison::EqualIgnoringCase, true),
            "StringLike" => (Comparison::Like, false),
            "StringNotLike" => (Comparison::Like, true),
            "Null" if !if_exists && quantifier == Quantifier::Single => (Comparison::Null, false),
            _ => return None,
        };
        Some(Self { comparison, negated, quantifier, if_exists })
    }

    /// Whether wildcards in the values are plain characters.
    pub(super) fn literal(self) -> bool {
        matches!(self.comparison, Comparison::Equal | Comparison::EqualIgnoringCase)
    }

    /// Whether it holds for a key with one value or, without a value, for a key that the request does not have.
    pub(super) fn holds(self, present: Option<&str>, values: &[String]) -> bool {
        if self.comparison == Comparison::Null {
            return values
                .iter()
                .any(|value| value.eq_ignore_ascii_case(if present.is_none() { "true" } else { "false" }));
        }
        let Some(present) = present else {
            return self.if_exists
                || self.quantifier == Quantifier::All
                || (self.negated && self.quantifier == Quantifier::Single);
        };
        let matches = values.iter().any(|value| match self.comparison {
            Comparison::Equal | Comparison::Null => value == present,
            Comparison::EqualIgnoringCase => value.to_lowercase() == present.to_lowercase(),
            Comparison::Like => glob(value, present),
        });
        matches != self.negated
    }
}

/// Matches IAM's wildcards: `*` any characters, `?` exactly one.
pub(super) fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut from, mut star, mut retry) = (0, 0, None, 0);
    while from < text.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some(at);
                retry = from;
                at += 1;
            }
            Some(letter) if *letter == '?' || *letter == text[from] => {
                at += 1;
                from += 1;
            }
            _ => {
                let Some(position) = star else { return false };
                retry += 1;
                from = retry;
                at = position + 1;
            }
        }
    }
    pattern[at..].iter().all(|letter| *letter == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(operator: &str, present: Option<&str>, values: &[&str]) -> bool {
        let values: Vec<String> = values.iter().map(ToString::to_string).collect();
        Test::parse(operator).expect("known operator").holds(present, &values)
    }

    #[test]
    fn every_operator_on_a_present_and_on_a_missing_key() {
        // operator, value `Abc` against [x, Abc], against [abc], against [A*], missing key
        let table = [
            ("StringEquals", true, false, false, false),
            ("StringNotEquals", false, true, true, true),
            ("StringEqualsIgnoreCase", true, true, false, false),
            ("StringNotEqualsIgnoreCase", false, false, true, true),
            ("StringLike", true, false, true, false),
            ("StringNotLike", false, true, false, true),
            ("StringEqualsIfExists", true, false, false, true),
            ("StringLikeIfExists", true, false, true, true),
            ("ForAnyValue:StringEquals", true, false, false, false),
            ("ForAnyValue:StringLike", true, false, true, false),
            ("ForAnyValue:StringNotEquals", false, true, true, false),
            ("ForAllValues:StringEquals", true, false, false, true),
            ("ForAllValues:StringLikeIfExists", true, false, true, true),
        ];
        for (operator, same, other_case, wildcard, missing) in table {
            assert_eq!(holds(operator, Some("Abc"), &["x", "Abc"]), same, "{operator} same");
            assert_eq!(holds(operator, Some("Abc"), &["abc"]), other_case, "{operator} other case");
            assert_eq!(holds(operator, Some("Abc"), &["A*"]), wildcard, "{operator} wildcard");
            assert_eq!(holds(operator, None, &["Abc"]), missing, "{operator} missing key");
        }
        assert!(
            holds("Null", None, &["true"])
                && !holds("Null", Some("x"), &["true"])
                && holds("Null", Some("x"), &["false"])
        );
    }

    #[test]
    fn what_is_not_an_operator_on_strings_is_not_understood() {
        for operator in ["NumericEquals", "ForSomeValues:StringEquals", "stringequals", "NullIfExists", "ArnLike", ""] {
            assert_eq!(Test::parse(operator), None, "{operator}");
        }
    }

    #[test]
    fn wildcards() {
        let table = [
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("system:*:aws-*", "system:serviceaccount:kube-system:aws-lb", true),
            ("*a*b", "xxaxxb", true),
            ("*a*b", "xxaxxbc", false),
            ("sts:*", "sts:assumerole", true),
        ];
        for (pattern, text, expected) in table {
            assert_eq!(glob(pattern, text), expected, "{pattern} against {text}");
        }
    }
}
