//! The little XML of AWS Query answers: records of a list, and a text at a path. An answer that is not whole is no answer, since what
//! is missing in a list counts as gone. Pure.

use std::collections::BTreeMap;

use aws_smithy_xml::decode::{Document, ScopedDecoder, try_data};

/// The wanted fields of one record; a text is a list of one.
pub(super) type Record = BTreeMap<&'static str, Vec<String>>;

/// The text below the root at a path of element names.
pub(super) fn text(xml: &str, path: &[&str]) -> Option<String> {
    let mut document = Document::new(whole(xml)?);
    below(&mut document.root_element().ok()?, path)
}

fn below(parent: &mut ScopedDecoder<'_, '_>, path: &[&str]) -> Option<String> {
    let (first, rest) = path.split_first()?;
    while let Some(mut child) = parent.next_tag() {
        if child.start_el().local() == *first {
            return match rest {
                [] => content(&mut child),
                _ => below(&mut child, rest),
            };
        }
    }
    None
}

/// The records of a list of an answer, which stands in `<...Result>`: of each the wanted texts, and lists of texts. None where the
/// answer is not whole or has no such list.
pub(super) fn records(xml: &str, list: &str, texts: &[&'static str], lists: &[&'static str]) -> Option<Vec<Record>> {
    let mut document = Document::new(whole(xml)?);
    let mut root = document.root_element().ok()?;
    while let Some(mut result) = root.next_tag() {
        while let Some(mut found) = result.next_tag() {
            if found.start_el().local() == list {
                let mut records = Vec::new();
                while let Some(mut member) = found.next_tag() {
                    records.push(record(&mut member, texts, lists));
                }
                return Some(records);
            }
        }
    }
    None
}

fn record(member: &mut ScopedDecoder<'_, '_>, texts: &[&'static str], lists: &[&'static str]) -> Record {
    let mut record = Record::new();
    while let Some(mut field) = member.next_tag() {
        let name = field.start_el().local();
        if let Some(known) = texts.iter().find(|known| **known == name) {
            record.insert(*known, content(&mut field).into_iter().collect());
        } else if let Some(known) = lists.iter().find(|known| **known == name) {
            let mut all = Vec::new();
            while let Some(mut entry) = field.next_tag() {
                all.extend(content(&mut entry));
            }
            record.insert(*known, all);
        }
    }
    record
}

fn content(element: &mut ScopedDecoder<'_, '_>) -> Option<String> {
    try_data(element).ok().map(std::borrow::Cow::into_owned)
}

/// The document, if all of it is there.
fn whole(xml: &str) -> Option<&str> {
    let mut document = Document::new(xml);
    let root = document.root_element().ok()?.start_el().local().to_owned();
    let readable = Document::new(xml).all(|token| token.is_ok());
    (readable && xml.trim_end().ends_with(&format!("</{root}>"))).then_some(xml)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = "<?xml version=\"1.0\"?>\n<R xmlns=\"urn:x\">\n <RResult>\n  <Groups>\n   <member>\n    <Arn>a&amp;b</Arn>\n    \
        <Of><member>one</member><member>two</member></Of><State><Arn>no</Arn></State>\n   </member>\n   \
        <member><Arn>c</Arn><Of/></member>\n  </Groups>\n </RResult>\n</R>\n";

    #[test]
    fn records_hold_texts_and_lists_and_nothing_deeper() {
        let found = records(ANSWER, "Groups", &["Arn"], &["Of"]).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(
            (&found[0]["Arn"][..], &found[0]["Of"][..]),
            (&["a&b".to_owned()][..], &["one".to_owned(), "two".to_owned()][..])
        );
        assert_eq!((found[1]["Arn"][0].as_str(), found[1]["Of"].len()), ("c", 0));
        assert_eq!(records("<R><RResult><Groups/></RResult></R>", "Groups", &["Arn"], &[]), Some(Vec::new()));
    }

    #[test]
    fn what_is_not_whole_is_no_answer() {
        for (place, _) in ANSWER.trim_end().char_indices().skip(1) {
            assert_eq!(records(&ANSWER[..place], "Groups", &["Arn"], &["Of"]), None, "cut at {place}");
        }
        for other in ["", "plain text", "<html><body>busy</body></html>", "{\"a\": 1}", "<R><RResult></R>"] {
            assert_eq!(records(other, "Groups", &["Arn"], &[]), None, "{other}");
        }
    }

    #[test]
    fn a_text_stands_at_a_path() {
        let error = "<ErrorResponse><Error><Type>Sender</Type><Code>LoadBalancerNotFound</Code></Error><RequestId>id</RequestId></ErrorResponse>";
        assert_eq!(text(error, &["Error", "Code"]).as_deref(), Some("LoadBalancerNotFound"));
        assert_eq!(text(error, &["RequestId"]).as_deref(), Some("id"));
        assert_eq!(text(error, &["Error", "Message"]), None);
    }
}
