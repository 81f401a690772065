//! Ids and names are unique.

use super::*;

#[test]
fn ids_and_names_are_unique() {
    for (place, component) in ALL.iter().enumerate() {
        assert!(ALL[..place].iter().all(|other| other.short != component.short && other.name != component.name));
    }
    let mut names: Vec<_> = names().collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), ALL.len() + 1);
}
