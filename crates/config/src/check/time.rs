//! The times SLURM reads in `MaxTime`.

/// Minutes, `MM:SS`, `HH:MM:SS`, `D-HH`, `D-HH:MM`, `D-HH:MM:SS`, `INFINITE` or `UNLIMITED`.
pub(crate) fn is_slurm_time(text: &str) -> bool {
    if text.eq_ignore_ascii_case("INFINITE") || text.eq_ignore_ascii_case("UNLIMITED") {
        return true;
    }
    let (days, rest) = match text.split_once('-') {
        Some((days, rest)) => (Some(days), rest),
        None => (None, text),
    };
    let parts: Vec<_> = rest.split(':').collect();
    // SLURM itself takes any number; the lengths keep out what no one means.
    let number = |part: &str| (1..=6).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    (1..=3).contains(&parts.len()) && parts.iter().all(|part| number(part)) && days.is_none_or(number)
}

#[cfg(test)]
mod tests {
    use super::is_slurm_time;

    #[test]
    fn every_notation_of_slurm_is_read_and_nothing_else() {
        for text in ["30", "30:00", "01:00:00", "1-0", "1-12:30", "7-00:00:00", "INFINITE", "unlimited"] {
            assert!(is_slurm_time(text), "{text}");
        }
        for text in ["", "1h", "1:00:00:00", "-1", "1-", "01:xx", "forever", " 30", "1-2-3"] {
            assert!(!is_slurm_time(text), "{text}");
        }
    }
}
