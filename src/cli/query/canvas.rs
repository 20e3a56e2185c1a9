//! A canvas of dots in a terminal: a character holds two by four of them, as a Braille pattern.

/// Dots in a character.
pub(super) const DOTS_WIDE: usize = 2;
pub(super) const DOTS_HIGH: usize = 4;

/// The pattern without a dot.
const EMPTY: u32 = 0x2800;
/// The bit of each dot, by row and column.
const BITS: [[u8; DOTS_WIDE]; DOTS_HIGH] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];

#[derive(Debug)]
pub(super) struct Canvas {
    columns: usize,
    /// By row and column.
    cells: Vec<u8>,
}

/// A dot, from the left and from above.
pub(super) type Dot = (usize, usize);

impl Canvas {
    pub(super) fn new(columns: usize, rows: usize) -> Self {
        Self {
            columns,
            cells: vec![0; columns * rows],
        }
    }

    /// Sets a dot; what is outside is left out.
    pub(super) fn set(&mut self, (x, y): Dot) {
        let column = x / DOTS_WIDE;
        if column >= self.columns {
            return;
        }
        if let Some(cell) = self.cells.get_mut(y / DOTS_HIGH * self.columns + column) {
            *cell |= BITS[y % DOTS_HIGH][x % DOTS_WIDE];
        }
    }

    /// Sets the dots between two, these included: as many as the longer side has.
    pub(super) fn line(&mut self, from: Dot, to: Dot) {
        let steps = from.0.abs_diff(to.0).max(from.1.abs_diff(to.1)).max(1);
        let between = |a: usize, b: usize, step: usize| {
            let (a, b, step, steps) = (a as i64, b as i64, step as i64, steps as i64);
            let doubled = 2 * (b - a) * step + steps * (2 * a + 1);
            usize::try_from(doubled.div_euclid(2 * steps)).unwrap_or(0)
        };
        for step in 0..=steps {
            self.set((between(from.0, to.0, step), between(from.1, to.1, step)));
        }
    }

    /// The characters of each row.
    pub(super) fn rows(&self) -> impl Iterator<Item = String> {
        let character = |cell: &u8| match cell {
            0 => ' ',
            bits => char::from_u32(EMPTY + u32::from(*bits)).unwrap_or(' '),
        };
        self.cells
            .chunks(self.columns.max(1))
            .map(move |row| row.iter().map(character).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(lines: &[(Dot, Dot)]) -> Vec<String> {
        let mut canvas = Canvas::new(3, 2);
        for (from, to) in lines {
            canvas.line(*from, *to);
        }
        canvas.rows().collect()
    }

    #[test]
    fn lines_are_dots() {
        assert_eq!(drawn(&[]), ["   ", "   "]);
        assert_eq!(drawn(&[((0, 0), (5, 0))]), ["⠉⠉⠉", "   "]);
        assert_eq!(drawn(&[((0, 0), (0, 7))]), ["⡇  ", "⡇  "]);
        assert_eq!(drawn(&[((0, 7), (5, 2))]), ["  ⡠", "⡠⠊ "]);
        assert_eq!(drawn(&[((5, 2), (0, 7))]), ["  ⡠", "⡠⠊ "]);
        assert_eq!(drawn(&[((3, 3), (3, 3))]), [" ⢀ ", "   "]);
        assert_eq!(drawn(&[((5, 7), (9, 9))]), ["   ", "  ⢀"]);
    }
}
