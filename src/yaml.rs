//! YAML that users and charts write, read as Helm reads it, with errors in the words of who wrote it.
//!
//! Helm converts YAML with `sigs.k8s.io/yaml`, which follows YAML 1.1: `010` is eight, `1_000` a thousand, `yes` and `y` are true
//! (<https://yaml.org/type/int.html>, <https://yaml.org/type/bool.html>). Keys stay as they are written, where Helm makes `true` of a
//! key `y` or `on`. Pure.

use serde::de::{
    Deserialize as _, DeserializeOwned, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::Value;
use serde_saphyr::{DuplicateKeyPolicy, Options};

use crate::files::shown;

/// Files that people write; ten thousand clusters take less.
pub(crate) const LARGEST: u64 = 16 << 20;

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_documents: 10_000,
            max_nodes: 2_000_000,
            max_events: 8_000_000,
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
        legacy_octal_numbers: true,
    }
}

/// The documents of a file.
///
/// # Errors
/// Text that is too large, that is no YAML, or that gives a key twice; the error names the line.
pub(crate) fn documents(text: &str) -> Result<Vec<Value>, String> {
    if text.len() as u64 > LARGEST {
        return Err(format!("it is larger than {}", shown(LARGEST)));
    }
    let mut documents: Vec<Value> =
        serde_saphyr::from_multiple_with_options(text, options()).map_err(|error| told(&error))?;
    documents.iter_mut().for_each(numbers_as_helm_has_them);
    Ok(documents)
}

/// To Helm every number is a 64-bit float, and one without a fraction is written without a point.
#[expect(clippy::cast_possible_truncation, reason = "of whole numbers in the range, which are cut nowhere")]
fn numbers_as_helm_has_them(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(numbers_as_helm_has_them),
        Value::Object(fields) => fields.values_mut().for_each(numbers_as_helm_has_them),
        Value::Number(number) => {
            let Some(float) = number.as_f64() else { return };
            let is_short = float.fract() == 0.0 && float.abs() < 9e18;
            *value = if is_short { Value::from(float as i64) } else { Value::from(float) };
        }
        _ => {}
    }
}

/// A document in a form of ours; `text` is the file that it was read from.
///
/// # Errors
/// A field that does not fit, by its path; a scalar that YAML does not take for text is shown as it is written.
pub(crate) fn typed<T: DeserializeOwned>(text: &str, document: &Value) -> Result<T, String> {
    serde_path_to_error::deserialize(document).map_err(|error| {
        let (place, reason) = (error.path().to_string(), error.into_inner().to_string());
        let reason =
            not_text(text, &place, document).filter(|_| reason.contains("expected a string")).unwrap_or(reason);
        format!("{place}: {reason}")
    })
}

fn not_text(text: &str, place: &str, document: &Value) -> Option<String> {
    let pointer = format!("/{}", place.replace(['.', '['], "/").replace(']', ""));
    let found = document.pointer(&pointer).filter(|found| found.is_number() || found.is_boolean())?;
    let written = written(text, place, found)?;
    let kind = if found.is_number() { "a number" } else { "true or false" };
    Some(format!("{written} is {kind} in YAML, and text is wanted: quote it (\"{written}\")"))
}

/// The scalar at a path such as `spec.cluster.account` or `items[0]` as it is written, for errors about values that YAML takes
/// for something else than text; none where there is none that YAML reads as `value`.
fn written(text: &str, path: &str, value: &Value) -> Option<String> {
    let steps: Vec<_> = path.split(['.', '[', ']']).filter(|step| !step.is_empty()).collect();
    // A line that begins like this separates documents, wherever it stands.
    let mut documents = vec![String::new()];
    for line in text.split_inclusive('\n') {
        if line.trim_end() == "---" || line.starts_with("--- ") {
            documents.push(String::new());
        }
        documents.last_mut()?.push_str(line);
    }
    documents.iter().find_map(|document| {
        let seek = |options: Options| {
            serde_saphyr::with_deserializer_from_str_with_options(document, options, |deserializer| {
                Seek(&steps).deserialize(deserializer)
            })
        };
        let found = seek(options()).ok()??;
        let read = self::documents(&found).ok()?;
        (read == [value.clone()]).then_some(found)
    })
}

/// Walks to a scalar and takes its text.
struct Seek<'a>(&'a [&'a str]);

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<String>, D::Error> {
        match self.0.first() {
            None => String::deserialize(deserializer).map(Some),
            Some(step) if step.bytes().all(|byte| byte.is_ascii_digit()) => deserializer.deserialize_seq(self),
            Some(_) => deserializer.deserialize_map(self),
        }
    }
}

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = Option<String>;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a mapping or a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<String>, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<String>()? {
            if self.0.first() == Some(&key.as_str()) {
                found = map.next_value_seed(Seek(&self.0[1..]))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Option<String>, A::Error> {
        let place: usize = self.0.first().and_then(|step| step.parse().ok()).unwrap_or(usize::MAX);
        for _ in 0..place {
            if list.next_element::<IgnoredAny>()?.is_none() {
                return Ok(None);
            }
        }
        let found = list.next_element_seed(Seek(&self.0[1..]))?.flatten();
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(found)
    }
}

/// An error in one line: without the library's own advice, and without the lines that it draws below.
fn told(error: &serde_saphyr::Error) -> String {
    match error.without_snippet() {
        serde_saphyr::Error::DuplicateMappingKey { key, location } => {
            let key = key.as_deref().map(|key| format!(" `{key}`")).unwrap_or_default();
            format!("line {} column {}: the key{key} is given twice", location.line(), location.column())
        }
        bare => bare.to_string().trim_start_matches("error: ").to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// What `helm template` 3.17 and 4.3 made of the same scalars; `tests/it/yaml_as_helm.rs` asks both helms about these and more.
    #[test]
    fn scalars_are_read_as_helm_reads_them() {
        let table = [
            ("010", json!(8)),
            ("0644", json!(420)),
            ("0o17", json!(15)),
            ("012345670123", json!(1_402_433_619)),
            ("012345678901", json!(12_345_678_901_u64)),
            ("08", json!(8)),
            ("1e3", json!(1000)),
            ("1_000", json!(1000)),
            ("1.20", json!(1.2)),
            ("0x1F", json!(31)),
            ("0b11", json!(3)),
            ("-010", json!(-8)),
            ("9007199254740993", json!(9_007_199_254_740_992_u64)),
            ("yes", json!(true)),
            ("Off", json!(false)),
            ("y", json!(true)),
            ("~", Value::Null),
            ("2001-01-01", json!("2001-01-01")),
            ("1:30", json!("1:30")),
            ("\"010\"", json!("010")),
        ];
        for (text, expected) in table {
            assert_eq!(documents(&format!("a: {text}\n")).unwrap(), [json!({"a": expected})], "{text}");
        }
    }

    #[test]
    fn a_scalar_is_shown_as_it_is_written() {
        let text = "a: {b: 1}\n---\na:\n  b: 0755\n  c: [x, 007]\n";
        assert_eq!(written(text, "a.b", &json!(493)).as_deref(), Some("0755"));
        assert_eq!(written(text, "a.c[1]", &json!(7)).as_deref(), Some("007"));
        assert_eq!(written(text, "a.d", &json!(7)), None);
        assert_eq!(written(text, "a.b.c", &json!(7)), None);
    }

    #[test]
    fn a_number_in_place_of_text_is_to_be_quoted() {
        let of = |text: &str| typed::<std::collections::BTreeMap<String, String>>(text, &documents(text).unwrap()[0]);
        assert_eq!(
            of("account: 012345670123\n").unwrap_err(),
            "account: 012345670123 is a number in YAML, and text is wanted: quote it (\"012345670123\")"
        );
        assert!(of("a: yes\n").unwrap_err().contains("a: yes is true or false in YAML"), "{:?}", of("a: yes\n"));
        assert!(of("a: [1]\n").unwrap_err().contains("expected a string"));
    }

    /// Every way in which a small file can become a large value, or run out of stack.
    #[test]
    fn what_grows_without_end_is_refused_at_once() {
        use std::fmt::Write as _;
        let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let before = level - 1;
            let _ = writeln!(laughs, "a{level}: &a{level} [{}]", vec![format!("*a{before}"); 10].join(", "));
        }
        let wide = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), ["*a"; 99].join(", "));
        let flow = format!("a: {}{}\n", "[".repeat(10_000), "]".repeat(10_000));
        let mut block = String::new();
        for depth in 0..5_000 {
            let _ = writeln!(block, "{}a:", " ".repeat(depth));
        }
        let begun = std::time::Instant::now();
        for (name, text) in [("laughs", laughs), ("wide", wide), ("flow", flow), ("block", block)] {
            assert!(documents(&text).is_err(), "{name}");
            assert!(crate::read::manifest::objects(&text).is_err(), "{name}");
        }
        assert!(begun.elapsed() < std::time::Duration::from_secs(30), "{:?}", begun.elapsed());
        let long = "#".repeat(usize::try_from(LARGEST).unwrap() + 1);
        assert_eq!(documents(&long).unwrap_err(), "it is larger than 16 MiB");
    }

    #[test]
    fn a_key_that_is_given_twice_is_named_with_its_line() {
        let error = documents("a:\n  b: 1\n  b: 2\n").unwrap_err();
        assert_eq!(error, "line 3 column 3: the key `b` is given twice");
        assert!(documents("a: [1\n").unwrap_err().contains("line "));
    }
}
