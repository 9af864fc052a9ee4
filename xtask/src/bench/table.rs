//! The figures as a table for people.

use super::record::Measured;

/// One line for each figure, columns aligned.
pub(crate) fn table(figures: &[Measured]) -> String {
    let mut rows = vec![["figure", "unit", "samples", "min", "median", "max", "limit"].map(str::to_owned)];
    rows.extend(figures.iter().map(row));
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: [usize; 7] = std::array::from_fn(width);
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            // Words to the left, numbers to the right.
            let cell =
                if matches!(column, 2..=5) { format!("{cell:>width$}") } else { format!("{cell:width$}") };
            line.push_str(&cell);
            line.push_str("  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn row(figure: &Measured) -> [String; 7] {
    let limit = figure.limit.as_ref().map(|limit| {
        let held = if limit.held { "held" } else { "BROKEN" };
        format!("{} <= {} {held}", limit.judged, limit.at_most)
    });
    let number = |value: f64| if figure.unit == "x" { format!("{value:.2}") } else { format!("{value:.1}") };
    [
        figure.name.to_owned(),
        figure.unit.to_owned(),
        figure.samples.len().to_string(),
        number(figure.summary.min),
        number(figure.summary.median),
        number(figure.summary.max),
        limit.unwrap_or_default(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::record::Record;

    #[test]
    fn columns_are_aligned_and_broken_limits_stand_out() {
        let mut record = Record::default();
        record.add("boot.ready", 1, 33.04).unwrap();
        record.add("boot.ratio", 1, 1.456).unwrap();
        record.add("boot.cpu", 1, 0.25).unwrap();
        let expected = "\
figure      unit  samples   min  median   max  limit
boot.ready  s           1  33.0    33.0  33.0  median <= 40 held
boot.ratio  x           1  1.46    1.46  1.46  median <= 1.2 BROKEN
boot.cpu    s           1   0.2     0.2   0.2
";
        assert_eq!(table(&record.results()), expected);
    }
}
