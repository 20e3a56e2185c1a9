//! Histograms as text: as Prometheus prints them, as its test scripts write them, and the buckets of a JSON answer.

use super::FloatHistogram;
#[cfg(test)]
use super::buckets::Buckets;
use crate::base::go_text::float_g;
#[cfg(test)]
use crate::model::histogram::ResetHint;
use std::fmt;

/// `{count:3, sum:2.5, [-1,1]:1, (1,2]:2}`
impl fmt::Display for FloatHistogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{count:{}, sum:{}", float_g(self.count), float_g(self.sum))?;
        let zero = (self.zero_count != 0.0).then(|| self.zero_bucket());
        let buckets = self
            .buckets_inwards(false)
            .chain(zero)
            .chain(self.buckets_outwards(true));
        for bucket in buckets.filter(|bucket| bucket.count != 0.0) {
            let open = if bucket.lower_inclusive { '[' } else { '(' };
            let close = if bucket.upper_inclusive { ']' } else { ')' };
            let (lower, upper) = (float_g(bucket.lower), float_g(bucket.upper));
            write!(f, ", {open}{lower},{upper}{close}:{}", float_g(bucket.count))?;
        }
        f.write_str("}")
    }
}

impl FloatHistogram {
    /// `{{schema:1 count:3 sum:2.5 buckets:[1 2]}}`, the form of test scripts.
    #[cfg(test)]
    pub(crate) fn test_expression(&self) -> String {
        let mut parts = Vec::new();
        if self.schema != 0 {
            parts.push(format!("schema:{}", self.schema));
        }
        let numbers = [
            ("count", self.count),
            ("sum", self.sum),
            ("z_bucket", self.zero_count),
            ("z_bucket_w", self.zero_threshold),
        ];
        for (name, number) in numbers {
            if number != 0.0 {
                parts.push(format!("{name}:{}", float_g(number)));
            }
        }
        if self.has_custom_buckets() {
            parts.push(format!(
                "custom_values:[{}]",
                spaced(self.custom_values.iter().copied())
            ));
        }
        match self.reset_hint {
            ResetHint::Unknown => {}
            ResetHint::Reset => parts.push("counter_reset_hint:reset".to_owned()),
            ResetHint::NotReset => parts.push("counter_reset_hint:not_reset".to_owned()),
            ResetHint::Gauge => parts.push("counter_reset_hint:gauge".to_owned()),
        }
        push_buckets(&mut parts, "", &self.positive);
        push_buckets(&mut parts, "n_", &self.negative);
        format!("{{{{{}}}}}", parts.join(" "))
    }

    /// The buckets that are not empty, in ascending order, as a JSON answer has them: which edges belong to the bucket
    /// (0 the upper one, 1 the lower one, 2 none, 3 both), lower and upper boundary, count.
    pub fn json_buckets(&self) -> impl Iterator<Item = (u8, f64, f64, f64)> {
        let buckets = self.buckets_ascending().filter(|bucket| bucket.count != 0.0);
        buckets.map(|bucket| {
            let edges = match (bucket.lower_inclusive, bucket.upper_inclusive) {
                (false, true) => 0,
                (true, false) => 1,
                (false, false) => 2,
                (true, true) => 3,
            };
            (edges, bucket.lower, bucket.upper, bucket.count)
        })
    }
}

#[cfg(test)]
fn spaced(numbers: impl Iterator<Item = f64>) -> String {
    numbers.map(float_g).collect::<Vec<_>>().join(" ")
}

/// All buckets from the first to the last that is not empty, gaps as zeros.
#[cfg(test)]
fn push_buckets(parts: &mut Vec<String>, prefix: &str, buckets: &Buckets) {
    let filled = buckets.without(|count| count == 0.0);
    let Some((first, _)) = filled.iter().next() else {
        return;
    };
    let mut counts = Vec::new();
    for (index, count) in filled.iter() {
        counts.resize((index - first) as usize, 0.0);
        counts.push(count);
    }
    if first != 0 {
        parts.push(format!("{prefix}offset:{first}"));
    }
    parts.push(format!("{prefix}buckets:[{}]", spaced(counts.into_iter())));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::histogram::CUSTOM_BUCKETS_SCHEMA;

    fn histogram() -> FloatHistogram {
        FloatHistogram {
            reset_hint: ResetHint::Gauge,
            schema: 0,
            zero_threshold: 0.001,
            zero_count: 1.5,
            count: 12.0,
            sum: -1e-7,
            positive: [(0, 0.0), (1, 2.0), (3, 4.0)].into_iter().collect(),
            negative: [(0, 1.0), (1, 3.5)].into_iter().collect(),
            ..FloatHistogram::default()
        }
    }

    #[test]
    fn printed_form() {
        let text = "{count:12, sum:-1e-07, [-2,-1):3.5, [-1,-0.5):1, [-0.001,0.001]:1.5, (1,2]:2, (4,8]:4}";
        assert_eq!(histogram().to_string(), text);
        let custom = FloatHistogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            count: 3.0,
            sum: 7.0,
            positive: [(0, 1.0), (2, 2.0)].into_iter().collect(),
            custom_values: [1.0, 5.0].into(),
            ..FloatHistogram::default()
        };
        assert_eq!(custom.to_string(), "{count:3, sum:7, [-Inf,1]:1, (5,+Inf]:2}");
        assert_eq!(
            custom.test_expression(),
            "{{schema:-53 count:3 sum:7 custom_values:[1 5] buckets:[1 0 2]}}"
        );
        assert_eq!(FloatHistogram::default().to_string(), "{count:0, sum:0}");
        assert_eq!(FloatHistogram::default().test_expression(), "{{}}");
    }

    #[test]
    fn form_of_test_scripts() {
        assert_eq!(
            histogram().test_expression(),
            "{{count:12 sum:-1e-07 z_bucket:1.5 z_bucket_w:0.001 counter_reset_hint:gauge offset:1 buckets:[2 0 4] \
             n_buckets:[1 3.5]}}"
        );
    }

    #[test]
    fn buckets_of_json() {
        let buckets: Vec<_> = histogram().json_buckets().collect();
        let expected = [
            (1, -2.0, -1.0, 3.5),
            (1, -1.0, -0.5, 1.0),
            (3, -0.001, 0.001, 1.5),
            (0, 1.0, 2.0, 2.0),
            (0, 4.0, 8.0, 4.0),
        ];
        assert_eq!(buckets, expected);
    }
}
