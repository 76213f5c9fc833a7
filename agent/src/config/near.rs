//! Near: the word that someone probably meant.

/// The candidate that is a slip or two away from what was written, if there is one.
pub(super) fn nearest<'a>(written: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let written = normal(written);
    // A short word is near to everything.
    let most = match written.len() {
        0..=3 => 1,
        4..=7 => 2,
        _ => 3,
    };
    let measured =
        candidates.into_iter().map(|candidate| (distance(&written, &normal(candidate)), candidate));
    measured
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, near)| near)
}

/// Words that differ in case and in the kind of dash are the same.
fn normal(word: &str) -> Vec<char> {
    // A word that is longer than any key is near to none: its distance need not be known.
    word.chars().take(64).map(|c| if c == '-' { '_' } else { c.to_ascii_lowercase() }).collect()
}

/// How many letters must be put in, taken out, changed or swapped with the next one.
fn distance(a: &[char], b: &[char]) -> usize {
    let width = b.len() + 1;
    // Rows of the table by Wagner and Fischer: two before, one before, this one.
    let (mut before, mut above, mut row) = (vec![0; width], (0..width).collect::<Vec<_>>(), vec![0; width]);
    for (i, &x) in a.iter().enumerate() {
        row[0] = i + 1;
        for (j, &y) in b.iter().enumerate() {
            let mut least = (above[j] + usize::from(x != y)).min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && x == b[j - 1] && a[i - 1] == y {
                least = least.min(before[j - 1] + 1);
            }
            row[j + 1] = least;
        }
        std::mem::swap(&mut before, &mut above);
        std::mem::swap(&mut above, &mut row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_other_words_are_not() {
        let keys = ["select", "sampler", "service_name", "exe", "pid"];
        for (written, near) in [
            ("selct", Some("select")),
            ("slect", Some("select")),
            ("selects", Some("select")),
            ("Sampler", Some("sampler")),
            ("samlper", Some("sampler")),
            ("service-name", Some("service_name")),
            ("serviceName", Some("service_name")),
            ("exec", Some("exe")),
            ("port", None),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(nearest(written, keys), near, "{written}");
        }
    }
}
