//! Tenants: their names, the folders they are kept in, and what each of them may take.

use super::file::hint;
use super::rollups::{self, parse_rollups};
use super::units;
use super::{Config, Http};
use crate::engine::options::Options;
use crate::engine::rollups::Rollup;
use crate::head::limits::Limits;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The tenant whose database is the data folder itself, with tenants and without.
pub(crate) const ANONYMOUS: &str = "anonymous";
/// Folder in the data folder that has a folder for each other tenant.
pub(crate) const FOLDER: &str = "tenants";
/// Stands before each name in that folder, so that none begins with a dot or a dash.
const PREFIX: &str = "tenant-";
/// Stands between a name in small letters and the places of its capitals.
const CAPITALS: char = '~';
const NAME_BYTES_MAX: usize = 150;
/// What a name may have beside letters and digits, and what stands for it in a folder's name: shells take these as they are.
const SIGNS: [(char, char); 8] = [
    ('-', '-'),
    ('_', '_'),
    ('.', '.'),
    ('!', '+'),
    ('*', '@'),
    ('\'', ','),
    ('(', '='),
    (')', '%'),
];

/// A tenant's name, as Mimir allows them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TenantName(Arc<str>);

impl TenantName {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let is_plain = |sign: char| sign.is_ascii_alphanumeric() || SIGNS.iter().any(|known| known.0 == sign);
        if text.is_empty() || text.len() > NAME_BYTES_MAX {
            return Err(format!("a tenant's name has 1 to {NAME_BYTES_MAX} bytes"));
        }
        if let Some(other) = text.chars().find(|sign| !is_plain(*sign)) {
            return Err(format!(
                "a tenant's name has letters, digits and !-_.*'() only, no {other:?}"
            ));
        }
        if matches!(text, "." | "..") {
            return Err(format!("a tenant's name is not `{text}`"));
        }
        Ok(Self(text.into()))
    }

    pub(crate) fn anonymous() -> Self {
        Self(ANONYMOUS.into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The folder's name below [`FOLDER`]. No two names have one folder, also where a file system takes capitals for small
    /// letters: behind the name in small letters stand the places of its capitals, a bit for each byte in hexadecimal.
    fn folder_name(&self) -> String {
        let small = |sign: char| {
            let known = SIGNS.iter().find(|known| known.0 == sign);
            known.map_or(sign.to_ascii_lowercase(), |known| known.1)
        };
        let mut folder: String = PREFIX.chars().chain(self.0.chars().map(small)).collect();
        if self.0.bytes().any(|byte| byte.is_ascii_uppercase()) {
            folder.push(CAPITALS);
            for four in self.0.as_bytes().chunks(4) {
                let bits = four.iter().enumerate();
                let bits = bits.map(|(place, byte)| u32::from(byte.is_ascii_uppercase()) << place);
                folder.extend(char::from_digit(bits.sum(), 16));
            }
        }
        folder
    }

    /// The tenant whose folder has this name, if it is one's.
    pub(crate) fn of_folder(folder: &str) -> Option<Self> {
        let rest = folder.strip_prefix(PREFIX)?;
        let (small, capitals) = rest.split_once(CAPITALS).unwrap_or((rest, ""));
        let is_capital = |place: usize| {
            let digit = capitals
                .chars()
                .nth(place / 4)
                .and_then(|digit| digit.to_digit(16));
            digit.unwrap_or(0) >> (place % 4) & 1 == 1
        };
        let sign = |(place, sign): (usize, char)| match SIGNS.iter().find(|known| known.1 == sign) {
            Some(known) => known.0,
            None if is_capital(place) => sign.to_ascii_uppercase(),
            None => sign,
        };
        let name = small.chars().enumerate().map(sign).collect::<String>();
        let name = Self::parse(&name).ok()?;
        (name.as_str() != ANONYMOUS && name.folder_name() == folder).then_some(name)
    }

    /// Where the tenant's database is.
    pub(crate) fn folder(&self, data: &Path) -> PathBuf {
        match self.as_str() {
            ANONYMOUS => data.to_owned(),
            _ => data.join(FOLDER).join(self.folder_name()),
        }
    }
}

impl fmt::Display for TenantName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How requests are parted by tenant.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tenants {
    pub(crate) is_enabled: bool,
    /// The header that names the tenant.
    pub(crate) header: String,
    /// For requests without the header; `None` refuses them.
    pub(crate) default: Option<TenantName>,
    /// Most tenants, the anonymous one not counted.
    pub(crate) count_max: usize,
    /// Whether a write may create a tenant that has no overrides.
    pub(crate) may_create: bool,
    pub(crate) samples_per_second: u64,
    pub(crate) series_max: u64,
    pub(crate) overrides: BTreeMap<TenantName, Overrides>,
}

/// What holds for one tenant in place of what holds for all. Where 0 means no limit, it does here.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Overrides {
    pub(crate) samples_per_second: Option<u64>,
    pub(crate) body_bytes: Option<usize>,
    pub(crate) opening: OpeningOverrides,
}

/// Those that hold from the opening of the tenant's database on.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct OpeningOverrides {
    series: Option<u64>,
    head_bytes: Option<u64>,
    retention: Option<Duration>,
    retention_bytes: Option<u64>,
    rollups: Option<Vec<Rollup>>,
}

const FIELDS: [&str; 8] = [
    "name",
    "samples_per_second",
    "body_bytes",
    "series",
    "head_bytes",
    "retention",
    "retention_bytes",
    "rollups",
];

/// Reads a table of `tenants.overrides`.
pub(super) fn overrides(table: &[(String, Vec<String>)]) -> Result<(TenantName, Overrides), String> {
    let mut name = None;
    let mut all = Overrides::default();
    for (field, words) in table {
        if field == "rollups" {
            all.opening.rollups = Some(own_rollups(words)?);
            continue;
        }
        let [word] = words.as_slice() else {
            return Err(format!("`{field}` is one value"));
        };
        let number = || word.parse::<u64>().map_err(|_| format!("`{field}` is a number"));
        let size = || units::parse_size(word).map_err(|what| format!("`{field}`: {what}"));
        match field.as_str() {
            "name" => name = Some(TenantName::parse(word)?),
            "samples_per_second" => all.samples_per_second = Some(number()?),
            "series" => all.opening.series = Some(number()?),
            "body_bytes" => all.body_bytes = Some(at_least_1(field, size()?)?),
            "head_bytes" => all.opening.head_bytes = Some(at_least_1(field, size()?)? as u64),
            "retention_bytes" => all.opening.retention_bytes = Some(size()?),
            "retention" => {
                let retention = units::parse_duration(word).map_err(|what| format!("`{field}`: {what}"))?;
                all.opening.retention = Some(retention);
            }
            _ => {
                return Err(format!(
                    "unknown key `{field}`{}",
                    hint(field, FIELDS.into_iter())
                ));
            }
        }
    }
    Ok((name.ok_or("`name` is missing")?, all))
}

fn own_rollups(words: &[String]) -> Result<Vec<Rollup>, String> {
    let (rollups, faults) = parse_rollups(&words.join(", "));
    match faults.is_empty() {
        true => Ok(rollups),
        false => Err(format!("`rollups`: {}", faults.join("; "))),
    }
}

fn at_least_1(field: &str, bytes: u64) -> Result<usize, String> {
    let bytes = usize::try_from(bytes).ok().filter(|bytes| *bytes > 0);
    bytes.ok_or_else(|| format!("`{field}` is larger than 0, and fits in memory"))
}

impl Tenants {
    fn of(&self, tenant: &TenantName) -> Option<&Overrides> {
        self.overrides.get(tenant).filter(|_| self.is_enabled)
    }

    /// Whether a write may create this tenant.
    pub(crate) fn may_create(&self, tenant: &TenantName) -> bool {
        self.may_create || self.overrides.contains_key(tenant)
    }

    /// Whether what holds from an opening on is the same for every tenant.
    pub(crate) fn opens_as(&self, other: &Self) -> bool {
        let opening = |tenants: &Self| -> BTreeMap<TenantName, OpeningOverrides> {
            let all = tenants.overrides.iter();
            let all = all.map(|(name, one)| (name.clone(), one.opening.clone()));
            all.filter(|one| one.1 != OpeningOverrides::default()).collect()
        };
        opening(self) == opening(other)
    }
}

impl Config {
    /// How a tenant's database is opened.
    pub(crate) fn options_of(&self, tenant: &TenantName) -> Options {
        let own = self
            .tenants
            .of(tenant)
            .map(|one| one.opening.clone())
            .unwrap_or_default();
        let mut options = Options::new(tenant.folder(&self.data))
            .durability(self.durability)
            .future_limit(self.future_limit)
            .head_bytes_max(own.head_bytes.unwrap_or(self.head_bytes))
            .compaction_interval(self.compaction_interval)
            .external_labels(self.external_labels.clone());
        if self.flush_samples > 0 {
            options = options.flush_samples_max(self.flush_samples);
        }
        let retention = own.retention.or(self.retention);
        if let Some(retention) = retention.filter(|retention| !retention.is_zero()) {
            options = options.retention(retention);
        }
        let bytes = own.retention_bytes.or(self.retention_bytes);
        if let Some(bytes) = bytes.filter(|bytes| *bytes > 0) {
            options = options.retention_bytes(bytes);
        }
        if let Some(retention) = self.log_retention {
            options = options.log_retention(retention);
        }
        if let Some(retention) = self.event_retention {
            options = options.event_retention(retention);
        }
        let for_all = if self.tenants.is_enabled {
            self.tenants.series_max
        } else {
            0
        };
        let own_rollups = own.rollups.as_deref();
        options = rollups::add_to(options, own_rollups.unwrap_or(&self.rollups), &self.aggregates);
        match own.series.unwrap_or(for_all) {
            0 => options,
            series => options.limits(Limits {
                series_max: usize::try_from(series).unwrap_or(usize::MAX),
                ..Limits::default()
            }),
        }
    }

    /// What a tenant's requests may take.
    pub(crate) fn http_of(&self, tenant: &TenantName) -> Http {
        let own = self.tenants.of(tenant).and_then(|one| one.body_bytes);
        Http {
            body_bytes_max: own.unwrap_or(self.http.body_bytes_max),
            ..self.http.clone()
        }
    }

    /// Samples that a tenant may write in a second, whoever sends them; 0 is no limit.
    pub(crate) fn samples_per_second_of(&self, tenant: &TenantName) -> u64 {
        let for_all = if self.tenants.is_enabled {
            self.tenants.samples_per_second
        } else {
            0
        };
        let own = self.tenants.of(tenant).and_then(|one| one.samples_per_second);
        own.unwrap_or(for_all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_those_of_mimir() {
        let long = "x".repeat(NAME_BYTES_MAX);
        for good in ["a", "team-1", "A.b_c!*'()", "...", "-", &long] {
            assert_eq!(TenantName::parse(good).unwrap().as_str(), good);
        }
        let too_long = "x".repeat(NAME_BYTES_MAX + 1);
        for bad in [
            "", ".", "..", "a/b", "a|b", "a b", "a\\b", "ä", "a\0", "a~", &too_long,
        ] {
            assert!(TenantName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn folders_are_plain_and_below_the_data_folder() {
        let data = Path::new("/data");
        for (name, folder) in [
            (ANONYMOUS, "/data"),
            ("acme", "/data/tenants/tenant-acme"),
            ("..a", "/data/tenants/tenant-..a"),
            ("-rf", "/data/tenants/tenant--rf"),
            ("Anonymous", "/data/tenants/tenant-anonymous~100"),
            ("it's(*)!", "/data/tenants/tenant-it,s=@%+"),
        ] {
            assert_eq!(TenantName::parse(name).unwrap().folder(data), Path::new(folder));
        }
        let longest = TenantName::parse(&"Z".repeat(NAME_BYTES_MAX)).unwrap();
        assert!(longest.folder_name().len() <= 255, "what file systems take");
        for other in [
            "acme",
            "tenant-",
            "tenant-A",
            "tenant-a~0",
            "tenant-a~10",
            "tenant-a!",
            "lost+found",
            "tenant-anonymous",
        ] {
            assert_eq!(TenantName::of_folder(other), None, "{other}");
        }
    }

    #[test]
    fn overrides_are_read_or_refused() {
        let table = |fields: &[(&str, &str)]| {
            let field = |(name, value): &(&str, &str)| ((*name).to_owned(), vec![(*value).to_owned()]);
            overrides(&fields.iter().map(field).collect::<Vec<_>>())
        };
        let (name, read) = table(&[
            ("name", "a"),
            ("series", "7"),
            ("retention", "1d"),
            ("body_bytes", "1KiB"),
            ("rollups", "1h keep 1y"),
        ])
        .unwrap();
        let hour = Duration::from_secs(3600);
        let kept = Rollup::every(hour).keep(hour * 24 * 365);
        assert_eq!(read.opening.rollups, Some(vec![kept]));
        assert_eq!((name.as_str(), read.body_bytes), ("a", Some(1024)));
        assert_eq!(read.opening.series, Some(7));
        assert_eq!(read.opening.retention, Some(Duration::from_secs(86_400)));
        for (fields, what) in [
            (&[("series", "7")][..], "`name` is missing"),
            (&[("name", "a/b")], "letters, digits"),
            (&[("name", "a"), ("body_bytes", "0")], "larger than 0"),
            (&[("name", "a"), ("serie", "7")], "did you mean `series`?"),
            (&[("name", "a"), ("series", "-1")], "is a number"),
            (
                &[("name", "a"), ("rollups", "1h, 60m, 1ms")],
                "`rollups`: entry 2: its windows are as wide as those of entry 1; entry 3: windows of",
            ),
        ] {
            let error = table(fields).unwrap_err();
            assert!(error.contains(what), "{error}");
        }
    }

    #[test]
    fn what_is_overridden_holds_for_one_tenant_and_with_tenants_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("narthex.toml");
        let resolve = |is_enabled: bool| {
            let text = format!(
                "retention = \"1d\"\n[tenants]\nenabled = {is_enabled}\nseries = 5\nsamples_per_second = 9\n\
                 [[tenants.overrides]]\nname = \"a\"\nretention = \"0\"\nseries = 7\nsamples_per_second = 0\nrollups = []\n"
            );
            crate::io::write_file(&(Arc::new(crate::io::DiskFs) as _), &path, text.as_bytes()).unwrap();
            let sources = super::super::Sources {
                environment: vec![
                    ("MEMTABLE_THRESHOLD".to_owned(), "300000".to_owned()),
                    ("NARTHEX_COMPACTION_INTERVAL".to_owned(), "5m".to_owned()),
                ],
                ..super::super::Sources::file(&path)
            };
            sources.resolve().unwrap()
        };
        let day = Some(Duration::from_secs(86_400));
        let unlimited = Limits::default().series_max;
        for (is_enabled, name, retention, series, rate) in [
            (true, "a", None, 7, 0),
            (true, "b", day, 5, 9),
            (true, ANONYMOUS, day, 5, 9),
            (false, ANONYMOUS, day, unlimited, 0),
        ] {
            let (config, name) = (resolve(is_enabled), TenantName::parse(name).unwrap());
            let options = config.options_of(&name);
            assert_eq!(
                (options.retention, options.limits.series_max),
                (retention, series),
                "{name}"
            );
            assert_eq!(config.samples_per_second_of(&name), rate, "{name}");
            let widths: Vec<u64> = options
                .rollups
                .iter()
                .map(|one| one.resolution.as_secs())
                .collect();
            let expected: &[u64] = if name.as_str() == "a" { &[] } else { &[300, 3600] };
            assert_eq!(widths, expected, "{name}");
            assert_eq!(options.flush_samples_max, Some(300_000));
            assert_eq!(options.compaction_interval, Duration::from_secs(300));
        }
    }

    proptest! {
        #[test]
        fn a_folder_has_one_tenant(a in "[a-cA-C0!*'()._-]{1,9}", b in "[a-cA-C0!*'()._-]{1,9}") {
            let names = [TenantName::parse(&a), TenantName::parse(&b)];
            let [Ok(a), Ok(b)] = names else { return Ok(()) };
            prop_assert_eq!(TenantName::of_folder(&a.folder_name()), Some(a.clone()));
            let is_one = a.folder_name().eq_ignore_ascii_case(&b.folder_name());
            prop_assert_eq!(a == b, is_one);
        }

        #[test]
        fn any_folder_is_a_tenants_or_none(folder in "tenant-[a-cA-C0~+@,=%f.]{0,9}") {
            if let Some(name) = TenantName::of_folder(&folder) {
                prop_assert_eq!(name.folder_name(), folder);
            }
        }
    }
}
