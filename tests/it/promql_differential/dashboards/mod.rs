//! Queries as they stand on dashboards, in alerting rules and in recording rules, by what they are about.

mod basics;
mod histograms;
mod joins;
mod kubernetes;
mod language;
mod machines;
mod services;
mod windows;

/// All of them, each with the file it stands in.
pub(super) fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    let files = [
        ("basics", basics::QUERIES),
        ("histograms", histograms::QUERIES),
        ("joins", joins::QUERIES),
        ("kubernetes", kubernetes::QUERIES),
        ("language", language::QUERIES),
        ("machines", machines::QUERIES),
        ("services", services::QUERIES),
        ("windows", windows::QUERIES),
    ];
    files
        .into_iter()
        .flat_map(|(file, queries)| queries.iter().map(move |query| (file, *query)))
}
