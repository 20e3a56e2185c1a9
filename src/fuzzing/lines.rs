//! Lines of other systems' formats: the first byte says of which, the second where the text is cut in two.

use crate::doors::csv::{ColumnMap, Csv};
use crate::doors::graphite::Graphite;
use crate::doors::influx::Influx;
use crate::doors::json_lines::JsonLines;
use crate::doors::prometheus::Prometheus;
use crate::doors::{self, Fault, Reader, Sink};
use crate::model::labels::{Labels, LabelsRef};
use crate::model::metadata::MetadataRef;

/// What was read, in short.
#[derive(Debug, Default, PartialEq)]
struct Read {
    lines: usize,
    faults: usize,
    others: usize,
    samples: Vec<(Vec<u8>, Option<i64>, u64)>,
}

impl Sink for Read {
    fn line(&mut self) {
        self.lines += 1;
    }

    fn sample(&mut self, labels: LabelsRef<'_>, time_ms: Option<i64>, value: f64) {
        let labels = LabelsRef::check(labels.as_bytes()).expect("BUG: labels that are not canonical");
        self.samples
            .push((labels.as_bytes().to_vec(), time_ms, value.to_bits()));
    }

    fn exemplar(&mut self, _: LabelsRef<'_>, _: Labels, _: Option<i64>, _: f64) {
        self.others += 1;
    }

    fn metadata(&mut self, _: &str, _: MetadataRef<'_>) {
        self.others += 1;
    }

    fn left_out(&mut self) {
        self.others += 1;
    }

    fn refuse(&mut self, _: Fault) {
        self.faults += 1;
    }
}

fn reader(format: u8) -> Box<dyn Reader> {
    match format % 6 {
        0 => Box::new(JsonLines::new(Vec::new())),
        1 => Box::new(Prometheus::new(false, Vec::new())),
        2 => Box::new(Prometheus::new(true, Vec::new())),
        3 => Box::new(Influx::new(None, "db", Vec::new())),
        4 => {
            let map = ColumnMap::parse("1:label:a,2:metric:b,3:time:rfc3339");
            Box::new(Csv::new(map.expect("BUG: a map"), Vec::new()))
        }
        _ => Box::<Graphite>::default(),
    }
}

/// Lines, which say the same when they come in two pieces.
pub fn lines(bytes: &[u8]) {
    let [format, cut, text @ ..] = bytes else {
        return;
    };
    let mut whole = Read::default();
    doors::read(&mut *reader(*format), text, true, &mut whole);
    let (mut parted, mut reader) = (Read::default(), reader(*format));
    let (first, _) = text.split_at(usize::from(*cut).min(text.len()));
    let read = doors::read(&mut *reader, first, false, &mut parted);
    doors::read(
        &mut *reader,
        text.get(read..).unwrap_or_default(),
        true,
        &mut parted,
    );
    assert_eq!(whole, parted, "BUG: pieces say something else");
}

/// Lines of each format.
pub(super) fn texts() -> Vec<Vec<u8>> {
    let texts = [
        "{\"metric\":{\"__name__\":\"x\",\"a\":\"\\u00fc\"},\"values\":[1.5,null],\"timestamps\":[1,2],\"nan_bits\":{\"7ff0000000000002\":[1]}}\n",
        "# HELP up Whether.\n# TYPE up gauge\nup{job=\"a\\n\"} 1 1700000000000\n{\"a.b\",\"x y\"=\"z\"} +Inf\n",
        "# UNIT wait seconds\nwait_bucket{le=\"1.0\"} 7 1700000000.5 # {id=\"x\"} 0.5 1699999999\n# EOF\n",
        "cpu,host=a\\ b usage=0.5,idle=99i,text=\"a\\\" \n,b\",up=t 1700000000000000000\n# no line\ncpu v=1\n",
        "head,b,c\n\"x,\"\"\ny\",1.5,2023-11-14T22:13:20Z\nz,,2023-11-14T22:13:20Z\n",
        "a.b;dc=eu 1.5 1700000000\nc nan -1\n",
    ];
    let with_format = |(format, text): (usize, &str)| [&[format as u8, 40], text.as_bytes()].concat();
    texts.into_iter().enumerate().map(with_format).collect()
}
