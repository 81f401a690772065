//! Inline policies of roles.

use super::names::check_name;
use super::role::find;
use super::{encoded, page_of, write_mark};
use crate::sandbox::aws::document::{INLINE_LIMIT, check_identity, counted};
use crate::sandbox::aws::error::{ApiError, Result};
use crate::sandbox::aws::form::Form;
use crate::sandbox::aws::world::World;
use crate::sandbox::aws::xml::Xml;

pub(super) fn put(world: &mut World, form: &Form) -> Result<Option<Xml>> {
    let name = check_name(form.required("PolicyName")?, "policyName", 128)?;
    let document = form.required("PolicyDocument")?;
    check_identity(document, world.partition.name)?;
    let role = find(world, form)?;
    let others = role.inline.iter().filter(|(other, _)| *other != name).map(|(_, document)| counted(document));
    if others.sum::<usize>() + counted(document) > INLINE_LIMIT {
        let text = format!("Maximum policy size of {INLINE_LIMIT} bytes exceeded for role {}", role.name);
        return Err(ApiError::limit_exceeded(text));
    }
    role.inline.insert(name.to_owned(), document.to_owned());
    Ok(None)
}

fn missing(name: &str) -> ApiError {
    ApiError::no_such_entity(format!("The role policy with name {name} cannot be found."))
}

pub(super) fn get(world: &mut World, form: &Form) -> Result<Xml> {
    let name = form.required("PolicyName")?;
    let role = find(world, form)?;
    let document = role.inline.get(name).ok_or_else(|| missing(name))?;
    Ok(Xml::build(|xml| {
        xml.text("RoleName", &role.name);
        xml.text("PolicyName", name);
        xml.text("PolicyDocument", encoded(document));
    }))
}

pub(super) fn delete(world: &mut World, form: &Form) -> Result<Option<Xml>> {
    let name = form.required("PolicyName")?;
    find(world, form)?.inline.remove(name).ok_or_else(|| missing(name))?;
    Ok(None)
}

pub(super) fn list(world: &mut World, form: &Form) -> Result<Xml> {
    let names: Vec<_> = find(world, form)?.inline.keys().cloned().collect();
    let page = page_of(world, form, names.into_iter().map(|name| (name.clone(), name)).collect())?;
    Ok(Xml::build(|xml| {
        xml.strings("PolicyNames", page.items);
        write_mark(xml, page.next.as_ref());
    }))
}
