//! The pictures of a report: lines over the time of the run, as SVG.

use super::Report;
use crate::run::sample::Sample;
use plotters::prelude::*;

/// Width and height of one.
const SIZE: (u32, u32) = (960, 240);
/// Colours that are told apart also by who sees few.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(213, 94, 0),
    RGBColor(86, 180, 233),
    RGBColor(110, 110, 110),
];

struct Line {
    name: String,
    points: Vec<(f64, f64)>,
}

/// All pictures that there is something to show in.
pub fn plots(report: &Report) -> Vec<String> {
    let samples = &report.samples;
    let line = |name: &str, points: Vec<(f64, f64)>| Line { name: name.to_owned(), points };
    let of =
        |field: &dyn Fn(&Sample) -> f64| samples.iter().map(|one| (one.at_s, field(one))).collect::<Vec<_>>();
    let names: Vec<String> = report.parts.iter().map(|part| part.name.clone()).collect();
    let by_part = |make: &dyn Fn(&str) -> Vec<(f64, f64)>| -> Vec<Line> {
        names.iter().map(|name| line(name, make(name))).collect()
    };
    let used = |name: &str, field: &dyn Fn(&super::super::run::sample::Used) -> f64| -> Vec<(f64, f64)> {
        samples.iter().map(|one| (one.at_s, one.parts.get(name).map_or(0.0, field))).collect()
    };
    // By the second it is not known which were.
    let waiting = match report.missed.values().any(|flows| *flows > 0) {
        true => "flows sent and not stored yet, those missed among them",
        false => "flows sent and not stored yet",
    };
    let pictures = [
        (
            "flows/s",
            vec![
                line("sent", slope(&of(&|one| one.sent as f64))),
                line("stored", slope(&of(&|one| one.stored as f64))),
            ],
        ),
        (waiting, vec![line("flows", of(&|one| one.sent.saturating_sub(one.stored) as f64))]),
        (
            "from packet to row, s",
            vec![
                line("p50", report.delays.iter().map(|(at, p50, _)| (*at, *p50)).collect()),
                line("p99", report.delays.iter().map(|(at, _, p99)| (*at, *p99)).collect()),
            ],
        ),
        ("cores used", by_part(&|name| slope(&used(name, &|one| one.cpu_s)))),
        ("memory, MB", by_part(&|name| used(name, &|one| one.memory as f64 / 1e6))),
    ];
    pictures.into_iter().filter_map(|(title, lines)| picture(title, &lines, report)).collect()
}

/// How steep a sum is, by the second.
fn slope(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let step = |pair: &[(f64, f64)]| {
        (pair[1].0, ((pair[1].1 - pair[0].1) / (pair[1].0 - pair[0].0).max(0.001)).max(0.0))
    };
    points.windows(2).map(step).collect()
}

fn picture(title: &str, lines: &[Line], report: &Report) -> Option<String> {
    let points = || lines.iter().flat_map(|line| &line.points);
    let (end, top) = points().fold((0.0_f64, 0.0_f64), |(end, top), (x, y)| (end.max(*x), top.max(*y)));
    if end <= 0.0 || top <= 0.0 {
        return None;
    }
    let mut svg = String::new();
    // What can fail is writing, and a string takes everything.
    draw(&mut svg, title, lines, report, (end, top * 1.05)).ok()?;
    Some(svg)
}

type Drawn = Result<(), Box<dyn std::error::Error>>;

fn draw(svg: &mut String, title: &str, lines: &[Line], report: &Report, (end, top): (f64, f64)) -> Drawn {
    let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 15))
        .margin(8)
        .x_label_area_size(24)
        .y_label_area_size(64)
        .build_cartesian_2d(0.0..end, 0.0..top)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(RGBColor(225, 228, 232))
        .x_labels(12)
        .y_labels(5)
        .x_label_formatter(&|s| format!("{s:.0} s"))
        .y_label_formatter(&|y| {
            if *y >= 10_000.0 { format!("{:.0} k", y / 1000.0) } else { format!("{y:.1}") }
        })
        .draw()?;
    // What went wrong, when.
    for fault in &report.faults {
        chart.draw_series(LineSeries::new(
            [(fault.at_s, 0.0), (fault.at_s, top)],
            RGBColor(213, 94, 0).mix(0.35),
        ))?;
    }
    for (line, colour) in lines.iter().zip(COLOURS.iter().cycle()) {
        chart
            .draw_series(LineSeries::new(line.points.iter().copied(), colour.stroke_width(2)))?
            .label(&line.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 14, y)], colour.stroke_width(2)));
    }
    if lines.len() > 1 {
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .background_style(WHITE.mix(0.8))
            .draw()?;
    }
    area.present()?;
    Ok(())
}
