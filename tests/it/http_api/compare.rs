//! Two answers to one request: how they differ.

use crate::peers::http::Answer;
use serde_json::{Map, Value, json};

/// What may differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expect {
    /// Nothing.
    Same,
    /// The words of an error, for this reason; status and kind are the same.
    Words(&'static str),
    /// Values, for this reason; status and form are the same.
    Shape(&'static str),
    /// narthex answers with this status, for this reason.
    Status(u16, &'static str),
}

/// What is wrong, if anything.
pub(super) fn complaint(ours: &Answer, theirs: &Answer, expect: Expect) -> Option<String> {
    let shown = || format!("\n  here  {}\n  there {}", line(ours), line(theirs));
    let is_same = is_same(ours, theirs);
    let (is_right, reason) = match expect {
        Expect::Same => return (!is_same).then(|| format!("they differ{}", shown())),
        Expect::Words(reason) => {
            let kind = |answer: &Answer| (answer.status, parsed(answer)["errorType"].clone());
            (kind(ours) == kind(theirs), reason)
        }
        Expect::Shape(reason) => {
            let shape = |answer: &Answer| (answer.status, shape(&parsed(answer)));
            (shape(ours) == shape(theirs), reason)
        }
        Expect::Status(status, reason) => (ours.status == status, reason),
    };
    // The same moment may be meant by chance.
    if is_same && !matches!(expect, Expect::Shape(_)) {
        return Some(format!("they are the same though {reason:?}{}", shown()));
    }
    (!is_right).then(|| format!("they differ more than {reason:?} explains{}", shown()))
}

fn line(answer: &Answer) -> String {
    let text: String = answer.text().chars().take(600).collect();
    format!("{} {text}", answer.status)
}

/// The body as JSON, or as a text.
fn parsed(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|_| answer.text().into())
}

fn is_same(ours: &Answer, theirs: &Answer) -> bool {
    let kind = |answer: &Answer| answer.header("content-type").map(str::to_owned);
    ours.status == theirs.status
        && kind(ours) == kind(theirs)
        && settled(parsed(ours)) == settled(parsed(theirs))
}

/// With series in one order: Prometheus answers in that of its memory.
fn settled(mut body: Value) -> Value {
    let is_matrix = body["data"]["resultType"] == "matrix";
    let sort = |list: Option<&mut Value>| {
        if let Some(Value::Array(items)) = list {
            items.sort_by_key(Value::to_string);
        }
    };
    sort(body.get_mut("data").filter(|data| data[0].is_object()));
    if !is_matrix {
        sort(
            body.pointer_mut("/data/result")
                .filter(|result| result[0].is_object()),
        );
    }
    body
}

/// The form without its values.
fn shape(body: &Value) -> Value {
    match body {
        Value::Null => json!("null"),
        Value::Bool(_) => json!("bool"),
        Value::Number(_) => json!("number"),
        Value::String(_) => json!("string"),
        Value::Array(items) => {
            let mut shapes: Vec<Value> = items.iter().map(shape).collect();
            shapes.dedup();
            shapes.into()
        }
        Value::Object(fields) => {
            let shapes: Map<String, Value> = fields
                .iter()
                .map(|(name, value)| (name.clone(), shape(value)))
                .collect();
            shapes.into()
        }
    }
}

/// A difference would be seen, and so would be one that is gone.
#[test]
fn answers_are_told_apart() {
    let answer = |status, body: &str| Answer {
        status,
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: body.as_bytes().to_vec(),
    };
    let one = answer(200, r#"{"status":"success","data":[{"a":"1"},{"a":"2"}]}"#);
    let turned = answer(200, r#"{"data":[{"a":"2"},{"a":"1"}],"status":"success"}"#);
    let other = answer(200, r#"{"status":"success","data":[{"a":"1"},{"a":"3"}]}"#);
    let less = answer(200, r#"{"status":"success","data":[]}"#);
    let failed = answer(400, r#"{"status":"error","errorType":"bad_data","error":"x"}"#);
    let in_words = answer(400, r#"{"status":"error","errorType":"bad_data","error":"y"}"#);
    let has = |ours, theirs, expect| complaint(ours, theirs, expect).is_some();
    assert!(!has(&one, &turned, Expect::Same));
    for different in [&other, &less, &failed] {
        assert!(has(&one, different, Expect::Same));
    }
    assert!(!has(&one, &other, Expect::Shape("values")));
    assert!(has(&one, &less, Expect::Shape("values")));
    assert!(!has(&one, &turned, Expect::Shape("values")), "by chance");
    assert!(has(&failed, &failed, Expect::Words("words")), "they are the same");
    assert!(!has(&failed, &in_words, Expect::Words("words")));
    assert!(has(&failed, &one, Expect::Words("words")));
    assert!(!has(&failed, &one, Expect::Status(400, "status")));
    assert!(has(&failed, &one, Expect::Status(404, "status")));
}
