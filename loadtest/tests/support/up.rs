//! What tests share whose stack knows a generated network.

use weir_loadtest::world::World;
use weir_stack::local::Ports;
use weir_stack::{Local, local};
use weir_store::{Config, Store};

/// A stack that knows the network's ASes, and of its links what the configuration says, on free ports; the database of ASes is `asn.csv` in its
/// folder.
pub fn up(options: local::Options, world: &World, config: &[&str]) -> Local {
    let asn = options.dir.join("asn.csv");
    std::fs::write(&asn, world.csv()).unwrap();
    let databases = format!("[decoder.enrich.databases]\nasn = ['{}']\n", asn.display());
    let config =
        config.iter().copied().chain([databases.as_str()]).map(|text| text.parse().unwrap()).collect();
    let options = local::Options { ports: Ports::free().unwrap(), config, ..options };
    Local::up(options).unwrap_or_else(|error| panic!("{error}"))
}

/// Its ClickHouse.
pub fn store(stack: &Local) -> Store {
    Store::new(&Config { url: stack.clickhouse(), ..Config::default() }).unwrap()
}

/// Waits for what is asked of it.
pub fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Runtime::new().unwrap().block_on(future)
}
