//! The document, written as YAML. Texts are in double quotes with the escapes of JSON, which are a part of YAML's.

use super::{Content, Kind, Parameter, Path, paths};
use serde_json::Value;
use std::fmt::Write as _;

const TAGS: &[(&str, &str)] = &[
    ("query", "PromQL."),
    ("labels", "Series, their labels and what is said of metrics."),
    ("status", "What the server says of itself."),
    (
        "absent",
        "What Prometheus has and narthex has none of; answered as by a Prometheus without any.",
    ),
    (
        "native",
        "Points by the names of series and their tags. What is wrong with a request is named with its field and a hint.",
    ),
    ("records", "Logs, events and key-value columns."),
    ("remote", "Remote write and remote read."),
    (
        "doors",
        "Other systems' text formats, in and out. Lines that are none are named, the others are stored.",
    ),
    ("admin", "For operators; the scope admin is needed."),
];

const COMPONENTS: &str = r#"components:
  schemas:
    Success:
      type: object
      required: [status, data]
      properties:
        status: {type: string, enum: [success]}
        data: {}
        warnings: {type: array, items: {type: string}}
        infos: {type: array, items: {type: string}}
    Error:
      type: object
      required: [status, errorType, error]
      properties:
        status: {type: string, enum: [error]}
        errorType: {type: string}
        error: {type: string}
        reason: {type: string}
        field: {type: string}
        hint: {type: string}
    Point:
      type: object
      required: [series_key, value]
      properties:
        series_key: {type: string, minLength: 1}
        timestamp: {type: integer}
        value: {type: number}
        precision: {type: string, enum: [s, ms, us, ns]}
        tags: {type: object, additionalProperties: {type: string}}
      additionalProperties: false
    Log:
      type: object
      required: [device, message]
      properties:
        device: {type: string, minLength: 1}
        level: {type: string}
        message: {type: string, minLength: 1}
        source: {type: string}
        tags: {type: object}
        timestamp: {type: integer}
        precision: {type: string, enum: [s, ms, us, ns]}
      additionalProperties: false
    Event:
      type: object
      required: [device, type]
      properties:
        device: {type: string, minLength: 1}
        type: {type: string, minLength: 1}
        data: {}
        severity: {type: string}
        tags: {type: object}
        timestamp: {type: integer}
        precision: {type: string, enum: [s, ms, us, ns]}
      additionalProperties: false
    Time: {oneOf: [{type: string, format: date-time}, {type: number}]}
    Notification:
      type: object
      required: [text, date, active]
      properties:
        text: {type: string}
        date: {type: string, format: date-time}
        active: {type: boolean}
"#;

/// The document in this version of OpenAPI.
pub(super) fn write(version: &str) -> String {
    let mut out = format!("openapi: {version}\n");
    let _ = writeln!(
        out,
        "info:\n  title: narthex\n  version: {}\n  description: {}\nservers:\n  - url: /\ntags:",
        quoted(env!("CARGO_PKG_VERSION")),
        quoted(
            "A remote storage for Prometheus with the API of Prometheus. Times are seconds since 1970 or RFC 3339."
        )
    );
    for (name, help) in TAGS {
        let _ = writeln!(out, "  - name: {name}\n    description: {}", quoted(help));
    }
    out.push_str("paths:\n");
    for path in paths::all() {
        let _ = writeln!(out, "  {}:", quoted(path.path));
        for method in path.methods {
            operation(&mut out, path, method, version == super::NEWER);
        }
    }
    out.push_str(COMPONENTS);
    out
}

fn operation(out: &mut String, path: &Path, method: &str, is_newer: bool) {
    let words = path
        .path
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    let id: Vec<&str> = words.chain([method]).collect();
    let _ = writeln!(
        out,
        "    {method}:\n      operationId: {}\n      tags: [{}]\n      summary: {}",
        id.join("-"),
        path.tag,
        quoted(path.summary)
    );
    let in_path = in_path(path.path);
    // Bodies of the native API are JSON, so that parameters stand in the address.
    let has_form = method != "get" && !matches!(path.tag, "native" | "records" | "doors");
    let in_query: &[Parameter] = if has_form { &[] } else { path.params };
    if !in_path.is_empty() || !in_query.is_empty() {
        out.push_str("      parameters:\n");
    }
    for name in in_path {
        let _ = writeln!(
            out,
            "        - {{name: {name}, in: path, required: true, schema: {{type: string}}}}"
        );
    }
    for parameter in in_query {
        let _ = writeln!(
            out,
            "        - name: {}\n          in: query\n          required: {}\n          description: {}\n          schema: {}",
            quoted(parameter.name),
            parameter.is_needed,
            quoted(parameter.help),
            schema(parameter.kind)
        );
    }
    if has_form && !path.params.is_empty() {
        form(out, path.params);
    } else if let Some((schema, is_needed)) = json_body(path.path, method) {
        let _ = write!(
            out,
            "      requestBody:\n        required: {is_needed}\n        content:\n"
        );
        let _ = writeln!(out, "          application/json: {{schema: {schema}}}");
    } else if path.tag == "remote" && method == "post" {
        out.push_str("      requestBody:\n        required: true\n        content:\n");
        out.push_str("          application/x-protobuf: {schema: {type: string, format: binary}}\n");
    } else if path.tag == "doors" && path.answer == Content::Nothing && method == "post" {
        out.push_str("      requestBody:\n        required: true\n        content:\n");
        out.push_str("          text/plain: {schema: {type: string}}\n");
    }
    answers(out, path, method, is_newer);
}

/// The names of the parts of a path that are free.
fn in_path(path: &str) -> Vec<&str> {
    let parts = path.split('{').skip(1);
    parts
        .filter_map(|part| part.split_once('}').map(|part| part.0))
        .collect()
}

/// What a body of JSON is, and whether there must be one.
fn json_body(path: &str, method: &str) -> Option<(&'static str, bool)> {
    let needed = Some(match (path, method) {
        ("/api/v1/datapoints", "post") => "{$ref: \"#/components/schemas/Point\"}",
        ("/api/v1/datapoints/batch", "post") => {
            "{type: array, items: {$ref: \"#/components/schemas/Point\"}}"
        }
        (_, "put") if path.ends_with("{timestamp}") => {
            "{type: object, required: [value], properties: {value: {type: number}}, additionalProperties: false}"
        }
        ("/api/v1/logs", "post") => "{$ref: \"#/components/schemas/Log\"}",
        ("/api/v1/events", "post") => "{$ref: \"#/components/schemas/Event\"}",
        ("/api/v1/annotations" | "/annotations", "post") => "{type: object}",
        ("/api/v1/columns/batch", "post") => "{type: array, items: {type: object}}",
        ("/api/v1/columns/{column}/{key}", "post" | "put") => "{}",
        ("/api/v1/query/native", "post") => "{type: object}",
        ("/api/v1/admin/restore", "post") => {
            "{type: object, properties: {backup: {type: string}, snapshot: {type: string}}, additionalProperties: false}"
        }
        _ => return admin_body(path, method).map(|schema| (schema, false)),
    });
    needed.map(|schema| (schema, true))
}

/// What a body may be of those that an operator sends.
fn admin_body(path: &str, method: &str) -> Option<&'static str> {
    Some(match (path, method) {
        ("/api/v1/admin/compact", "post") => {
            "{type: object, properties: {force: {type: boolean}, start: {$ref: \"#/components/schemas/Time\"}, \
             end: {$ref: \"#/components/schemas/Time\"}}, additionalProperties: false}"
        }
        ("/api/v1/admin/snapshot", "post") => {
            "{type: object, properties: {name: {type: string}}, additionalProperties: false}"
        }
        ("/api/v1/admin/backup", "post") => {
            "{type: object, properties: {name: {type: string}, since: {type: string}, \
             start: {$ref: \"#/components/schemas/Time\"}, end: {$ref: \"#/components/schemas/Time\"}}, \
             additionalProperties: false}"
        }
        _ => return None,
    })
}

/// Parameters in a body; they may stand in the address as well.
fn form(out: &mut String, params: &[Parameter]) {
    out.push_str("      requestBody:\n        content:\n          application/x-www-form-urlencoded:\n");
    out.push_str("            schema:\n              type: object\n");
    let needed: Vec<String> = params
        .iter()
        .filter(|one| one.is_needed)
        .map(|one| quoted(one.name))
        .collect();
    if !needed.is_empty() {
        let _ = writeln!(out, "              required: [{}]", needed.join(", "));
    }
    out.push_str("              properties:\n");
    for parameter in params {
        let _ = writeln!(
            out,
            "                {}: {}",
            quoted(parameter.name),
            schema(parameter.kind)
        );
    }
}

fn schema(kind: Kind) -> &'static str {
    match kind {
        Kind::Text | Kind::Duration => "{type: string}",
        Kind::Time => "{oneOf: [{type: string, format: date-time}, {type: number}]}",
        Kind::Number => "{type: integer}",
        Kind::Truth => "{type: boolean}",
        Kind::Texts => "{type: array, items: {type: string}}",
    }
}

fn answers(out: &mut String, path: &Path, method: &str, is_newer: bool) {
    out.push_str("      responses:\n");
    // A value is shown; putting or deleting one says nothing.
    let answer = match path.answer {
        Content::Value if method != "get" => Content::Nothing,
        answer => answer,
    };
    // What was made is answered with 201, in part with 207.
    let status = match path.tag {
        "native" | "records" if method != "get" => "2XX",
        _ => "200",
    };
    let binary = "{schema: {type: string, format: binary}}";
    let text = "{schema: {type: string}}";
    let success = "{schema: {$ref: \"#/components/schemas/Success\"}}";
    let notification = "{itemSchema: {type: object, required: [data], properties: {data: {type: string, \
                        contentMediaType: application/json, contentSchema: {$ref: \"#/components/schemas/Notification\"}}}}}";
    let kinds: &[(&str, &str)] = match answer {
        Content::Nothing => &[],
        Content::Json => &[("application/json", success)],
        Content::Annotations => &[(
            "application/json",
            "{schema: {type: array, items: {type: object}}}",
        )],
        Content::Value => &[
            ("application/json", "{schema: {}}"),
            ("application/octet-stream", binary),
        ],
        Content::Object => &[("application/json", "{schema: {type: object}}")],
        Content::Lines => &[("application/x-ndjson", text)],
        Content::Text => &[("text/plain", text)],
        Content::Samples => &[("application/x-ndjson", text), ("text/plain", text)],
        Content::Csv => &[("text/csv", text)],
        Content::Yaml => &[("application/yaml", text)],
        Content::Protobuf => &[
            ("application/x-protobuf", binary),
            ("application/x-streamed-protobuf", binary),
        ],
        Content::Events => &[("text/event-stream", if is_newer { notification } else { text })],
    };
    if kinds.is_empty() {
        out.push_str("        \"204\": {description: \"Done.\"}\n");
    } else {
        let _ = writeln!(
            out,
            "        \"{status}\":\n          description: \"The answer.\"\n          content:"
        );
    }
    for (kind, schema) in kinds {
        let _ = writeln!(out, "            {kind}: {schema}");
    }
    out.push_str("        default:\n          description: \"Why there is none.\"\n          content:\n");
    out.push_str("            application/json: {schema: {$ref: \"#/components/schemas/Error\"}}\n");
    if answer == Content::Text {
        let _ = writeln!(out, "            text/plain: {text}");
    }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
