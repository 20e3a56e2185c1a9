//! The body with which Prometheus' HTTP API answers a query, written and read.

use super::answer::{Answer, Histogram, Metric, Point, Sample, Series, Value};
use super::{number, times};
use serde_json::Value as Json;
use std::io::{self, Write};

pub(super) fn write(answer: &Answer, out: &mut impl Write) -> io::Result<()> {
    let (kind, result) = match &answer.value {
        Value::Scalar(time_ms, value) => ("scalar", pair(*time_ms, &text(&number::plain(*value)))),
        Value::Text(time_ms, value) => ("string", pair(*time_ms, &text(value))),
        Value::Vector(samples) => ("vector", list(samples.iter().map(sample))),
        Value::Matrix(rows) => ("matrix", list(rows.iter().map(series))),
    };
    write!(
        out,
        "{{\"status\":\"success\",\"data\":{{\"resultType\":\"{kind}\",\"result\":{result}}}"
    )?;
    for (name, texts) in [("warnings", &answer.warnings), ("infos", &answer.infos)] {
        if !texts.is_empty() {
            write!(out, ",\"{name}\":{}", list(texts.iter().map(|each| text(each))))?;
        }
    }
    writeln!(out, "}}")
}

fn list(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    format!("[{}]", items.join(","))
}

fn text(text: &str) -> String {
    Json::from(text).to_string()
}

fn pair(time_ms: i64, value: &str) -> String {
    let sign = if time_ms < 0 { "-" } else { "" };
    let ms = time_ms.unsigned_abs();
    let fraction = match ms % 1000 {
        0 => String::new(),
        fraction => format!(".{fraction:03}"),
    };
    format!("[{sign}{}{fraction},{value}]", ms / 1000)
}

fn metric(metric: &Metric) -> String {
    let labels = metric.0.iter();
    let labels: Vec<String> = labels
        .map(|(name, value)| format!("{}:{}", text(name), text(value)))
        .collect();
    format!("{{{}}}", labels.join(","))
}

/// Which field the points of a kind are in, and the point.
fn point(time_ms: i64, point: &Point) -> String {
    match point {
        Point::Float(value) => pair(time_ms, &text(&number::plain(*value))),
        Point::Histogram(value) => pair(time_ms, &histogram(value)),
    }
}

fn histogram(value: &Histogram) -> String {
    let quoted = |x: f64| text(&number::plain(x));
    let buckets = value.buckets.iter().map(|(edges, lower, upper, count)| {
        let [lower, upper, count] = [*lower, *upper, *count].map(quoted);
        format!("[{edges},{lower},{upper},{count}]")
    });
    let buckets = match value.buckets.is_empty() {
        true => String::new(),
        false => format!(",\"buckets\":{}", list(buckets)),
    };
    let (count, sum) = (quoted(value.count), quoted(value.sum));
    format!("{{\"count\":{count},\"sum\":{sum}{buckets}}}")
}

fn sample(sample: &Sample) -> String {
    let field = match sample.point {
        Point::Float(_) => "value",
        Point::Histogram(_) => "histogram",
    };
    let point = point(sample.time_ms, &sample.point);
    format!("{{\"metric\":{},\"{field}\":{point}}}", metric(&sample.metric))
}

fn series(series: &Series) -> String {
    let mut out = format!("{{\"metric\":{}", metric(&series.metric));
    for (field, of_floats) in [("values", true), ("histograms", false)] {
        let is_of = |each: &&(i64, Point)| matches!(each.1, Point::Float(_)) == of_floats;
        let mut points = series.points.iter().filter(is_of).peekable();
        if points.peek().is_some() {
            let points = points.map(|(time_ms, value)| point(*time_ms, value));
            out += &format!(",\"{field}\":{}", list(points));
        }
    }
    out + "}"
}

/// Reads an answer; the inner error is what the server says is wrong with the query, the outer one that it is no answer.
pub(super) fn read(body: &[u8]) -> Result<Result<Answer, String>, String> {
    let body: Json = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let texts = |name: &str| -> Vec<String> {
        let texts = body[name].as_array().into_iter().flatten();
        texts
            .filter_map(|text| text.as_str().map(str::to_owned))
            .collect()
    };
    match body["status"].as_str() {
        Some("success") => {}
        Some("error") => {
            return Ok(Err(body["error"]
                .as_str()
                .unwrap_or("an error without a text")
                .to_owned()));
        }
        _ => return Err("it has no status".to_owned()),
    }
    let value = read_value(&body["data"]).ok_or("its data is not what it says it is")?;
    Ok(Ok(Answer {
        value,
        warnings: texts("warnings"),
        infos: texts("infos"),
    }))
}

fn read_value(data: &Json) -> Option<Value> {
    let result = &data["result"];
    Some(match data["resultType"].as_str()? {
        "scalar" => Value::Scalar(read_time(result)?, read_number(&result[1])?),
        "string" => Value::Text(read_time(result)?, result[1].as_str()?.to_owned()),
        "vector" => Value::Vector(
            result
                .as_array()?
                .iter()
                .map(read_sample)
                .collect::<Option<_>>()?,
        ),
        "matrix" => Value::Matrix(
            result
                .as_array()?
                .iter()
                .map(read_series)
                .collect::<Option<_>>()?,
        ),
        _ => return None,
    })
}

fn read_sample(sample: &Json) -> Option<Sample> {
    let point = match sample.get("value") {
        Some(pair) => read_float(pair)?,
        None => read_histogram(&sample["histogram"])?,
    };
    Some(Sample {
        metric: read_metric(&sample["metric"])?,
        time_ms: point.0,
        point: point.1,
    })
}

fn read_series(series: &Json) -> Option<Series> {
    let list = |name: &str| series[name].as_array().into_iter().flatten();
    let floats = list("values").map(read_float);
    let points = floats.chain(list("histograms").map(read_histogram));
    let points = points.collect::<Option<Vec<_>>>()?;
    Some(Series::new(read_metric(&series["metric"])?, points))
}

fn read_metric(metric: &Json) -> Option<Metric> {
    let label = |(name, value): (&String, &Json)| Some((name.clone(), value.as_str()?.to_owned()));
    let mut labels = metric
        .as_object()?
        .iter()
        .map(label)
        .collect::<Option<Vec<_>>>()?;
    labels.sort();
    Some(Metric(labels))
}

fn read_float(pair: &Json) -> Option<(i64, Point)> {
    Some((read_time(pair)?, Point::Float(read_number(&pair[1])?)))
}

fn read_histogram(pair: &Json) -> Option<(i64, Point)> {
    let histogram = &pair[1];
    let bucket = |bucket: &Json| {
        let edges = u8::try_from(bucket[0].as_u64()?).ok()?;
        let [lower, upper, count] = [1, 2, 3].map(|place| read_number(&bucket[place]));
        Some((edges, lower?, upper?, count?))
    };
    let buckets = histogram["buckets"].as_array().into_iter().flatten();
    let histogram = Histogram {
        count: read_number(&histogram["count"])?,
        sum: read_number(&histogram["sum"])?,
        buckets: buckets.map(bucket).collect::<Option<_>>()?,
    };
    Some((read_time(pair)?, Point::Histogram(histogram)))
}

fn read_time(pair: &Json) -> Option<i64> {
    let seconds = pair[0].as_f64()?;
    // What is beyond is no time of any server, and would not be one of milliseconds.
    (seconds.abs() <= times::SECONDS_MAX).then(|| (seconds * 1000.0).round() as i64)
}

fn read_number(number: &Json) -> Option<f64> {
    number.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Prometheus wrote is read and written the same again.
    #[test]
    fn bodies_are_read_and_written() {
        let bodies = [
            r#"{"status":"success","data":{"resultType":"scalar","result":[1700000000.050,"+Inf"]}}"#,
            r#"{"status":"success","data":{"resultType":"string","result":[-0.500,"a\"\n"]}}"#,
            r#"{"status":"success","data":{"resultType":"vector","result":[]},"warnings":["w"],"infos":["i","j"]}"#,
            r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"up","job":"api"},"value":[1,"1e+21"]},{"metric":{},"histogram":[1,{"count":"3","sum":"-0.5","buckets":[[3,"-0.001","0.001","1"],[0,"1","2","2"]]}]}]}}"#,
            r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"a":"b"},"values":[[1,"NaN"],[2,"0"]],"histograms":[[3,{"count":"0","sum":"0"}]]}]}}"#,
        ];
        for body in bodies {
            let answer = read(body.as_bytes()).expect("an answer").expect("no error");
            let mut out = Vec::new();
            write(&answer, &mut out).expect("a vector takes everything");
            assert_eq!(String::from_utf8_lossy(&out), format!("{body}\n"));
        }
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for body in [
            "",
            "<html>",
            "{}",
            r#"{"status":"success"}"#,
            r#"{"status":"success","data":{"resultType":"matrix","result":{}}}"#,
            r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{}}]}}"#,
            r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":1},"value":[1,"1"]}]}}"#,
            r#"{"status":"success","data":{"resultType":"scalar","result":[1,1]}}"#,
            r#"{"status":"success","data":{"resultType":"scalar","result":[1e300,"1"]}}"#,
        ] {
            assert!(read(body.as_bytes()).is_err(), "{body}");
        }
        let refused = read(br#"{"status":"error","errorType":"bad_data","error":"no"}"#);
        assert_eq!(refused, Ok(Err("no".to_owned())));
    }
}
