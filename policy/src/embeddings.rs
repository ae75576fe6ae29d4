//! A table of vectors, one row per item or per code.

/// `[rows, width]` values, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Embeddings {
    width: usize,
    values: Vec<f32>,
}

impl Embeddings {
    /// A table of rows of `width` values.
    ///
    /// # Panics
    /// If `width` is zero or does not divide the number of values.
    pub fn new(width: usize, values: Vec<f32>) -> Self {
        assert!(
            width > 0 && values.len().is_multiple_of(width),
            "{} values are not rows of {width}",
            values.len()
        );
        Self { width, values }
    }
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.values.len() / self.width
    }
    /// Values per row.
    pub fn width(&self) -> usize {
        self.width
    }
    /// One row.
    pub fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.width..][..self.width]
    }
    /// All values, row-major.
    pub fn values(&self) -> &[f32] {
        &self.values
    }
    /// All values, row-major, for in-place changes.
    pub fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }
}
