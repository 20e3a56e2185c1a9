//! Curves over time as one small SVG: panels one above the other, kills as lines through all of them.

use super::watch::{MIB, Watch};
use std::fmt::Write;

const WIDTH: f64 = 900.0;
const PANEL: f64 = 130.0;
const GAP: f64 = 34.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
/// More points than this are drawn as the largest of their neighbours.
const POINTS_MAX: usize = 800;

/// One curve.
struct Panel {
    title: &'static str,
    color: &'static str,
    /// Seconds and value.
    points: Vec<(f64, f64)>,
}

/// The curves of RssAnon, disk, segments and throughput.
pub fn draw(watch: &Watch) -> String {
    let curve = |of: fn(&super::watch::Look) -> f64| {
        let points = watch.looks.iter().map(|look| (look.at_s, of(look)));
        points.collect::<Vec<_>>()
    };
    let panels = [
        Panel {
            title: "RssAnon of the server, MiB",
            color: "#b3261e",
            points: curve(|look| look.anon as f64 / MIB),
        },
        Panel {
            title: "Disk, MiB",
            color: "#1a5fb4",
            points: curve(|look| look.disk as f64 / MIB),
        },
        Panel {
            title: "Segments",
            color: "#26723a",
            points: curve(|look| look.segments as f64),
        },
        Panel {
            title: "Samples acknowledged, thousands a second",
            color: "#7a4a00",
            points: watch
                .throughput()
                .iter()
                .map(|(at, rate)| (*at, rate / 1e3))
                .collect(),
        },
    ];
    let end_s = watch.looks.last().map_or(1.0, |look| look.at_s).max(1e-3);
    let height = GAP + panels.len() as f64 * (PANEL + GAP);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>\n"
    );
    let x = |at_s: f64| LEFT + at_s / end_s * (WIDTH - LEFT - RIGHT);
    for (number, panel) in panels.iter().enumerate() {
        let top = GAP + number as f64 * (PANEL + GAP);
        draw_panel(&mut out, panel, top, &x);
        for kill in &watch.kills {
            let at = x(kill.at_s);
            let _ = writeln!(
                out,
                "<line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{top}\" y2=\"{}\" stroke=\"#999\" stroke-dasharray=\"3 3\"/>",
                top + PANEL
            );
        }
    }
    let step_s = nice(end_s / 8.0 / 60.0) * 60.0;
    for number in 0..=(end_s / step_s) as usize {
        let at_s = number as f64 * step_s;
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{:.0}\" text-anchor=\"middle\">{} min</text>",
            x(at_s),
            height - GAP + 16.0,
            short(at_s / 60.0)
        );
    }
    out.push_str("</svg>\n");
    out
}

fn draw_panel(out: &mut String, panel: &Panel, top: f64, x: &dyn Fn(f64) -> f64) {
    let most = panel.points.iter().map(|point| point.1).fold(0.0, f64::max);
    let step = nice(most / 3.0);
    let scale = (most / step).ceil().max(1.0) * step;
    let y = |value: f64| top + PANEL * (1.0 - value / scale);
    let _ = writeln!(
        out,
        "<text x=\"{LEFT}\" y=\"{}\" font-weight=\"bold\">{}</text>",
        top - 8.0,
        panel.title
    );
    for number in 0..=(scale / step).round() as usize {
        let value = number as f64 * step;
        let _ = writeln!(
            out,
            "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{:.1}\" y2=\"{:.1}\" stroke=\"#ddd\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            WIDTH - RIGHT,
            y(value),
            y(value),
            LEFT - 6.0,
            y(value) + 4.0,
            short(value)
        );
    }
    let mut line = String::new();
    for part in panel
        .points
        .chunks(panel.points.len().div_ceil(POINTS_MAX).max(1))
    {
        let largest = part.iter().max_by(|a, b| a.1.total_cmp(&b.1));
        if let Some((at_s, value)) = largest {
            let _ = write!(line, "{:.1},{:.1} ", x(*at_s), y(*value));
        }
    }
    let _ = writeln!(
        out,
        "<polyline fill=\"none\" stroke=\"{}\" stroke-width=\"1.5\" points=\"{}\"/>",
        panel.color,
        line.trim_end()
    );
}

/// The next round number: 1, 2 or 5 times a power of ten.
fn nice(value: f64) -> f64 {
    let power = 10f64.powf(value.max(1e-6).log10().floor());
    let round = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .find(|round| round * power >= value * 0.999);
    round.unwrap_or(10.0) * power
}

fn short(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hour::watch::{Kill, Look};

    #[test]
    fn every_curve_and_kill_is_drawn_within_the_picture() {
        let look = |at: u64| Look {
            at_s: at as f64,
            anon: at << 20,
            disk: 3 << 20,
            segments: 4,
            samples: at * 1_000,
            ..Look::default()
        };
        let watch = Watch {
            looks: (0..2_000).map(look).collect(),
            kills: vec![Kill {
                at_s: 500.0,
                restart_ms: 9.0,
            }],
            ..Watch::default()
        };
        let svg = draw(&watch);
        assert_eq!(svg.matches("<polyline").count(), 4);
        assert_eq!(svg.matches("stroke-dasharray").count(), 4);
        assert!(svg.ends_with("</svg>\n") && !svg.contains("NaN") && svg.len() < 60_000);
        let points = svg
            .split("points=\"")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap());
        for (x, y) in points
            .flat_map(str::split_whitespace)
            .map(|pair| pair.split_once(',').unwrap())
        {
            let (x, y): (f64, f64) = (x.parse().unwrap(), y.parse().unwrap());
            assert!(
                (LEFT..=WIDTH).contains(&x) && (0.0..700.0).contains(&y),
                "{x} {y}"
            );
        }
    }

    #[test]
    fn steps_are_round() {
        assert_eq!([0.7, 1.0, 1.1, 3.0, 60.0].map(nice), [1.0, 1.0, 2.0, 5.0, 100.0]);
        assert_eq!([0.5, 20.0, 1.25].map(short), ["0.5", "20", "1.25"]);
    }
}
