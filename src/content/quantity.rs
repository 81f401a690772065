//! Kubernetes' quantities, of which one amount has many spellings: `1000m` and `1`, `1024Mi` and `1Gi`. Pure.

use serde_json::Value;

/// The API server keeps three digits after the point at least and nine at most.
const SCALE: u32 = 9;

/// Suffixes and what they multiply with, as powers of ten or of two
/// (<https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>).
const SUFFIXES: [(&str, i32, u32); 15] = [
    ("Ki", 0, 10),
    ("Mi", 0, 20),
    ("Gi", 0, 30),
    ("Ti", 0, 40),
    ("Pi", 0, 50),
    ("Ei", 0, 60),
    ("n", -9, 0),
    ("u", -6, 0),
    ("m", -3, 0),
    ("k", 3, 0),
    ("M", 6, 0),
    ("G", 9, 0),
    ("T", 12, 0),
    ("P", 15, 0),
    ("E", 18, 0),
];

/// Whether two values are the same amount.
pub(super) fn equal(one: &Value, other: &Value) -> bool {
    match (amount(one), amount(other)) {
        (Some(one), Some(other)) => one == other,
        _ => false,
    }
}

/// In billionths; none for what is no quantity.
fn amount(value: &Value) -> Option<i128> {
    match value {
        Value::String(text) => parse(text),
        Value::Number(number) => parse(&number.to_string()),
        _ => None,
    }
}

fn parse(text: &str) -> Option<i128> {
    let (number, tens, twos) = SUFFIXES
        .iter()
        .find_map(|(suffix, tens, twos)| Some((text.strip_suffix(suffix)?, *tens, *twos)))
        .unwrap_or((text, 0, 0));
    let (number, exponent) = match number.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, exponent.parse::<i32>().ok()?),
        None => (number, 0),
    };
    let (negative, number) = match number.strip_prefix('-') {
        Some(number) => (true, number),
        None => (false, number.strip_prefix('+').unwrap_or(number)),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mut amount = digits.parse::<i128>().ok()?.checked_mul(1_i128.checked_shl(twos)?)?;
    let shift = i32::try_from(SCALE).ok()? + tens + exponent - i32::try_from(fraction.len()).ok()?;
    for _ in 0..shift.max(0) {
        amount = amount.checked_mul(10)?;
    }
    for _ in shift.min(0)..0 {
        // What is smaller than a billionth is rounded up, as the API server does.
        amount = amount / 10 + i128::from(amount % 10 != 0);
    }
    Some(if negative { -amount } else { amount })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn one_amount_has_many_spellings() {
        for (one, other) in [
            (json!("1000m"), json!("1")),
            (json!("0.5"), json!("500m")),
            (json!(0.5), json!("500m")),
            (json!(2), json!("2")),
            (json!("1024Mi"), json!("1Gi")),
            (json!("1e3"), json!("1k")),
            (json!("1E3"), json!("1000")),
            (json!("1E"), json!("1000P")),
            (json!("0"), json!("0m")),
            (json!("1.5Gi"), json!("1536Mi")),
            (json!(".5"), json!("0.5")),
            (json!("-1"), json!("-1000m")),
        ] {
            assert!(equal(&one, &other), "{one} {other}");
        }
        for (one, other) in
            [(json!("1G"), json!("1Gi")), (json!("1m"), json!("1M")), (json!("x"), json!("x")), (json!(""), json!("0"))]
        {
            assert!(!equal(&one, &other), "{one} {other}");
        }
    }
}
