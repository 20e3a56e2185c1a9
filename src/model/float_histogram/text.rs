//! Histograms as Prometheus prints them, and the buckets of a JSON answer.

use super::FloatHistogram;
use crate::base::go_text::float_g;
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
mod tests {
    use super::*;
    use crate::model::histogram::CUSTOM_BUCKETS_SCHEMA;

    fn histogram() -> FloatHistogram {
        FloatHistogram {
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
        assert_eq!(FloatHistogram::default().to_string(), "{count:0, sum:0}");
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
