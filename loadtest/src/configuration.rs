//! What the decoder is told of a network that is generated: link rules, names of exporters, and interfaces as far as options data does not tell them.

use crate::network::Exporter;
use std::fmt::Write;

/// The rules, and behind them what they do not know.
pub fn toml(rules: &str, exporters: &[Exporter]) -> String {
    let mut out = rules.to_owned();
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    for exporter in exporters {
        let _ = write!(
            out,
            "\n[[decoder.enrich.exporters]]\naddress = '{}'\nname = {}\n",
            exporter.address,
            quoted(&exporter.name)
        );
        let tells = exporter.protocol.tells_interfaces();
        for one in exporter.interfaces.iter().filter(|one| !tells || one.speed != 0) {
            let _ = writeln!(out, "[[decoder.enrich.exporters.interfaces]]\nindex = {}", one.index);
            if !tells {
                let (name, description) = (quoted(&one.name), quoted(&one.description));
                let _ = writeln!(out, "name = {name}\ndescription = {description}");
            }
            let _ = writeln!(out, "speed = {}", one.speed);
        }
    }
    out
}
