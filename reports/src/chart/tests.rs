use super::*;

fn figure() -> Figure {
    let line = |label: &str, slot: usize, level: f64| Series {
        label: label.into(),
        look: Look::Series(slot),
        points: (0..50).map(|step| (f64::from(step), level + f64::from(step) / 50.0)).collect(),
    };
    let estimate = |value: f64| Estimate { value, low: value - 0.1, high: value + 0.1 };
    Figure {
        name: "example",
        title: "A <figure> & its \"title\"".into(),
        caption: "Synthetic.".into(),
        legend: vec![("ipa, \"quoted\"".into(), Look::Series(0)), ("grpo".into(), Look::Series(1))],
        panels: vec![
            Panel {
                title: "kl (nats)".into(),
                description: "Two rising lines.".into(),
                plot: Plot::Curves(Curves {
                    x_label: "step".into(),
                    frame: Frame::Data,
                    series: vec![line("ipa, \"quoted\"", 0, 0.0), line("grpo", 1, 0.3)],
                }),
            },
            Panel {
                title: "judge/proxy (score)".into(),
                description: "Two intervals.".into(),
                plot: Plot::Intervals(vec![
                    Row { label: "popularity".into(), look: Look::Baseline, estimate: estimate(0.2) },
                    Row {
                        label: "a system with a very long name".into(),
                        look: Look::Series(0),
                        estimate: estimate(0.5),
                    },
                ]),
            },
        ],
    }
}

#[test]
fn panels_carry_classes_titles_and_no_fixed_colour() {
    for panel in panels(&figure()).unwrap() {
        assert!(
            panel.contains("role=\"img\"") && panel.contains("<title id=") && panel.contains("<desc id=")
        );
        assert!(!panel.contains("=\"#"), "a fixed colour survived: {panel}");
        assert!(panel.contains("class=\"s-") && panel.contains("class=\"f-"));
    }
}

#[test]
fn a_figure_file_is_escaped_balanced_and_styled_for_light_and_dark() {
    let svg = standalone(&figure()).unwrap();
    assert!(svg.contains("A &lt;figure&gt; &amp; its &quot;title&quot;"));
    assert!(svg.contains("prefers-color-scheme:dark"));
    assert_eq!(svg.matches("<g ").count(), svg.matches("</g>").count());
    assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
}

#[test]
fn every_class_drawn_has_a_colour() {
    let (svg, css) = (standalone(&figure()).unwrap(), css());
    for class in svg.split("class=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(class == "chart" || class == "paper" || css.contains(&format!(".{class}{{")), "{class}");
    }
}

#[test]
fn points_without_a_logarithm_are_left_out_of_the_picture() {
    let svg = |points: &[(f64, f64)]| {
        let series = Series { label: "a".into(), look: Look::Series(0), points: points.to_vec() };
        let curves =
            Curves { x_label: "items".into(), frame: Frame::Decades, series: vec![series.clone(), series] };
        let panel = Panel { title: "s".into(), description: String::new(), plot: Plot::Curves(curves) };
        standalone(&Figure { panels: vec![panel], ..figure() }).unwrap()
    };
    let placed = [(8.0, 0.5), (64.0, 3.0), (512.0, 20.0)];
    let text = svg(&placed);
    assert!(text.contains("\n100\n") && text.contains("\n10\n") && !text.contains("NaN"), "{text}");
    assert_eq!(svg(&[(0.0, 1.0), (16.0, 0.0), placed[0], placed[1], placed[2]]), text);
    assert!(!svg(&[]).contains("NaN"));
}

#[test]
fn csv_holds_exactly_the_plotted_numbers() {
    let mut curves = figure();
    let intervals = Figure { panels: curves.panels.split_off(1), ..curves.clone() };
    let csv = curves.csv();
    let mut lines = csv.lines();
    assert_eq!(lines.next(), Some("panel,series,x,y"));
    assert_eq!(lines.next(), Some("kl (nats),\"ipa, \"\"quoted\"\"\",0,0"));
    assert_eq!(lines.count(), 99);
    let rows = "popularity,0.2,0.1,0.30000000000000004\njudge/proxy (score),a system with a very long name,0.5,0.4,0.6";
    assert_eq!(intervals.csv(), format!("panel,system,value,low,high\njudge/proxy (score),{rows}\n"));
}

#[test]
fn long_names_are_shortened_in_the_picture_only() {
    assert!(panels(&figure()).unwrap()[1].contains("a system with …"));
}
