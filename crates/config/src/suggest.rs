//! The name that was probably meant.

/// The candidate that differs least from `word`, if that is little enough for a slip of the hand.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Longer than every key there is; comparing would only cost time.
    if word.len() > 64 {
        return None;
    }
    let allowed = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        // `compute-03` is not a slip for `compute-01`.
        .filter(|candidate| digits(word).eq(digits(candidate)))
        .map(|candidate| (strsim::damerau_levenshtein(&plain(word), &plain(candidate)), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn digits(word: &str) -> impl Iterator<Item = char> {
    word.chars().filter(char::is_ascii_digit)
}

/// `memoryMiB`, `memory-mib` and `memory_mib` are the same slip.
fn plain(word: &str) -> String {
    word.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn slips_are_recognised_and_other_words_are_not() {
        let keys = ["cpus", "memory_mib", "disk_gib", "name"];
        let rows = [
            ("cpu", Some("cpus")),
            ("memoryMiB", Some("memory_mib")),
            ("memory_mb", Some("memory_mib")),
            ("dsik_gib", Some("disk_gib")),
            ("nmae", Some("name")),
            ("partitions", None),
            ("name1", None),
            ("", None),
        ];
        for (word, expected) in rows {
            assert_eq!(nearest(word, keys), expected, "{word}");
        }
    }
}
