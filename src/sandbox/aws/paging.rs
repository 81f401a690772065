//! Pages of lists. Every list of AWS may end before it is complete; callers that forget it see only the first page.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// One page and the mark of the next.
#[derive(Debug)]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    pub(super) next: Option<String>,
}

/// Cuts the page that begins after `mark` out of `items`, which stand in a stable order of unique keys.
///
/// A mark names the last key that was handed out, so that objects made or deleted meanwhile shift nothing. Returns `None` for a mark that
/// was never handed out.
pub(super) fn page<T>(items: Vec<(String, T)>, mark: Option<&str>, size: usize) -> Option<Page<T>> {
    let start = match mark {
        None => 0,
        Some(mark) => {
            let decoded = String::from_utf8(URL_SAFE_NO_PAD.decode(mark).ok()?).ok()?;
            let (index, key) = decoded.strip_prefix("page:")?.split_once(':')?;
            let index: usize = index.parse().ok()?;
            items.iter().position(|(candidate, _)| candidate == key).map_or(index, |found| found + 1)
        }
    };
    let total = items.len();
    let end = total.min(start.saturating_add(size));
    let next = (end < total).then(|| URL_SAFE_NO_PAD.encode(format!("page:{end}:{}", items[end - 1].0)));
    Some(Page { items: items.into_iter().take(end).skip(start).map(|(_, item)| item).collect(), next })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_cover_everything_once() {
        let items: Vec<_> = (0..7).map(|n| (format!("k{n}"), n)).collect();
        let mut seen = Vec::new();
        let mut mark = None;
        loop {
            let page = page(items.clone(), mark.as_deref(), 3).unwrap();
            seen.extend(page.items);
            mark = page.next;
            if mark.is_none() {
                break;
            }
        }
        assert_eq!(seen, [0, 1, 2, 3, 4, 5, 6]);
        assert!(page(items, Some("nonsense"), 3).is_none());
    }
}
