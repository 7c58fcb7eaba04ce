//! Tables for people.

use crate::failure::Failure;
use crate::output::{Output, safe};

/// What stands between two columns.
const GAP: &str = "  ";

/// A column of a table.
pub(crate) struct Column {
    title: &'static str,
    is_right: bool,
}

/// A column of words.
pub(crate) const fn left(title: &'static str) -> Column {
    Column { title, is_right: false }
}

/// A column of numbers.
pub(crate) const fn right(title: &'static str) -> Column {
    Column { title, is_right: true }
}

/// A table. A column in which nothing stands is left out.
pub(crate) struct Table {
    columns: &'static [Column],
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) const fn new(columns: &'static [Column]) -> Self {
        Self { columns, rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells.iter().map(|cell| safe(cell, "")).collect());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(crate) fn print(&self, out: &mut Output) -> Result<(), Failure> {
        let widths: Vec<usize> = (0..self.columns.len()).map(|number| self.width(number)).collect();
        let titles: Vec<&str> = self.columns.iter().map(|column| column.title).collect();
        out.heading(&self.line(&titles, &widths))?;
        for row in &self.rows {
            let cells: Vec<&str> = row.iter().map(String::as_str).collect();
            out.line(&self.line(&cells, &widths))?;
        }
        Ok(())
    }

    /// How wide a column is: not at all where nothing stands in it.
    fn width(&self, number: usize) -> usize {
        let widest =
            self.rows.iter().filter_map(|row| row.get(number)).map(|cell| cell.chars().count()).max();
        match (widest.unwrap_or(0), self.columns.get(number)) {
            (0, _) | (_, None) => 0,
            (widest, Some(column)) => widest.max(column.title.chars().count()),
        }
    }

    fn line(&self, cells: &[&str], widths: &[usize]) -> String {
        let shown = self.columns.iter().zip(cells).zip(widths).filter(|(_, width)| **width > 0);
        let padded = shown.map(|((column, cell), width)| {
            let (width, cell) = (*width, *cell);
            if column.is_right { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        padded.collect::<Vec<_>>().join(GAP).trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_what_stands_in_them_and_left_out_where_nothing_does() {
        const COLUMNS: [Column; 3] = [right("No"), left("Nothing"), left("Name")];
        let mut table = Table::new(&COLUMNS);
        table.row(vec!["7".to_owned(), String::new(), "a\u{1b}[m".to_owned()]);
        table.row(vec!["1003".to_owned(), String::new(), "b".to_owned()]);
        let widths: Vec<usize> = (0..3).map(|number| table.width(number)).collect();
        assert_eq!(widths, [4, 0, 9]);
        assert_eq!(table.line(&["No", "Nothing", "Name"], &widths), "  No  Name");
        assert_eq!(table.line(&["1003", "", "b"], &widths), "1003  b");
    }
}
