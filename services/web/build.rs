//! Has cargo look at the built pages, which Node may make at any time or never.
//!
//! What must stay true: without them the build goes through, and nothing is built again for their want.

fn main() {
    // Cargo takes a folder that is not there for one that changed, each time. Where it can't be made, that is all that is lost.
    let _ = std::fs::create_dir_all("dist");
    println!("cargo:rerun-if-changed=dist");
}
