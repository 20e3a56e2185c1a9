//! The search endpoints: lines of JSON.

use super::data::{BASE_MS, metadata_request, write, write_request};
use super::{FORM, ask, body, escaped, refusal};
use crate::http::served::Served;
use crate::peers::http;

/// A time in which all the data is.
const ALL: &str = "start=0&end=1800000000";
const DONE: &str = "{\"status\":\"success\",\"has_more\":false}\n";
const MORE: &str = "{\"status\":\"success\",\"has_more\":true}\n";

fn filled() -> Served {
    let served = Served::new("").ready();
    write(served.address.port(), &write_request(BASE_MS));
    write(served.address.port(), &metadata_request("Requests."));
    served
}

fn line(names: &[&str]) -> String {
    let names: Vec<String> = names
        .iter()
        .map(|name| format!("{{\"name\":\"{name}\"}}"))
        .collect();
    format!("{{\"results\":[{}]}}\n", names.join(","))
}

/// What is searched, the form, the names line by line, and whether there are more.
const NAMES: &[(&str, &str, &[&[&str]], bool)] = &[
    (
        "metric_names",
        "",
        &[&[
            "UPPER",
            "disk.usage",
            "ended",
            "latency",
            "odd",
            "requests_total",
            "up",
        ]],
        false,
    ),
    ("metric_names", "search[]=up", &[&["up"]], false),
    (
        "metric_names",
        "search[]=up&case_sensitive=false",
        &[&["UPPER", "up"]],
        false,
    ),
    ("metric_names", "search[]=rqtot", &[&["requests_total"]], false),
    ("metric_names", "search[]=rqtot&fuzz_threshold=90", &[&[]], false),
    ("metric_names", "search[]=nothing", &[&[]], false),
    (
        "metric_names",
        "match[]={job=\"web\"}&match[]={kind=\"nan\"}",
        &[&["disk.usage", "ended", "odd", "up"]],
        false,
    ),
    // d first, then in the middle, then late.
    (
        "metric_names",
        "search[]=d&sort_by=score",
        &[&["disk.usage", "odd", "ended"]],
        false,
    ),
    (
        "metric_names",
        "search[]=laetncy&fuzz_alg=jarowinkler&fuzz_threshold=80",
        &[&["latency"]],
        false,
    ),
    ("metric_names", "limit=2", &[&["UPPER", "disk.usage"]], true),
    (
        "metric_names",
        "limit=2&sort_by=alpha&sort_dir=dsc",
        &[&["up", "requests_total"]],
        true,
    ),
    (
        "metric_names",
        "limit=5&batch_size=2&search[]=e",
        &[&["disk.usage", "ended"], &["latency", "requests_total"]],
        false,
    ),
    ("metric_names", "limit=1&search[]=e", &[&["disk.usage"]], true),
    (
        "label_names",
        "search[]=i",
        &[&["instance", "kind", "mount point"]],
        false,
    ),
    ("label_values", "label=job&search[]=w", &[&["web"]], false),
    (
        "label_values",
        "label=code&match[]=requests_total",
        &[&["200", "500"]],
        false,
    ),
];

/// Forms with more than names in their answers, and the first lines of these.
const MORE_THAN_NAMES: &[(&str, &str)] = &[
    (
        "search[]=tency&search[]=odd&fuzz_alg=jarowinkler&include_score=true&sort_by=score",
        "{\"results\":[{\"name\":\"odd\",\"score\":1},{\"name\":\"latency\",\"score\":0.9}]}\n",
    ),
    (
        "search[]=requests&include_metadata=1",
        "{\"results\":[{\"name\":\"requests_total\",\"type\":\"counter\",\"help\":\"Requests.\"}]}\n",
    ),
];

#[test]
fn names_are_listed_searched_and_sorted() {
    let served = filled();
    let check = |kind: &str, form: &str, wanted: &str| {
        let (place, form) = (format!("/api/v1/search/{kind}"), format!("{ALL}&{form}"));
        let form = form.trim_end_matches('&');
        assert_eq!(body(&served, &place, form), wanted, "{kind} {form}");
        let (port, posted) = (served.address.port(), escaped(form));
        let posted = http::send(port, "POST", &place, FORM, posted.as_bytes());
        assert_eq!(posted.expect("an answer").text(), wanted, "{kind} {form}");
    };
    for (kind, form, names, has_more) in NAMES {
        let lines: String = names.iter().map(|names| line(names)).collect();
        check(kind, form, &(lines + if *has_more { MORE } else { DONE }));
    }
    for (form, first) in MORE_THAN_NAMES {
        check("metric_names", form, &format!("{first}{DONE}"));
    }
    let answer = ask(&served, "/api/v1/search/label_names", ALL);
    let kind = answer.header("content-type");
    assert_eq!(kind, Some("application/x-ndjson; charset=utf-8"));
}

#[test]
fn without_times_it_is_the_last_hour() {
    let served = filled();
    assert_eq!(body(&served, "/api/v1/search/metric_names", ""), line(&[]) + DONE);
}

#[test]
fn faults_are_json_before_the_first_line() {
    let served = filled();
    for (kind, form, fault) in [
        ("label_values", "", "missing required parameter \"label\""),
        (
            "label_names",
            "match[]={",
            "1:2: parse error: unexpected end of input inside braces",
        ),
        (
            "metric_names",
            "sort_by=frequency",
            "invalid sort_by \"frequency\" for metric_names: must be \"alpha\" or \"score\"",
        ),
        (
            "metric_names",
            "include_metadata=x",
            "invalid include_metadata \"x\": must be boolean",
        ),
        (
            "metric_names",
            "start=x",
            "invalid parameter \"start\": invalid time value for 'start': cannot parse \"x\" to a valid timestamp",
        ),
    ] {
        let place = format!("/api/v1/search/{kind}");
        assert_eq!(
            refusal(&served, &place, form),
            (400, fault.to_owned()),
            "{kind} {form}"
        );
    }
}
