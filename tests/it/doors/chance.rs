//! Random lines of three formats, which VictoriaMetrics and narthex must take for the same.

use crate::random::Random;

pub(super) const LINES: usize = 300;

fn text(random: &mut Random, letters: &[&str], most: usize) -> String {
    let count = random.below(most + 1);
    (0..count).map(|_| random.pick(letters)).collect()
}

/// Line protocol: names with everything that has a meaning and is escaped, all kinds of values, times in all units.
pub(super) fn influx(random: &mut Random) -> String {
    const LETTERS: &[&str] = &[
        "a", "b", "\u{e9}", "\\ ", "\\,", "\\=", "\\\\", "\\n", "_", ".", "-", "#",
    ];
    const VALUES: &[&str] = &[
        "1", "2.5", "-3e4", ".5", "7i", "8u", "t", "f", "true", "False", "-1i", "1e-9", "inf", "-Inf", "0.1",
    ];
    const TIMES: &[&str] = &[
        "1700000005",
        "1700000000000",
        "1700000000000000",
        "1700000000000000000",
    ];
    let line = |number| {
        let mut line = format!("m{number}{}", text(random, LETTERS, 2));
        for tag in 0..random.below(3) {
            let (name, value) = (text(random, LETTERS, 2), text(random, LETTERS, 3));
            line += &format!(",t{tag}{name}=v{value}");
        }
        for field in 0..=random.below(3) {
            let (name, value) = (text(random, LETTERS, 2), random.pick(VALUES));
            let gap = if field == 0 { ' ' } else { ',' };
            line += &format!("{gap}f{field}{name}={value}");
        }
        format!("{line} {}\n", random.pick(TIMES))
    };
    (0..LINES).map(line).collect()
}

/// Prometheus' text: blanks wherever they may stand, and texts that need escapes.
pub(super) fn prometheus(random: &mut Random) -> String {
    const LETTERS: &[&str] = &["a", "\u{e9}", "\\\"", "\\\\", "\\n", ",", " ", "{", "}", "=", "#"];
    const VALUES: &[&str] = &["1", "2.5", "-3e4", "+Inf", "-Inf", "1e-9", "0.1"];
    let line = |number| {
        let blank = |random: &mut Random| random.pick(&["", " "]);
        let labels: Vec<String> = (0..random.below(4))
            .map(|label| {
                let (before, behind) = (blank(random), blank(random));
                format!("l{label}{before}={behind}\"{}\"", text(random, LETTERS, 4))
            })
            .collect();
        let labels = match labels.is_empty() {
            true => random.pick(&["", "{}"]).to_owned(),
            false => format!("{{{}{}}}", labels.join(","), random.pick(&["", ","])),
        };
        let (gap, value) = (random.pick(&[" ", "\t", "  "]), random.pick(VALUES));
        let time = random.pick(&["1700000000000", "1700000000.5"]);
        format!("p{number}{labels}{gap}{value} {time}\n")
    };
    (0..LINES).map(line).collect()
}

/// CSV for the map `1:label:l,2:metric:c,4:time:unix_ms`, with a time of its own for each line.
pub(super) fn csv(random: &mut Random) -> String {
    const LETTERS: &[&str] = &["a", "b", "\u{e9}", " ", ".", "-"];
    let line = |number| {
        let mut cell = text(random, LETTERS, 3);
        if random.once_in(3) {
            cell = format!("\"{cell}{}\"", random.pick(&[",", "\"\"", ""]));
        }
        let value = random.pick(&["1", "2.5", "-3e4", ""]);
        format!("{cell},{value},x,{}\n", 1_700_000_000_000 + number as i64 * 1000)
    };
    (0..LINES).map(line).collect()
}
