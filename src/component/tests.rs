//! Ids and names are unique.

use super::*;

#[test]
fn ids_and_names_are_unique() {
    for (place, component) in BUILT_IN.iter().enumerate() {
        assert!(BUILT_IN[..place].iter().all(|other| other.short != component.short && other.name != component.name));
    }
    assert!(BUILT_IN.iter().all(|component| component.name != GP3_STORAGE_CLASS && !component.is_custom()));
}
