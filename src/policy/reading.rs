//! From text to [`Document`], and whether IAM would take it.
//!
//! Reading is strict about what gives a document its meaning and names the place of the first fault; it is lenient about
//! elements that it does not know. [`Document::validate`] is as strict as IAM when it stores a document.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::{Condition, Document, Effect, Kind, PolicyError, Principals, Statement};

impl Document {
    /// Parses a document from JSON text.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let value: Value = serde_json::from_str(text).map_err(|error| {
            let full = error.to_string();
            let reason = full.split(" at line ").next().unwrap_or_default().to_owned();
            PolicyError::NotJson { line: error.line(), column: error.column(), reason }
        })?;
        Self::from_value(value)
    }

    /// Parses a document as IAM returns it: URL-encoded (RFC 3986) JSON. Plain JSON is taken too.
    pub fn from_url_encoded(text: &str) -> Result<Self, PolicyError> {
        if text.trim_start().starts_with('{') {
            return Self::parse(text);
        }
        let decoded =
            percent_encoding::percent_decode_str(text).decode_utf8().map_err(|_| PolicyError::NotUrlEncoded)?;
        Self::parse(&decoded)
    }

    fn from_value(value: Value) -> Result<Self, PolicyError> {
        let mut fields = object(value, "the document")?;
        let version = string_of(&mut fields, "", "Version")?;
        if let Some(version) = &version
            && !matches!(version.as_str(), "2012-10-17" | "2008-10-17")
        {
            return Err(unexpected("Version", "`2012-10-17` or `2008-10-17`", &Value::from(version.as_str())));
        }
        let id = string_of(&mut fields, "", "Id")?;
        let statements = match fields.remove("Statement") {
            None => return Err(PolicyError::Missing { path: "Statement".into() }),
            Some(Value::Array(items)) => items,
            Some(single) => vec![single],
        };
        let statements = statements
            .into_iter()
            .enumerate()
            .map(|(index, value)| Statement::from_value(value, index))
            .collect::<Result<_, _>>()?;
        Ok(Self { version, id, statements, other: fields.into_iter().collect() })
    }

    /// Says whether IAM would take the document as one of this kind: elements, `Sid`s, then size.
    pub fn validate(&self, kind: Kind) -> Result<(), PolicyError> {
        let mut seen = BTreeSet::new();
        for (index, statement) in self.statements.iter().enumerate() {
            let path = format!("Statement[{index}]");
            statement.validate(kind, &path)?;
            if let Some(sid) = &statement.sid
                && !sid.is_empty()
                && !seen.insert(sid)
            {
                return Err(PolicyError::RepeatedSid { path: format!("{path}.Sid"), sid: sid.clone() });
            }
        }
        let (len, limit) = (self.minified_len(), kind.limit());
        if len > limit { Err(PolicyError::TooLong { kind, len, limit }) } else { Ok(()) }
    }
}

impl Statement {
    fn from_value(value: Value, index: usize) -> Result<Self, PolicyError> {
        let path = format!("Statement[{index}]");
        let mut fields = object(value, &path)?;
        let effect = match string_of(&mut fields, &path, "Effect")?.as_deref() {
            Some("Allow") => Effect::Allow,
            Some("Deny") => Effect::Deny,
            Some(other) => return Err(unexpected(&format!("{path}.Effect"), "`Allow` or `Deny`", &Value::from(other))),
            None => return Err(PolicyError::Missing { path: format!("{path}.Effect") }),
        };
        for (first, second) in [("Action", "NotAction"), ("Resource", "NotResource"), ("Principal", "NotPrincipal")] {
            if fields.contains_key(first) && fields.contains_key(second) {
                return Err(PolicyError::Exclusive { path, first, second });
            }
        }
        if !fields.contains_key("Action") && !fields.contains_key("NotAction") {
            return Err(PolicyError::Missing { path: format!("{path}.Action") });
        }
        Ok(Self {
            sid: string_of(&mut fields, &path, "Sid")?,
            effect,
            principal: principals_of(&mut fields, &path, "Principal")?,
            not_principal: principals_of(&mut fields, &path, "NotPrincipal")?,
            action: list_of(&mut fields, &path, "Action")?,
            not_action: list_of(&mut fields, &path, "NotAction")?,
            resource: list_of(&mut fields, &path, "Resource")?,
            not_resource: list_of(&mut fields, &path, "NotResource")?,
            condition: condition_of(&mut fields, &path)?,
            other: fields.into_iter().collect(),
        })
    }

    fn validate(&self, kind: Kind, path: &str) -> Result<(), PolicyError> {
        let has_principal = self.principal.is_some() || self.not_principal.is_some();
        let has_resource = self.resource.is_some() || self.not_resource.is_some();
        let missing = |element: &str| Err(PolicyError::Missing { path: format!("{path}.{element}") });
        let not_allowed = |element: &str| Err(PolicyError::NotAllowed { path: format!("{path}.{element}"), kind });
        if let Some(sid) = &self.sid
            && !sid.chars().all(|letter| letter.is_ascii_alphanumeric())
        {
            return Err(unexpected(&format!("{path}.Sid"), "letters and digits only", &Value::from(sid.as_str())));
        }
        if let Some(element) = self.other.keys().next() {
            return not_allowed(element);
        }
        match kind {
            Kind::Permissions if has_principal => not_allowed("Principal"),
            Kind::Permissions if !has_resource => missing("Resource"),
            Kind::Trust if has_resource => not_allowed("Resource"),
            Kind::Trust if !has_principal => missing("Principal"),
            Kind::Permissions | Kind::Trust => Ok(()),
        }
    }
}

fn unexpected(path: &str, expected: &'static str, found: &Value) -> PolicyError {
    let found = match found {
        Value::Object(_) => "an object".into(),
        Value::Array(items) if items.is_empty() => "an empty list".into(),
        Value::Array(_) => "a list".into(),
        scalar => format!("`{}`", scalar.as_str().map_or_else(|| scalar.to_string(), ToOwned::to_owned)),
    };
    PolicyError::Unexpected { path: path.into(), expected, found }
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn object(value: Value, path: &str) -> Result<Map<String, Value>, PolicyError> {
    match value {
        Value::Object(fields) => Ok(fields),
        other => Err(unexpected(path, "an object", &other)),
    }
}

fn string_of(fields: &mut Map<String, Value>, path: &str, name: &str) -> Result<Option<String>, PolicyError> {
    match fields.remove(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(unexpected(&joined(path, name), "a string", &other)),
    }
}

fn list_of(fields: &mut Map<String, Value>, path: &str, name: &str) -> Result<Option<Vec<String>>, PolicyError> {
    fields.remove(name).map(|value| list(value, &joined(path, name), false)).transpose()
}

/// Reads a string or a list of strings. Condition values may be numbers and booleans, which IAM reads as their text.
fn list(value: Value, path: &str, scalars: bool) -> Result<Vec<String>, PolicyError> {
    let one = |value: Value| match value {
        Value::String(text) => Ok(text),
        Value::Bool(_) | Value::Number(_) if scalars => Ok(value.to_string()),
        other => Err(unexpected(path, "a string or a list of strings", &other)),
    };
    match value {
        Value::Array(items) if items.is_empty() => {
            Err(unexpected(path, "a string or a list of strings", &Value::Array(items)))
        }
        Value::Array(items) => items.into_iter().map(one).collect(),
        single => Ok(vec![one(single)?]),
    }
}

fn principals_of(fields: &mut Map<String, Value>, path: &str, name: &str) -> Result<Option<Principals>, PolicyError> {
    let path = joined(path, name);
    match fields.remove(name) {
        None => Ok(None),
        Some(Value::String(text)) if text == "*" => Ok(Some(Principals::Everyone)),
        Some(Value::Object(types)) if !types.is_empty() => {
            let named = types.into_iter().map(|(kind, names)| {
                let names = list(names, &format!("{path}.{kind}"), false)?;
                Ok((kind, names))
            });
            Ok(Some(Principals::Named(named.collect::<Result<_, PolicyError>>()?)))
        }
        Some(other) => Err(unexpected(&path, "`*` or an object of principals", &other)),
    }
}

fn condition_of(fields: &mut Map<String, Value>, path: &str) -> Result<Condition, PolicyError> {
    let path = joined(path, "Condition");
    let Some(value) = fields.remove("Condition") else { return Ok(Condition::new()) };
    let mut condition = Condition::new();
    for (operator, tests) in object(value, &path)? {
        let path = format!("{path}.{operator}");
        let mut keys = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for (key, values) in object(tests, &path)? {
            if !seen.insert(key.to_lowercase()) {
                return Err(unexpected(&path, "an object with each key once, whatever its case", &Value::from(key)));
            }
            let values = list(values, &format!("{path}.{key}"), true)?;
            keys.insert(key, values);
        }
        if !keys.is_empty() {
            condition.insert(operator, keys);
        }
    }
    Ok(condition)
}
