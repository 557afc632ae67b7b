//! The scenarios that come with the program. Each file says what it shows.

macro_rules! scenarios {
    ($($name:literal),* $(,)?) => {
        /// Names, in the order of the reports.
        pub const NAMES: &[&str] = &[$($name),*];

        /// The text of one.
        pub fn builtin(name: &str) -> Option<&'static str> {
            match name {
                $($name => Some(include_str!(concat!("../../scenarios/", $name, ".toml"))),)*
                _ => None,
            }
        }
    };
}

scenarios!(
    "smoke",
    "steady-100k",
    "steady-200k-standalone",
    "ramp-to-limit",
    "burst-10x",
    "late-templates",
    "exporter-restart",
    "many-exporters",
    "rebalance",
    "zombies",
    "kill-each-part",
    "kill-standalone",
    "broker-restart",
    "broker-loss",
    "engine-outage",
    "disk-full",
    "garbage-flood",
    "soak",
);
