//! A writer for the XML answers of the Query protocol. It escapes; it does not read.

use std::fmt::Display;

/// XML that is being written.
#[derive(Debug, Default)]
pub(super) struct Xml(String);

impl Xml {
    /// Writes what `body` writes and returns it.
    pub(super) fn build(body: impl FnOnce(&mut Self)) -> Self {
        let mut xml = Self::default();
        body(&mut xml);
        xml
    }

    /// Writes an element that holds text.
    pub(super) fn text(&mut self, tag: &str, value: impl Display) {
        self.open(tag);
        for character in value.to_string().chars() {
            match character {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\r' => self.0.push_str("&#xD;"),
                other => self.0.push(other),
            }
        }
        self.close(tag);
    }

    /// Writes an element that holds text, if there is any.
    pub(super) fn optional(&mut self, tag: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.text(tag, value);
        }
    }

    /// Writes an element that holds elements.
    pub(super) fn node(&mut self, tag: &str, body: impl FnOnce(&mut Self)) {
        self.open(tag);
        body(self);
        self.close(tag);
    }

    /// Writes a list: one `member` an item.
    pub(super) fn members<T>(&mut self, tag: &str, items: impl IntoIterator<Item = T>, body: impl Fn(&mut Self, T)) {
        self.node(tag, |xml| {
            for item in items {
                xml.node("member", |xml| body(xml, item));
            }
        });
    }

    /// Writes a list of strings.
    pub(super) fn strings<T: Display>(&mut self, tag: &str, items: impl IntoIterator<Item = T>) {
        self.node(tag, |xml| {
            for item in items {
                xml.text("member", item);
            }
        });
    }

    pub(super) fn into_string(self) -> String {
        self.0
    }

    fn open(&mut self, tag: &str) {
        self.0.push('<');
        self.0.push_str(tag);
        self.0.push('>');
    }

    fn close(&mut self, tag: &str) {
        self.0.push_str("</");
        self.0.push_str(tag);
        self.0.push('>');
    }
}
