//! How OpenTelemetry's metrics are translated.

use super::resolve::Reader;
use crate::model::otlp_options::{Options, Promoted, Translation};

/// The word for all attributes of a resource.
const ALL: &str = "*";

/// Reads the settings of the table `otlp`.
pub(super) fn read(reader: &mut Reader<'_>) -> Options {
    let promoted = reader.text("otlp.promote_resource_attributes").to_owned();
    let keys = promoted.split(',').map(str::trim).filter(|key| !key.is_empty());
    let promoted = match keys.clone().any(|key| key == ALL) {
        true => Promoted::All,
        false => Promoted::These(keys.map(str::to_owned).collect()),
    };
    Options {
        promoted,
        translation: Translation::named(&reader.word("otlp.translation_strategy")).unwrap_or_default(),
        keeps_identifying: reader.is_true("otlp.keep_identifying_resource_attributes"),
        promotes_scope: reader.is_true("otlp.promote_scope_metadata"),
        makes_custom_buckets: reader.is_true("otlp.convert_histograms_to_nhcb"),
        adds_deltas: reader.word("otlp.delta") != "refuse",
    }
}
