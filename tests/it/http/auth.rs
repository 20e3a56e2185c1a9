//! Who may do what, for every kind of credential and every kind of route.

use super::client::{Answer, ask};
use super::served::Served;

/// `admin:full`, `scraper:look`, and the token `abc`.
const CREDENTIALS: &str = r#"
[[auth.users]]
name = "admin"
password = "@ADMIN@"
scopes = ["read", "write", "admin"]

[[auth.users]]
name = "scraper"
password = "@SCRAPER@"
scopes = ["read"]

[[auth.tokens]]
name = "writer"
sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
scopes = ["write"]
"#;

/// The lowest cost will do for a test.
pub(super) fn credentials() -> String {
    let hash = |password| bcrypt::hash(password, 4).expect("a hash");
    CREDENTIALS
        .replace("@ADMIN@", &hash("full"))
        .replace("@SCRAPER@", &hash("look"))
}

const ADMIN: &str = "Authorization: Basic YWRtaW46ZnVsbA==";
const SCRAPER: &str = "Authorization: Basic c2NyYXBlcjpsb29r";
const TOKEN: &str = "Authorization: Bearer abc";

const READ_ROUTE: (&str, &str) = ("GET", "/version");
const ADMIN_ROUTE: (&str, &str) = ("POST", "/api/v1/admin/flush");

fn with(served: &Served, route: (&str, &str), header: &str) -> Answer {
    let headers: &[&str] = if header.is_empty() { &[] } else { &[header] };
    ask(served.plain_address(), route.0, route.1, headers, "")
}

#[test]
fn all_of_an_operator_needs_that_scope() {
    let served = Served::new(&credentials()).ready();
    for route in [
        ("POST", "/api/v1/admin/compact"),
        ("GET", "/api/v1/admin/jobs"),
        ("GET", "/api/v1/admin/compression"),
        ("GET", "/api/v1/admin/retention"),
        ("POST", "/api/v1/admin/snapshot"),
        ("GET", "/api/v1/admin/snapshots"),
        ("POST", "/api/v1/admin/backup"),
        ("GET", "/api/v1/admin/backups"),
        ("POST", "/api/v1/admin/restore"),
    ] {
        assert_eq!(with(&served, route, "").status, 401, "{route:?}");
        assert_eq!(with(&served, route, SCRAPER).status, 403, "{route:?}");
        assert_eq!(with(&served, route, TOKEN).status, 403, "{route:?}");
        // A restore without a body is not let through by its form.
        let expected = if route.1.ends_with("restore") { 400 } else { 200 };
        assert_eq!(with(&served, route, ADMIN).status, expected, "{route:?}");
    }
}

#[test]
fn scopes_decide_who_may_do_what() {
    let served = Served::new(&credentials()).ready();
    for (header, read, admin) in [
        ("", 401, 401),
        (ADMIN, 200, 200),
        (SCRAPER, 200, 403),
        (TOKEN, 403, 403),
        ("Authorization: Bearer abd", 401, 401),
        ("Authorization: Bearer", 401, 401),
        ("Authorization: Basic YWRtaW46d3Jvbmc=", 401, 401),
        ("Authorization: Basic bm9ib2R5OmZ1bGw=", 401, 401),
        ("Authorization: Basic !!!", 401, 401),
        ("Authorization: Digest username=admin", 401, 401),
    ] {
        // Twice: what was found good or bad once is so again.
        for _ in 0..2 {
            assert_eq!(with(&served, READ_ROUTE, header).status, read, "{header}");
            assert_eq!(with(&served, ADMIN_ROUTE, header).status, admin, "{header}");
        }
        assert_eq!(
            with(&served, ("GET", "/-/healthy"), header).status,
            200,
            "{header}"
        );
    }
    let refused = with(&served, READ_ROUTE, "");
    assert!(
        refused
            .header("www-authenticate")
            .is_some_and(|value| value.starts_with("Basic"))
    );
    assert_eq!(
        with(&served, ("GET", "/nothing"), "").status,
        401,
        "who is not known learns nothing"
    );
    let metrics = with(&served, ("GET", "/metrics"), ADMIN).body;
    let failures = metrics
        .lines()
        .find_map(|line| line.strip_prefix("narthex_auth_failures_total "));
    assert_eq!(
        failures,
        Some("24"),
        "six headers that name nobody, four times each"
    );
}

#[test]
fn beyond_loopback_admin_routes_need_a_credential() {
    let served = Served::new("listen = \"0.0.0.0:0\"\n").ready();
    assert_eq!(with(&served, READ_ROUTE, "").status, 200);
    let refused = with(&served, ADMIN_ROUTE, "");
    assert_eq!(refused.status, 403);
    assert!(refused.body.contains("auth.users"), "{}", refused.body);
    drop(served);
    let served = Served::new(&format!("listen = \"0.0.0.0:0\"\n{}", credentials())).ready();
    assert_eq!(with(&served, ADMIN_ROUTE, ADMIN).status, 200);
}
