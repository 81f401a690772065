//! The parameters of a Query-protocol call (IAM, STS): a flat form whose lists are spelled `Tags.member.1.Key`.

use std::collections::BTreeMap;

use super::error::{ApiError, Result};

/// A parsed form.
#[derive(Debug, Clone, Default)]
pub(super) struct Form(BTreeMap<String, String>);

impl Form {
    pub(super) fn parse(body: &[u8]) -> Self {
        Self(url::form_urlencoded::parse(body).map(|(key, value)| (key.into_owned(), value.into_owned())).collect())
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// Returns a parameter that the operation cannot do without.
    pub(super) fn required(&self, key: &str) -> Result<&str> {
        self.get(key).filter(|value| !value.is_empty()).ok_or_else(|| {
            let mut member = key.to_owned();
            member[..1].make_ascii_lowercase();
            ApiError::constraint("null", &member, "not be null")
        })
    }

    /// Returns a number between two bounds.
    pub(super) fn number(&self, key: &str, least: u64, most: u64) -> Result<Option<u64>> {
        let Some(text) = self.get(key) else { return Ok(None) };
        match text.parse() {
            Ok(number) if (least..=most).contains(&number) => Ok(Some(number)),
            Ok(number) if number < least => {
                Err(ApiError::constraint(text, key, &format!("have value greater than or equal to {least}")))
            }
            _ => Err(ApiError::constraint(text, key, &format!("have value less than or equal to {most}"))),
        }
    }

    /// Returns the strings of a list.
    pub(super) fn list(&self, key: &str) -> Vec<String> {
        (1..).map_while(|index| self.get(&format!("{key}.member.{index}"))).map(str::to_owned).collect()
    }

    /// Returns the tags of a call in the order in which they were sent.
    pub(super) fn tags(&self) -> Vec<(String, String)> {
        (1..)
            .map_while(|index| {
                let key = self.get(&format!("Tags.member.{index}.Key"))?;
                let value = self.get(&format!("Tags.member.{index}.Value")).unwrap_or_default();
                Some((key.to_owned(), value.to_owned()))
            })
            .collect()
    }

    pub(super) fn pairs(&self) -> impl Iterator<Item = (String, String)> + '_ {
        self.0.iter().map(|(key, value)| (key.clone(), value.clone()))
    }
}
