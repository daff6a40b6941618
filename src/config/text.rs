//! Lines, and the key that was probably meant.

/// The line, from 1, of a byte offset.
pub(super) fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

/// A string as TOML writes it.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// Adds the nearest known key to serde's "unknown field `a`, expected one of `b`, `c`".
pub(super) fn with_suggestion(message: &str) -> String {
    if !message.starts_with("unknown field") {
        return message.to_owned();
    }
    let mut names = message.split('`').skip(1).step_by(2);
    let Some(unknown) = names.next() else { return message.to_owned() };
    match nearest(unknown, names) {
        Some(name) => format!("{message}; did you mean `{name}`?"),
        None => message.to_owned(),
    }
}

/// The key whose value begins at this offset: what stands before its equals sign.
pub(super) fn key_before(text: &str, offset: usize) -> Option<&str> {
    let before = text.get(..offset)?.lines().next_back()?;
    let key = before.trim_end().strip_suffix('=')?.trim_end();
    let is_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let key = key.rsplit(|c| !is_key(c)).next()?;
    (!key.is_empty()).then_some(key)
}

/// The known key that an unknown one was probably meant to be: at most two letters away.
#[must_use]
pub fn nearest<'n>(unknown: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let nearest = known.map(|name| (distance(unknown, name), name)).min();
    nearest.filter(|(distance, _)| *distance <= 2).map(|(_, name)| name)
}

/// Levenshtein distance: how many letters to insert, remove or replace.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut left = i + 1;
        let mut next = vec![left];
        for (b, pair) in to.chars().zip(row.windows(2)) {
            let &[diagonal, above] = pair else { break };
            left = (diagonal + usize::from(a != b)).min(above + 1).min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_letters_to_change() {
        assert_eq!(distance("listen", "listen"), 0);
        assert_eq!(distance("listn", "listen"), 1);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
    }

    #[test]
    fn suggests_the_nearest_key_and_nothing_far_away() {
        let near = with_suggestion("unknown field `listn`, expected one of `id`, `listen`");
        assert!(near.ends_with("did you mean `listen`?"), "{near}");
        let far = "unknown field `witness_dir`, expected one of `id`, `listen`";
        assert_eq!(with_suggestion(far), far);
    }

    #[test]
    fn finds_the_key_of_a_value() {
        let text = "[log]\nlevel = 3\n[[chain]]\nheight_jump = { most = -1 }\nid='a'";
        let key = |value: &str| key_before(text, text.find(value).unwrap());
        assert_eq!(key("3"), Some("level"));
        assert_eq!(key("-1"), Some("most"));
        assert_eq!(key("{ most"), Some("height_jump"));
        assert_eq!(key("'a'"), Some("id"));
        assert_eq!(key("[log]"), None);
        assert_eq!(key("most"), None);
        assert_eq!(key_before(text, 9999), None);
    }

    #[test]
    fn finds_the_line_of_an_offset() {
        assert_eq!(line_of("a\nb\nc", 0), 1);
        assert_eq!(line_of("a\nb\nc", 4), 3);
    }
}
