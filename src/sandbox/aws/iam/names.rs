//! IAM's rules for names, paths, descriptions and tags.

use crate::sandbox::aws::error::{ApiError, Result};
use crate::sandbox::aws::form::Form;
use crate::sandbox::aws::seed::Tags;
use crate::sandbox::aws::xml::Xml;

/// Most tags of an object.
const TAG_LIMIT: usize = 50;

/// Checks a name of letters, digits and `+=,.@-_`.
pub(super) fn check_name<'a>(value: &'a str, member: &str, longest: usize) -> Result<&'a str> {
    if value.chars().count() > longest {
        let rule = format!("have length less than or equal to {longest}");
        return Err(ApiError::constraint(value, member, &rule));
    }
    if !value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+=,.@-_".contains(&byte)) {
        return Err(ApiError::constraint(value, member, "satisfy regular expression pattern: [\\w+=,.@-]+"));
    }
    Ok(value)
}

/// Checks the path of a call; `/` if there is none.
pub(super) fn check_path(form: &Form) -> Result<String> {
    let path = form.get("Path").unwrap_or("/");
    let visible = path.bytes().all(|byte| (0x21..=0x7e).contains(&byte));
    if path.len() > 512 || !visible || !path.starts_with('/') || !path.ends_with('/') {
        let text = "The specified value for path is invalid. It must begin and end with / and contain only alphanumeric characters and/or / characters.";
        return Err(ApiError::validation(text));
    }
    Ok(path.to_owned())
}

/// Checks the description of a call; roles take Latin-1 only.
pub(super) fn check_description(form: &Form, latin: bool) -> Result<Option<String>> {
    let Some(description) = form.get("Description") else { return Ok(None) };
    if description.chars().count() > 1000 {
        return Err(ApiError::constraint(description, "description", "have length less than or equal to 1000"));
    }
    let printable =
        |character: char| matches!(character, '\t' | '\n' | '\r' | '\u{20}'..='\u{7e}' | '\u{a1}'..='\u{ff}');
    if latin && !description.chars().all(printable) {
        let rule = "satisfy regular expression pattern: [\\u0009\\u000A\\u000D\\u0020-\\u007E\\u00A1-\\u00FF]*";
        return Err(ApiError::constraint(description, "description", rule));
    }
    Ok(Some(description.to_owned()))
}

/// Adds the tags of a call to those of an object; keys differ regardless of case.
pub(super) fn add_tags(existing: &Tags, added: &[(String, String)]) -> Result<Tags> {
    if added.len() > TAG_LIMIT {
        return Err(ApiError::constraint("[...]", "tags", "have length less than or equal to 50"));
    }
    let mut tags = existing.clone();
    let mut seen = std::collections::BTreeSet::new();
    for (index, (key, value)) in added.iter().enumerate() {
        check_tag(index + 1, key, value)?;
        if !seen.insert(key.to_lowercase()) {
            let text = "Duplicate tag keys found. Please note that Tag keys are case insensitive.";
            return Err(ApiError::invalid_input(text));
        }
        tags.retain(|old, _| old.to_lowercase() != key.to_lowercase());
        tags.insert(key.clone(), value.clone());
    }
    if tags.len() > TAG_LIMIT {
        return Err(ApiError::limit_exceeded("The number of tags has reached the maximum limit."));
    }
    Ok(tags)
}

fn check_tag(index: usize, key: &str, value: &str) -> Result<()> {
    let allowed = |character: char| character.is_alphanumeric() || character == ' ' || "_.:/=+-@".contains(character);
    let member = |part: &str| format!("tags.{index}.member.{part}");
    if key.is_empty() || key.chars().count() > 128 {
        let rule = "have length between 1 and 128";
        return Err(ApiError::constraint(key, &member("key"), rule));
    }
    if value.chars().count() > 256 {
        return Err(ApiError::constraint(value, &member("value"), "have length less than or equal to 256"));
    }
    for (part, text) in [("key", key), ("value", value)] {
        if !text.chars().all(allowed) {
            let rule = "satisfy regular expression pattern: [\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]+";
            return Err(ApiError::constraint(text, &member(part), rule));
        }
    }
    if key.to_ascii_lowercase().starts_with("aws:") {
        let text = "Caller is an end user and not allowed to mutate system tags";
        return Err(ApiError::invalid_input(text));
    }
    Ok(())
}

/// Removes the keys of a call from the tags of an object; keys that are not there are no error.
pub(super) fn remove_tags(existing: &Tags, keys: &[String]) -> Tags {
    let mut tags = existing.clone();
    tags.retain(|key, _| !keys.iter().any(|removed| removed.to_lowercase() == key.to_lowercase()));
    tags
}

/// Writes tags.
pub(super) fn write_tags(xml: &mut Xml, tags: &Tags) {
    xml.members("Tags", tags, |xml, (key, value)| {
        xml.text("Key", key);
        xml.text("Value", value);
    });
}
