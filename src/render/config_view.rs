//! The merged configuration as YAML of the file's form, with the origin of each value as a comment. Pure.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::config_file::API_VERSION;
use crate::config_view::Setting;
use crate::escape::line;
use crate::render::style::Styles;

/// The text; it can be used as a configuration file as it is.
pub fn of(settings: &[Setting], styles: Styles) -> String {
    let mut text = format!("apiVersion: {API_VERSION}\nkind: ClusterBootstrap\n");
    let mut open: Vec<&String> = Vec::new();
    for setting in settings {
        let Some((name, above)) = setting.path.split_last() else { continue };
        let same = open.iter().zip(above).take_while(|(a, b)| **a == *b).count();
        open.truncate(same);
        for part in &above[same..] {
            let _ = writeln!(text, "{:width$}{}:", "", key(part), width = open.len() * 2);
            open.push(part);
        }
        let field = format!("{:width$}{}: {}", "", key(name), scalar(&setting.value), width = open.len() * 2);
        let origin = styles.dim(&format!("# {}", line(&setting.origin.to_string())));
        let _ = writeln!(text, "{field:56}  {origin}");
    }
    text
}

/// The same for programs: one object per value.
pub fn json(settings: &[Setting]) -> String {
    let all: Vec<_> = settings
        .iter()
        .map(|setting| json!({"path": setting.path, "value": setting.value, "origin": setting.origin.to_string()}))
        .collect();
    format!("{:#}\n", Value::Array(all))
}

fn key(name: &str) -> String {
    scalar(&Value::String(name.to_owned()))
}

/// A value in YAML's flow style. A text is quoted unless it can only be read as that text.
fn scalar(value: &Value) -> String {
    // What stands between the quotes of a JSON text is escaped there as YAML escapes it.
    let quoted = || line(&value.to_string()).into_owned();
    let Value::String(text) = value else { return quoted() };
    let plain = !text.is_empty()
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:".contains(c))
        && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && !text.ends_with(':')
        && !matches!(
            text.to_ascii_lowercase().as_str(),
            "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n"
        );
    if plain { text.clone() } else { quoted() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config_view::Origin;

    #[test]
    fn it_is_a_file_again() {
        let setting = |path: &str, value: Value| {
            let path = path.split(' ').map(ToOwned::to_owned).collect();
            Setting { path, value, origin: Origin::Default }
        };
        let settings = [
            setting("spec cluster account", json!("111122223333")),
            setting("spec cluster name", json!("demo")),
            setting("spec iam path", json!("/")),
            setting("spec iam tags a.b/c", json!("no")),
            setting("spec components awsEbsCsiDriver values", json!({})),
            setting("spec components awsEbsCsiDriver replicas", Value::Null),
        ];
        let text = of(&settings, Styles { on: false });
        let read: Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(read["spec"]["cluster"]["account"], "111122223333");
        assert_eq!(read["spec"]["iam"]["tags"]["a.b/c"], "no");
        assert_eq!(read["spec"]["components"]["awsEbsCsiDriver"], json!({"values": {}, "replicas": null}));
        assert!(text.contains("    name: demo  ") && text.contains("# default"), "{text}");
    }
}
