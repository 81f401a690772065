//! What differs between two sets of chart values, with the path of each; secrets are not shown. Pure.
//!
//! Helm lays the given values on the chart's own and takes a default away where it is given a null, so a null is not the same
//! as nothing (<https://helm.sh/docs/chart_template_guide/values_files/#deleting-a-default-key>). It reads numbers as 64-bit
//! floats, so `1.0` is recorded as `1` and a long integer as its neighbour: what becomes the same record is the same.

use std::collections::BTreeSet;

use serde_json::{Number, Value};

use crate::plan::FieldDiff;
use crate::secrets::{self, Place};

pub(super) fn value_diff(recorded: &Value, wanted: &Value) -> Vec<FieldDiff> {
    value_differences("values", recorded, wanted)
}

/// What a release of someone else lacks of the wanted values; what it sets besides is its own. An empty map asks for nothing.
pub(super) fn unmet_values(recorded: &Value, wanted: &Value) -> Vec<FieldDiff> {
    let mut fields = value_diff(recorded, wanted);
    fields.retain(|field| match field.after.as_deref() {
        None => false,
        Some("{}") => field.before.is_some(),
        Some(_) => true,
    });
    fields
}

/// Every value that differs, in either direction, with its path under `root`; a null at the root is no values at all.
pub(in crate::steps) fn value_differences(root: &str, recorded: &Value, wanted: &Value) -> Vec<FieldDiff> {
    let none = Value::Object(serde_json::Map::new());
    let given = |value| if Value::is_null(value) { &none } else { value };
    let mut fields = Vec::new();
    let place = Place::default();
    compare([Some(given(recorded)), Some(given(wanted))], [&place, &place], root, &mut fields);
    fields
}

/// Each side has a place of its own: what names a secret in one may hold one in the other.
fn compare(
    [recorded, wanted]: [Option<&Value>; 2],
    [before, after]: [&Place; 2],
    path: &str,
    fields: &mut Vec<FieldDiff>,
) {
    if let (Some(recorded), Some(wanted)) = (recorded, wanted)
        && same(recorded, wanted)
    {
        return;
    }
    let inside = |value: Option<&'_ Value>| value.and_then(Value::as_object).cloned().unwrap_or_default();
    let maps = [recorded, wanted].map(|value| value.is_some_and(Value::is_object));
    if maps != [true, true] {
        // A map is shown by what is in it, unless nothing is.
        let own = |place: &Place, value: Option<&Value>| {
            let value = value.filter(|value| value.as_object().is_none_or(serde_json::Map::is_empty))?;
            Some(secrets::shown(place, value))
        };
        let (before, after) = (own(before, recorded), own(after, wanted));
        if before.is_some() || after.is_some() {
            fields.push(FieldDiff::new(path, before, after));
        }
    }
    let (recorded, wanted) = (inside(recorded), inside(wanted));
    let names: BTreeSet<_> = recorded.keys().chain(wanted.keys()).collect();
    for name in names {
        let (recorded, wanted) = (recorded.get(name), wanted.get(name));
        let of = |place: &Place, value: Option<&Value>| place.member(name, value.unwrap_or(&Value::Null));
        let (before, after) = (of(before, recorded), of(after, wanted));
        compare([recorded, wanted], [&before, &after], &format!("{path}.{name}"), fields);
    }
}

/// Whether helm records `wanted` as `recorded`.
fn same(recorded: &Value, wanted: &Value) -> bool {
    match (recorded, wanted) {
        (Value::Number(recorded), Value::Number(wanted)) => same_number(recorded, wanted),
        (Value::Array(recorded), Value::Array(wanted)) => {
            recorded.len() == wanted.len()
                && recorded.iter().zip(wanted).all(|(recorded, wanted)| same(recorded, wanted))
        }
        (Value::Object(recorded), Value::Object(wanted)) => {
            let alike = |(name, value): (&String, &Value)| wanted.get(name).is_some_and(|wanted| same(value, wanted));
            recorded.len() == wanted.len() && recorded.iter().all(alike)
        }
        (recorded, wanted) => recorded == wanted,
    }
}

/// An integer of the record is the wanted number itself, or what is left of it in 64 bits; Go prints as few digits as tell a
/// float from its neighbours, and so does Rust.
fn same_number(recorded: &Number, wanted: &Number) -> bool {
    let (Some(before), Some(after)) = (recorded.as_f64(), wanted.as_f64()) else { return recorded == wanted };
    #[expect(clippy::float_cmp, reason = "the same 64 bits are meant")]
    let alike = before == after;
    recorded == wanted || (alike && (recorded.is_f64() || recorded.to_string() == after.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(recorded: &Value, wanted: &Value) -> Vec<String> {
        let text = |side: &Option<String>| side.clone().unwrap_or_else(|| "-".to_owned());
        let fields = value_diff(recorded, wanted);
        fields.iter().map(|field| format!("{} {} {}", field.path, text(&field.before), text(&field.after))).collect()
    }

    #[test]
    fn a_null_is_not_nothing() {
        let cases = [
            (json!({}), json!({"a": null}), vec!["values.a - null"]),
            (json!({"a": null}), json!({}), vec!["values.a null -"]),
            (json!({"a": null}), json!({"a": null}), vec![]),
            (json!({"a": 1}), json!({"a": null}), vec!["values.a 1 null"]),
            (json!({"a": null}), json!({"a": {"b": 1}}), vec!["values.a null -", "values.a.b - 1"]),
            (json!({"a": {"b": null}}), json!({"a": {}}), vec!["values.a.b null -"]),
            (json!({"a": {"b": 1}}), json!({"a": {"b": 1, "c": null}}), vec!["values.a.c - null"]),
            (json!({"a": [null, 1]}), json!({"a": [1]}), vec!["values.a [null,1] [1]"]),
        ];
        for (recorded, wanted, expected) in cases {
            assert_eq!(shown(&recorded, &wanted), expected, "{recorded} {wanted}");
        }
    }

    #[test]
    fn an_empty_map_is_not_nothing_either() {
        assert_eq!(shown(&json!({}), &json!({"a": {}})), ["values.a - {}"]);
        assert_eq!(shown(&json!({"a": {}}), &json!({})), ["values.a {} -"]);
        assert_eq!(shown(&json!({"a": {}}), &json!({"a": {"b": 1}})), ["values.a.b - 1"]);
        assert_eq!(shown(&json!({"a": null}), &json!({"a": {}})), ["values.a null {}"]);
        assert_eq!(shown(&Value::Null, &json!({})), [""; 0], "no values at all");
    }

    #[test]
    fn numbers_are_the_same_where_helm_records_the_same() {
        let number = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        let cases = [
            ("1", "1.0", true),
            ("1000", "1e3", true),
            ("-0", "-0.0", true),
            ("0.1", "0.1", true),
            // What helm 3 makes of them, and then what a helm that keeps integers makes of them.
            ("12345678901234568", "12345678901234567", true),
            ("12345678901234567", "12345678901234567", true),
            ("9223372036854775807", "9223372036854775807", true),
            ("9223372036854776000", "9223372036854775807", true),
            ("1.2345678901234568e+29", "123456789012345678901234567890", true),
            ("1", "2", false),
            ("1", "1.5", false),
            // Neighbours that are one float, told apart by a record that is neither.
            ("12345678901234567", "12345678901234568", false),
        ];
        for (recorded, wanted, expected) in cases {
            assert_eq!(same(&number(recorded), &number(wanted)), expected, "{recorded} {wanted}");
        }
        assert_eq!(shown(&json!({"a": "1"}), &json!({"a": 1})), ["values.a 1 1"], "a text is no number");
        assert_eq!(shown(&json!({"a": [1]}), &json!({"a": [1.0]})), [""; 0]);
    }

    #[test]
    fn secrets_in_maps_that_come_and_go_are_hidden() {
        let (plain, map) = (json!({"db": 1}), json!({"db": {"password": "x"}}));
        assert_eq!(shown(&plain, &map), ["values.db 1 -", "values.db.password - (hidden)"]);
        assert_eq!(shown(&map, &plain), ["values.db - 1", "values.db.password (hidden) -"]);
    }

    #[test]
    fn a_release_of_someone_else_may_set_more_and_not_less() {
        let paths = |recorded: &Value, wanted: &Value| {
            unmet_values(recorded, wanted).into_iter().map(|field| field.path).collect::<Vec<_>>()
        };
        assert_eq!(paths(&json!({"a": 1, "b": 2}), &json!({"a": 1, "c": {}})), [""; 0]);
        assert_eq!(paths(&json!({"a": 1}), &json!({"a": 1, "b": null})), ["values.b"]);
        assert_eq!(paths(&json!({"a": {"b": 1}}), &json!({"a": {"b": 2}})), ["values.a.b"]);
    }
}
