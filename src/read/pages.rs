//! The pages of a list of AWS: read to the end, but not without end.

use crate::error::AwsError;

/// The most pages of one list. Ten thousand roles of an account are a hundred of them.
const MOST: usize = 1000;

/// Counts the pages of one list.
#[derive(Debug)]
pub(super) struct Pages {
    operation: &'static str,
    read: usize,
}

impl Pages {
    /// Of the list that an operation such as `iam:ListRoles` answers.
    pub(super) fn of(operation: &'static str) -> Pages {
        Pages { operation, read: 0 }
    }

    /// Passes on what the next page is asked with, after one was read.
    ///
    /// # Errors
    /// There are more pages than any list has: something on the way answers with the same one again and again.
    pub(super) fn next(&mut self, token: Option<String>) -> Result<Option<String>, AwsError> {
        self.read += 1;
        // A list that is cut off and names no next page begins anew, so that pages without a token count too.
        if self.read < MOST || (self.read == MOST && token.is_none()) {
            return Ok(token);
        }
        Err(AwsError::unusable(
            self.operation.to_owned(),
            format!("{MOST} pages were read and there are more: the list does not end"),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_an_end() {
        let after = |read| Pages { operation: "iam:ListRoles", read };
        let more = || Some("more".to_owned());
        assert_eq!(after(0).next(more()).unwrap(), more());
        assert_eq!(after(MOST - 2).next(more()).unwrap(), more());
        assert_eq!(after(MOST - 1).next(None).unwrap(), None, "the last one");
        let error = after(MOST - 1).next(more()).unwrap_err();
        assert_eq!(error.to_string(), "iam:ListRoles: 1000 pages were read and there are more: the list does not end");
        assert!(after(MOST).next(None).is_err(), "a list that begins anew");
    }
}
