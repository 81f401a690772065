//! The order of the steps. Pure: checks that every need exists and that there is no cycle, and sorts.

use std::collections::{BTreeMap, BTreeSet};

use crate::plan::StepId;

/// Why a set of steps has no order. Steps are built in, so this is a defect of the program, caught by tests.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// Two steps have one id.
    #[error("step `{0}` is listed twice")]
    Twice(StepId),
    /// A step needs one that is not there.
    #[error("step `{step}` needs `{missing}`, which is not there")]
    Missing {
        /// The step.
        step: StepId,
        /// What it needs.
        missing: StepId,
    },
    /// Steps wait for each other.
    #[error("steps wait for each other: {}", .0.iter().map(StepId::as_str).collect::<Vec<_>>().join(", "))]
    Cycle(Vec<StepId>),
}

/// Sorts `(id, needs)` so that every step comes after its needs; otherwise the given order is kept.
///
/// # Errors
/// A double id, a need that is not there, or a cycle.
pub fn sort(steps: &[(StepId, Vec<StepId>)]) -> Result<Vec<usize>, GraphError> {
    let mut places = BTreeMap::new();
    for (place, (id, _)) in steps.iter().enumerate() {
        if places.insert(id, place).is_some() {
            return Err(GraphError::Twice(id.clone()));
        }
    }
    for (step, needs) in steps {
        if let Some(missing) = needs.iter().find(|need| !places.contains_key(need)) {
            return Err(GraphError::Missing { step: step.clone(), missing: missing.clone() });
        }
    }
    let mut order = Vec::with_capacity(steps.len());
    let mut done = BTreeSet::new();
    while order.len() < steps.len() {
        let ready =
            steps.iter().position(|(id, needs)| !done.contains(id) && needs.iter().all(|need| done.contains(need)));
        let Some(place) = ready else {
            let left = steps.iter().map(|(id, _)| id.clone()).filter(|id| !done.contains(id)).collect();
            return Err(GraphError::Cycle(left));
        };
        done.insert(steps[place].0.clone());
        order.push(place);
    }
    Ok(order)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(list: &[(&'static str, &[&'static str])]) -> Vec<(StepId, Vec<StepId>)> {
        list.iter().map(|(id, needs)| (StepId::new(id), needs.iter().map(|need| StepId::new(need)).collect())).collect()
    }

    #[test]
    fn needs_come_first_whatever_the_given_order() {
        assert_eq!(sort(&steps(&[("a", &[]), ("b", &["a"]), ("c", &["a", "b"])])), Ok(vec![0, 1, 2]));
        assert_eq!(sort(&steps(&[("c", &["a", "b"]), ("b", &["a"]), ("a", &[])])), Ok(vec![2, 1, 0]));
        assert_eq!(sort(&steps(&[("x", &[]), ("b", &["a"]), ("a", &[]), ("y", &[])])), Ok(vec![0, 2, 1, 3]));
    }

    #[test]
    fn defects_are_named() {
        let missing = GraphError::Missing { step: StepId::new("a"), missing: StepId::new("z") };
        assert_eq!(sort(&steps(&[("a", &["z"])])), Err(missing));
        assert_eq!(sort(&steps(&[("a", &[]), ("a", &[])])), Err(GraphError::Twice(StepId::new("a"))));
        let cycle = GraphError::Cycle(vec![StepId::new("a"), StepId::new("b")]);
        assert_eq!(sort(&steps(&[("c", &[]), ("a", &["b"]), ("b", &["a"])])), Err(cycle));
    }
}
