//! Condition operators, as far as the policies of EKS components and of their operators need them: what is compared, how, and
//! with which quantifier. Numbers, dates, networks and binary values are not understood, and callers say so.

/// How a condition operator compares one value with another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    EqualIgnoringCase,
    Like,
    /// The six parts of two ARNs, each with wildcards of its own.
    Arn,
    Bool,
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
            "ArnEquals" | "ArnLike" => (Comparison::Arn, false),
            "ArnNotEquals" | "ArnNotLike" => (Comparison::Arn, true),
            "Bool" => (Comparison::Bool, false),
            "Null" if !if_exists && quantifier == Quantifier::Single => (Comparison::Null, false),
            _ => return None,
        };
        Some(Self { comparison, negated, quantifier, if_exists })
    }

    /// Whether wildcards in the values are plain characters.
    pub(super) fn literal(self) -> bool {
        matches!(self.comparison, Comparison::Equal | Comparison::EqualIgnoringCase)
    }

    /// Whether it compares strings, or only asks whether there is one; a token's claims are strings.
    pub(super) fn on_strings(self) -> bool {
        !matches!(self.comparison, Comparison::Arn | Comparison::Bool)
    }

    /// Whether it holds for a key with these values; none is a key that the request does not have.
    pub(super) fn holds(self, present: &[&str], values: &[String]) -> bool {
        if self.comparison == Comparison::Null {
            return values
                .iter()
                .any(|value| value.eq_ignore_ascii_case(if present.is_empty() { "true" } else { "false" }));
        }
        if present.is_empty() {
            return self.if_exists
                || self.quantifier == Quantifier::All
                || (self.negated && self.quantifier == Quantifier::Single);
        }
        let one = |present: &&str| values.iter().any(|value| self.same(value, present)) != self.negated;
        match self.quantifier {
            Quantifier::All => present.iter().all(one),
            Quantifier::Single if self.negated => present.iter().all(one),
            Quantifier::Any | Quantifier::Single => present.iter().any(one),
        }
    }

    fn same(self, value: &str, present: &str) -> bool {
        match self.comparison {
            Comparison::Equal | Comparison::Null => value == present,
            Comparison::EqualIgnoringCase | Comparison::Bool => value.to_lowercase() == present.to_lowercase(),
            Comparison::Like => glob(value, present),
            Comparison::Arn => arn_like(value, present),
        }
    }
}

/// Compares ARNs part by part, so that a wildcard does not reach over a colon of the first five parts.
fn arn_like(pattern: &str, arn: &str) -> bool {
    let (pattern, arn): (Vec<&str>, Vec<&str>) = (pattern.splitn(6, ':').collect(), arn.splitn(6, ':').collect());
    pattern.len() == 6 && arn.len() == 6 && pattern.iter().zip(&arn).all(|(pattern, part)| glob(pattern, part))
}

/// Matches IAM's wildcards: `*` any characters, `?` exactly one.
pub(crate) fn glob(pattern: &str, text: &str) -> bool {
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
        Test::parse(operator).expect("known operator").holds(present.as_slice(), &values)
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
    fn other_operators_are_not_understood() {
        for operator in
            ["NumericEquals", "DateLessThan", "ForSomeValues:StringEquals", "stringequals", "NullIfExists", ""]
        {
            assert_eq!(Test::parse(operator), None, "{operator}");
        }
        assert!(!Test::parse("ArnLike").unwrap().on_strings() && Test::parse("Null").unwrap().on_strings());
    }

    #[test]
    fn keys_with_several_values() {
        let (a, b) = (["a"].as_slice(), ["a", "b"].as_slice());
        let table = [
            ("ForAllValues:StringEquals", true, false),
            ("ForAnyValue:StringEquals", true, true),
            ("ForAllValues:StringNotEquals", false, false),
            ("ForAnyValue:StringNotEquals", false, true),
            ("StringEquals", true, true),
            ("StringNotEquals", false, false),
        ];
        for (operator, one, two) in table {
            let test = Test::parse(operator).unwrap();
            assert_eq!(test.holds(a, &["a".to_owned()]), one, "{operator} a");
            assert_eq!(test.holds(b, &["a".to_owned()]), two, "{operator} a, b");
        }
    }

    #[test]
    fn arns_are_compared_part_by_part() {
        let policy = "arn:aws:iam::111122223333:policy/team/x";
        let table = [
            (policy, true),
            ("arn:aws:iam::111122223333:policy/*", true),
            ("arn:*:iam::*:policy/team/?", true),
            ("arn:aws:*:policy/team/x", false),
            ("*", false),
        ];
        for (pattern, expected) in table {
            assert_eq!(holds("ArnLike", Some(policy), &[pattern]), expected, "{pattern}");
            assert_eq!(holds("ArnNotEquals", Some(policy), &[pattern]), !expected, "{pattern}");
        }
        assert!(holds("Bool", Some("true"), &["True"]) && !holds("Bool", Some("false"), &["true"]));
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
