//! The configuration of add-ons: EKS holds it against a JSON Schema, shows that schema in DescribeAddonConfiguration, and refuses
//! whatever does not fit before anything is made.
//!
//! The schemas in `templates/sandbox/addon-schemas` are ours: names and types of the drivers' settings, fewer than EKS takes. The form of
//! the refusal is that of users' reports (aws/containers-roadmap#2216, cookpad/terraform-aws-eks#331). An add-on without a schema here
//! takes any mapping.

use serde_json::{Map, Value, json};

use super::{catalogue, required};
use crate::sandbox::aws::error::{ApiError, Result};
use crate::sandbox::aws::world::World;

const SCHEMAS: [(&str, &str); 2] = [
    ("aws-ebs-csi-driver", include_str!("../../../../templates/sandbox/addon-schemas/aws-ebs-csi-driver.json")),
    ("eks-pod-identity-agent", include_str!("../../../../templates/sandbox/addon-schemas/eks-pod-identity-agent.json")),
];
/// Service accounts that EKS names with the AWS managed policy that it recommends for each.
const RECOMMENDED: [(&str, &str, &str); 1] =
    [("aws-ebs-csi-driver", "ebs-csi-controller-sa", "service-role/AmazonEBSCSIDriverPolicy")];

/// Answers DescribeAddonConfiguration.
pub(super) fn describe(world: &World, input: &Map<String, Value>) -> Result<Value> {
    let (name, version) = (required(input, "addonName")?, required(input, "addonVersion")?);
    let refuse = |text: String| Err(ApiError::invalid_parameter(text).with("addonName", name));
    let Some(offer) = catalogue::find(name) else { return refuse(format!("Addon {name} specified is not supported")) };
    if !offer.versions.contains(&version) {
        return refuse("Addon version specified is not supported".to_owned());
    }
    let Some(schema) = schema_of(name) else {
        return Err(ApiError::not_implemented(&format!("the configuration schema of {name}")));
    };
    let mut answer = json!({"addonName": name, "addonVersion": version, "configurationSchema": schema});
    let arn = |policy: &str| format!("arn:{}:iam::aws:policy/{policy}", world.partition.name);
    let recommended: Vec<_> = RECOMMENDED
        .iter()
        .filter(|(addon, ..)| *addon == name)
        .map(|(_, account, policy)| json!({"serviceAccount": account, "recommendedManagedPolicies": [arn(policy)]}))
        .collect();
    if !recommended.is_empty() {
        answer["podIdentityConfiguration"] = Value::from(recommended);
    }
    Ok(answer)
}

/// Refuses a configuration that EKS would not take.
pub(super) fn check(name: &str, text: &str) -> Result<()> {
    let refuse = |text: String| Err(ApiError::invalid_parameter(text).with("addonName", name));
    let Ok(configuration) = serde_saphyr::from_str::<Value>(text) else {
        return refuse("ConfigurationValue is not in valid JSON or YAML format".to_owned());
    };
    let schema = schema_of(name).and_then(|schema| serde_json::from_str::<Value>(schema).ok());
    let mut found = Vec::new();
    compare(&schema.unwrap_or_else(|| json!({"type": "object"})), &configuration, "$", &mut found);
    if found.is_empty() {
        return Ok(());
    }
    refuse(format!(
        "ConfigurationValue provided in request is not supported: Json schema validation failed with error: [{}]",
        found.join(", ")
    ))
}

fn schema_of(name: &str) -> Option<&'static str> {
    SCHEMAS.iter().find(|(addon, _)| *addon == name).map(|(_, schema)| *schema)
}

/// Notes where a value differs from what the schema's keywords say; the schemas here use no others than these.
fn compare(schema: &Value, value: &Value, place: &str, found: &mut Vec<String>) {
    let kinds: Vec<_> = match &schema["type"] {
        Value::String(kind) => vec![kind.as_str()],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let kind = kind_of(value);
    let is = |wanted: &&str| *wanted == kind || (*wanted == "number" && kind == "integer");
    if !kinds.is_empty() && !kinds.iter().any(is) {
        found.push(format!("{place}: {kind} found, {} expected", kinds.join(" or ")));
        return;
    }
    if let Some(allowed) = schema["enum"].as_array().filter(|allowed| !allowed.contains(value)) {
        found.push(format!("{place}: does not have a value in the enumeration {}", Value::from(allowed.clone())));
    }
    if let (Some(number), Some(least)) = (value.as_f64(), schema["minimum"].as_f64())
        && number < least
    {
        found.push(format!("{place}: must have a minimum value of {least}"));
    }
    if let (Some(number), Some(most)) = (value.as_f64(), schema["maximum"].as_f64())
        && number > most
    {
        found.push(format!("{place}: must have a maximum value of {most}"));
    }
    if let (Some(text), Some(most)) = (value.as_str(), schema["maxLength"].as_u64())
        && text.chars().count() as u64 > most
    {
        found.push(format!("{place}: must be at most {most} characters long"));
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        compare(&schema["items"], item, &format!("{place}[{index}]"), found);
    }
    for (key, field) in value.as_object().into_iter().flatten() {
        let place = format!("{place}.{key}");
        match (schema["properties"].get(key), &schema["additionalProperties"]) {
            (Some(known), _) => compare(known, field, &place, found),
            (None, Value::Bool(false)) => found.push(format!(
                "{place}: is not defined in the schema and the schema does not allow additional properties"
            )),
            (None, others) => compare(others, field, &place, found),
        }
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(name: &str, text: &str) -> String {
        check(name, text).err().map(|error| format!("{}: {}", error.code, error.message)).unwrap_or_default()
    }

    #[test]
    fn what_does_not_fit_is_refused_at_its_place() {
        let unsupported = "InvalidParameterException: ConfigurationValue provided in request is not supported: Json \
                           schema validation failed with error: ";
        for (text, expected) in [
            (r#"{"controller":{"replicaCount":3}}"#, ""),
            ("controller:\n  replicaCount: 3\n  extraVolumeTags: {team: a}\nnode: {volumeAttachLimit: null}\n", ""),
            (r#"{"sidecars":{"resizer":{"additionalArgs":["--v=5"]}}}"#, ""),
            (
                r#"{"podAnnotations":{}}"#,
                "[$.podAnnotations: is not defined in the schema and the schema does not allow additional properties]",
            ),
            (r#"{"controller":{"replicaCount":"3"}}"#, "[$.controller.replicaCount: string found, integer expected]"),
            (r#"{"controller":{"replicaCount":-1}}"#, "[$.controller.replicaCount: must have a minimum value of 0]"),
            (
                r#"{"controller":{"loggingFormat":"xml"}}"#,
                r#"[$.controller.loggingFormat: does not have a value in the enumeration ["text","json"]]"#,
            ),
            (
                r#"{"controller":{"additionalArgs":[1]},"fips":"no"}"#,
                "[$.controller.additionalArgs[0]: integer found, string expected, $.fips: string found, boolean expected]",
            ),
            ("null", "[$: null found, object expected]"),
            ("[]", "[$: array found, object expected]"),
        ] {
            let expected = if expected.is_empty() { String::new() } else { format!("{unsupported}{expected}") };
            assert_eq!(said("aws-ebs-csi-driver", text), expected, "{text}");
        }
        for text in ["{a: [", "a: b: c"] {
            let error = said("aws-ebs-csi-driver", text);
            assert_eq!(error, "InvalidParameterException: ConfigurationValue is not in valid JSON or YAML format");
        }
        assert!(said("eks-pod-identity-agent", r#"{"agents":{}}"#).contains("$.agents: is not defined in the schema"));
        assert_eq!(said("vpc-cni", r#"{"env":{}}"#), "");
    }

    #[test]
    fn the_schemas_use_no_keyword_that_is_not_judged() {
        fn keywords(schema: &Value, found: &mut Vec<String>) {
            for (key, value) in schema.as_object().into_iter().flatten() {
                found.push(key.clone());
                match key.as_str() {
                    "properties" => value.as_object().unwrap().values().for_each(|it| keywords(it, found)),
                    "items" | "additionalProperties" => keywords(value, found),
                    _ => {}
                }
            }
        }
        let known = ["type", "properties", "additionalProperties", "items", "enum", "minimum", "maximum", "maxLength"];
        for (name, schema) in SCHEMAS {
            assert!(catalogue::find(name).is_some(), "{name}");
            let mut found = Vec::new();
            keywords(&serde_json::from_str(schema).unwrap(), &mut found);
            found.retain(|key| !known.contains(&key.as_str()) && key != "$schema" && key != "description");
            assert_eq!(found, Vec::<String>::new(), "{name}");
        }
    }
}
