//! Figures: what is plotted (this file), how panels are drawn (`curves`, `intervals`), and how they become files.
//!
//! A figure is a row of small panels under one legend. The page lays the panels out itself, so that they stack on a
//! phone; [`standalone`] composes the same panels into one SVG file; [`Figure::csv`] holds exactly the plotted numbers.

mod axis;
mod compose;
mod csv;
mod curves;
mod graph;
mod intervals;
mod palette;
mod scale;
mod svg;

pub use compose::{panels, standalone};
pub use palette::{css, swatch};

use crate::schema::Estimate;

/// A figure: panels, a legend, words.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// File stem under `figures/`.
    pub name: &'static str,
    /// Heading.
    pub title: String,
    /// What is shown and how to read it.
    pub caption: String,
    /// Legend entries: name and look.
    pub legend: Vec<(String, Look)>,
    /// Panels in reading order; never empty.
    pub panels: Vec<Panel>,
}

/// One pair of axes.
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    /// What is on the value axis: metric key, and the unit in brackets.
    pub title: String,
    /// A sentence for readers who cannot see the picture.
    pub description: String,
    /// What is drawn.
    pub plot: Plot,
}

/// The kinds of plot.
#[derive(Clone, Debug, PartialEq)]
pub enum Plot {
    /// Lines over a common horizontal axis.
    Curves(Curves),
    /// One estimate with its interval per row.
    Intervals(Vec<Row>),
    /// What was made of what.
    Graph(Graph),
}

/// Named things, each made of earlier ones.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    /// Names, in the order they were made.
    pub nodes: Vec<String>,
    /// `(from, to)` by position in `nodes`, `from < to`.
    pub edges: Vec<(usize, usize)>,
}

/// Lines over a common horizontal axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Curves {
    /// Label of the horizontal axis, with its unit.
    pub x_label: String,
    /// Extent and guides.
    pub frame: Frame,
    /// The lines.
    pub series: Vec<Series>,
}

/// Extent of a panel's axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// As wide as the data; the horizontal axis counts.
    Data,
    /// As wide as the data; the horizontal axis is no count but a quantity.
    Continuous,
    /// As wide as the data, both axes logarithmic; what is not positive is not drawn.
    Decades,
    /// As wide as the data from zero up, the horizontal axis logarithmic.
    DecadesFromZero,
    /// As wide as the data, the horizontal axis alone logarithmic.
    DecadesAlong,
    /// The unit square with its diagonal (reliability diagrams).
    UnitSquare,
}

/// One line.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Name, as in the legend.
    pub label: String,
    /// Colour, dash pattern and marker.
    pub look: Look,
    /// `(x, y)` by ascending x.
    pub points: Vec<(f64, f64)>,
}

/// One estimate of an interval plot.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Name of the system.
    pub label: String,
    /// Colour and marker.
    pub look: Look,
    /// The estimate.
    pub estimate: Estimate,
}

/// Identity of a series: never told apart by colour alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// A baseline: grey.
    Baseline,
    /// The n-th of the coloured series; six looks before they repeat.
    Series(usize),
    /// One of several runs behind the n-th series: the same colour, thin.
    Thin(usize),
    /// The interval around the n-th series: its points go along the lower ends and back along the upper ones.
    Band(usize),
}

impl Figure {
    /// `figures/<name>.csv`.
    pub fn csv_path(&self) -> String {
        format!("figures/{}.csv", self.name)
    }

    /// `figures/<name>.svg`.
    pub fn svg_path(&self) -> String {
        format!("figures/{}.svg", self.name)
    }

    /// The plotted numbers, unrounded.
    pub fn csv(&self) -> String {
        csv::render(self)
    }
}

#[cfg(test)]
mod tests;
