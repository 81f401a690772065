//! IAM's validation of policy documents: what `CreatePolicy`, `CreateRole` and their relatives refuse as `MalformedPolicyDocument`.
//!
//! Only the form is checked here. What a trust document means is read in `trust`, who its principals are is checked in `iam::role`.

use serde_json::{Map, Value};

use super::error::{ApiError, Result};

/// Most characters of a managed policy; white space does not count.
pub(super) const MANAGED_LIMIT: usize = 6144;
/// Most characters of a trust document by default.
pub(super) const TRUST_LIMIT: usize = 2048;
/// Most characters of all inline policies of a role; white space does not count.
pub(super) const INLINE_LIMIT: usize = 10_240;

const OPERATORS: [&str; 27] = [
    "StringEquals",
    "StringNotEquals",
    "StringEqualsIgnoreCase",
    "StringNotEqualsIgnoreCase",
    "StringLike",
    "StringNotLike",
    "NumericEquals",
    "NumericNotEquals",
    "NumericLessThan",
    "NumericLessThanEquals",
    "NumericGreaterThan",
    "NumericGreaterThanEquals",
    "DateEquals",
    "DateNotEquals",
    "DateLessThan",
    "DateLessThanEquals",
    "DateGreaterThan",
    "DateGreaterThanEquals",
    "Bool",
    "BinaryEquals",
    "IpAddress",
    "NotIpAddress",
    "ArnEquals",
    "ArnNotEquals",
    "ArnLike",
    "ArnNotLike",
    "Null",
];

/// Counts the characters that IAM counts against a limit.
pub(super) fn counted(text: &str) -> usize {
    text.chars().filter(|character| !character.is_whitespace()).count()
}

/// Checks a document that says what its owner may do.
pub(super) fn check_identity(text: &str, partition: &str) -> Result<()> {
    for statement in statements(text)? {
        fields(&statement, &["Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"])?;
        check_actions(&statement, "Policy statement must contain actions.")?;
        let resources = one_of(&statement, "Resource", "NotResource", "Policy statement must contain resources.")?;
        for resource in resources {
            check_resource(&resource, partition)?;
        }
    }
    Ok(())
}

/// Checks the form of a document that says who may assume a role.
pub(super) fn check_trust_syntax(text: &str, partition: &str) -> Result<()> {
    for statement in statements(text)? {
        if statement.contains_key("Resource") || statement.contains_key("NotResource") {
            return Err(ApiError::malformed_document("Has prohibited field Resource"));
        }
        fields(&statement, &["Sid", "Effect", "Action", "NotAction", "Principal", "NotPrincipal", "Condition"])?;
        for action in check_actions(&statement, "Missing required field Action")? {
            if !action.to_ascii_lowercase().starts_with("sts:") && action != "*" {
                let text = "AssumeRole policy may only specify STS AssumeRole actions.";
                return Err(ApiError::malformed_document(text));
            }
        }
        if statement.contains_key("NotPrincipal") {
            return Err(ApiError::malformed_document("AssumeRolepolicy contained disallowed field NotPrincipal"));
        }
        for (kind, name) in principals(&statement)? {
            check_principal(&kind, &name, partition)?;
        }
    }
    Ok(())
}

/// Returns the statements of a document after checking what all documents have in common.
fn statements(text: &str) -> Result<Vec<Map<String, Value>>> {
    let syntax = || ApiError::malformed_document("Syntax errors in policy.");
    let document: Map<String, Value> =
        serde_json::from_str(text).map_err(|_| ApiError::malformed_document("This policy contains invalid Json"))?;
    if document.keys().any(|key| !matches!(key.as_str(), "Version" | "Id" | "Statement")) {
        return Err(syntax());
    }
    match document.get("Version") {
        None => {}
        Some(Value::String(version)) if version == "2012-10-17" || version == "2008-10-17" => {}
        Some(_) => return Err(syntax()),
    }
    let statements = match document.get("Statement") {
        Some(Value::Array(statements)) if !statements.is_empty() => statements.clone(),
        Some(statement @ Value::Object(_)) => vec![statement.clone()],
        _ => return Err(syntax()),
    };
    let mut sids = std::collections::BTreeSet::new();
    let mut checked = Vec::new();
    for statement in statements {
        let Value::Object(statement) = statement else { return Err(syntax()) };
        match statement.get("Effect").and_then(Value::as_str) {
            Some("Allow" | "Deny") => {}
            Some(_) => return Err(syntax()),
            None => return Err(ApiError::malformed_document("Missing required field Effect")),
        }
        if let Some(sid) = statement.get("Sid") {
            let sid = sid.as_str().ok_or_else(syntax)?;
            if !sid.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                let text = "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*";
                return Err(ApiError::malformed_document(text));
            }
            if !sid.is_empty() && !sids.insert(sid.to_owned()) {
                return Err(ApiError::malformed_document("Statement IDs (SID) in a single policy must be unique."));
            }
        }
        check_conditions(&statement)?;
        checked.push(statement);
    }
    Ok(checked)
}

fn fields(statement: &Map<String, Value>, allowed: &[&str]) -> Result<()> {
    if statement.contains_key("Principal") && !allowed.contains(&"Principal") {
        return Err(ApiError::malformed_document("Policy document should not specify a principal."));
    }
    match statement.keys().find(|key| !allowed.contains(&key.as_str())) {
        None => Ok(()),
        Some(_) => Err(ApiError::malformed_document("Syntax errors in policy.")),
    }
}

/// Reads a string or a list of strings.
pub(super) fn strings(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Array(items) => items.iter().map(|item| item.as_str().map(str::to_owned)).collect(),
        _ => None,
    }
}

fn one_of(statement: &Map<String, Value>, key: &str, not_key: &str, missing: &str) -> Result<Vec<String>> {
    let value = match (statement.get(key), statement.get(not_key)) {
        (Some(value), None) | (None, Some(value)) => value,
        (None, None) => return Err(ApiError::malformed_document(missing)),
        (Some(_), Some(_)) => return Err(ApiError::malformed_document("Syntax errors in policy.")),
    };
    let values = strings(value).ok_or_else(|| ApiError::malformed_document("Syntax errors in policy."))?;
    if values.is_empty() { Err(ApiError::malformed_document(missing)) } else { Ok(values) }
}

fn check_actions(statement: &Map<String, Value>, missing: &str) -> Result<Vec<String>> {
    let actions = one_of(statement, "Action", "NotAction", missing)?;
    for action in &actions {
        let valid = |text: &str, extra: &[u8]| {
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || extra.contains(&byte))
        };
        match action.split_once(':') {
            None if action == "*" => {}
            Some((vendor, name)) if valid(vendor, b"-") && valid(name, b"*?-_") => {}
            None => {
                let text = "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.";
                return Err(ApiError::malformed_document(text));
            }
            Some(_) => return Err(ApiError::malformed_document(format!("Action {action} is not valid."))),
        }
    }
    Ok(actions)
}

fn check_resource(resource: &str, partition: &str) -> Result<()> {
    if resource == "*" {
        return Ok(());
    }
    let parts: Vec<_> = resource.splitn(6, ':').collect();
    if parts[0] != "arn" || parts.len() < 6 {
        let text = format!("Resource {resource} must be in ARN format or \"*\".");
        return Err(ApiError::malformed_document(text));
    }
    if parts[1] != partition && !parts[1].contains(['*', '?']) {
        let text = format!("Partition \"{}\" is not valid for resource \"{resource}\".", parts[1]);
        return Err(ApiError::malformed_document(text));
    }
    if parts[2].is_empty() || parts[5].is_empty() {
        let text = format!("Resource {resource} must be in ARN format or \"*\".");
        return Err(ApiError::malformed_document(text));
    }
    Ok(())
}

fn check_conditions(statement: &Map<String, Value>) -> Result<()> {
    let Some(conditions) = statement.get("Condition") else { return Ok(()) };
    let syntax = || ApiError::malformed_document("Syntax errors in policy.");
    for (operator, keys) in conditions.as_object().ok_or_else(syntax)? {
        let bare = operator
            .strip_prefix("ForAnyValue:")
            .or_else(|| operator.strip_prefix("ForAllValues:"))
            .unwrap_or(operator);
        let bare = bare.strip_suffix("IfExists").unwrap_or(bare);
        if !OPERATORS.iter().any(|known| known.eq_ignore_ascii_case(bare)) {
            return Err(ApiError::malformed_document(format!("Invalid Condition type : {operator}.")));
        }
        for (key, value) in keys.as_object().ok_or_else(syntax)? {
            if !key.contains(':') {
                let text = "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.";
                return Err(ApiError::malformed_document(text));
            }
            let scalar = |value: &Value| value.is_string() || value.is_boolean() || value.is_number();
            let fits = scalar(value) || value.as_array().is_some_and(|values| values.iter().all(scalar));
            if !fits {
                return Err(syntax());
            }
        }
    }
    Ok(())
}

/// Returns the principals of a trust statement as pairs of kind and name; `*` alone is of the kind `AWS`.
pub(super) fn principals(statement: &Map<String, Value>) -> Result<Vec<(String, String)>> {
    let syntax = || ApiError::malformed_document("Syntax errors in policy.");
    let missing = || ApiError::malformed_document("Missing required field Principal");
    match statement.get("Principal") {
        None => Err(missing()),
        Some(Value::String(all)) if all == "*" => Ok(vec![("AWS".to_owned(), "*".to_owned())]),
        Some(Value::Object(kinds)) if !kinds.is_empty() => {
            let mut found = Vec::new();
            for (kind, names) in kinds {
                for name in strings(names).ok_or_else(syntax)? {
                    found.push((kind.clone(), name));
                }
            }
            if found.is_empty() { Err(missing()) } else { Ok(found) }
        }
        Some(_) => Err(syntax()),
    }
}

fn check_principal(kind: &str, name: &str, partition: &str) -> Result<()> {
    let invalid = || ApiError::malformed_document(format!("Invalid principal in policy: \"{kind}\":\"{name}\""));
    let in_partition = || name.split(':').nth(1) == Some(partition);
    match kind {
        "AWS" => {
            let account = name.len() == 12 && name.bytes().all(|byte| byte.is_ascii_digit());
            if name == "*" || account || (name.starts_with("arn:") && in_partition()) { Ok(()) } else { Err(invalid()) }
        }
        "Service" => {
            let service = name.strip_suffix(".cn").unwrap_or(name).strip_suffix(".amazonaws.com");
            match service {
                Some(service) if KNOWN_SERVICES.contains(&service) => Ok(()),
                _ => Err(invalid()),
            }
        }
        "Federated" => {
            let web = ["cognito-identity.amazonaws.com", "accounts.google.com", "www.amazon.com", "graph.facebook.com"];
            let provider = name.contains(":oidc-provider/") || name.contains(":saml-provider/");
            if web.contains(&name) || (name.starts_with("arn:") && in_partition() && provider) {
                Ok(())
            } else if name.starts_with("arn:") && !in_partition() {
                Err(invalid())
            } else {
                let text = "Federated principals must be valid domain names or SAML metadata ARNs";
                Err(ApiError::malformed_document(text))
            }
        }
        _ => Err(ApiError::malformed_document(format!("Invalid principal in policy: \"{kind}\""))),
    }
}

/// Service principals that the simulator takes for real; AWS refuses names of services that do not exist.
const KNOWN_SERVICES: [&str; 18] = [
    "autoscaling",
    "cloudformation",
    "codebuild",
    "ec2",
    "ecs",
    "ecs-tasks",
    "eks",
    "eks-fargate-pods",
    "eks-nodegroup",
    "elasticloadbalancing",
    "events",
    "lambda",
    "pods.eks",
    "s3",
    "sns",
    "spotfleet",
    "ssm",
    "states",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_documents_are_refused() {
        let base = r#""Effect":"Allow","Action":"ec2:Describe*","Resource":"*""#;
        assert!(check_identity(&format!(r#"{{"Version":"2012-10-17","Statement":[{{{base}}}]}}"#), "aws").is_ok());
        assert!(check_identity(&format!(r#"{{"Statement":{{{base}}}}}"#), "aws").is_ok());
        let bad = [
            "",
            "{}",
            r#"{"Version":"2012-10-17"}"#,
            r#"{"Version":"2012-10-17","Statement":[]}"#,
            r#"{"Version":"2020-01-01","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#,
            r#"{"Statement":[{"Action":"*","Resource":"*"}]}"#,
            r#"{"Statement":[{"Effect":"allow","Action":"*","Resource":"*"}]}"#,
            r#"{"Statement":[{"Effect":"Allow","Resource":"*"}]}"#,
            r#"{"Statement":[{"Effect":"Allow","Action":"*"}]}"#,
            r#"{"Statement":[{"Effect":"Allow","Action":"DescribeInstances","Resource":"*"}]}"#,
            r#"{"Statement":[{"Effect":"Allow","Action":"*","Resource":"vol-1"}]}"#,
            r#"{"Statement":[{"Effect":"Allow","Action":"*","Resource":"arn:aws-cn:ec2:*:*:volume/*"}]}"#,
            r#"{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Principal":"*"}]}"#,
            r#"{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Equals":{"a:b":"c"}}}]}"#,
            r#"{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Sid":"a b"}]}"#,
        ];
        for text in bad {
            assert_eq!(check_identity(text, "aws").unwrap_err().code, "MalformedPolicyDocument", "{text}");
        }
    }
}
