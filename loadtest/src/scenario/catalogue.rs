//! The scenarios that come with the program. Each file says what it shows.

/// Names, in the order of the report.
pub const NAMES: &[&str] = &[
    "smoke",
    "steady-100k",
    "ramp-to-limit",
    "burst-10x",
    "late-templates",
    "exporter-restart",
    "many-exporters",
    "rebalance",
    "kill-each-part",
    "kill-standalone",
    "broker-restart",
    "broker-loss",
    "engine-outage",
    "disk-full",
    "garbage-flood",
    "soak",
    "steady-200k-standalone",
];

/// The text of one.
pub fn builtin(name: &str) -> Option<&'static str> {
    macro_rules! texts {
        ($($name:literal),* $(,)?) => {
            match name {
                $($name => Some(include_str!(concat!("../../scenarios/", $name, ".toml"))),)*
                _ => None,
            }
        };
    }
    texts!(
        "smoke",
        "steady-100k",
        "ramp-to-limit",
        "burst-10x",
        "late-templates",
        "exporter-restart",
        "many-exporters",
        "rebalance",
        "kill-each-part",
        "kill-standalone",
        "broker-restart",
        "broker-loss",
        "engine-outage",
        "disk-full",
        "garbage-flood",
        "soak",
        "steady-200k-standalone",
    )
}
