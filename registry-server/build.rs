//! Makes sure the folder the web front is embedded from exists, so that the server builds before
//! the front does. Refuses to know how the front is built.

use std::path::Path;

fn main() -> std::io::Result<()> {
    let dist = Path::new("../frontend/dist");
    std::fs::create_dir_all(dist)?;
    println!("cargo::rerun-if-changed=../frontend/dist");
    println!("cargo::rerun-if-changed=../migrations/sqlite");
    Ok(())
}
