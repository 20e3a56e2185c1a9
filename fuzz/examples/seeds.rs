//! Writes the valid inputs of every target to `corpus/TARGET`, for the fuzzer to start from.

use std::path::Path;

fn main() -> std::io::Result<()> {
    for target in narthex::fuzzing::TARGETS {
        let folder = Path::new("corpus").join(target.name);
        std::fs::create_dir_all(&folder)?;
        for (number, bytes) in (target.seeds)().iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{number}")), bytes)?;
        }
    }
    Ok(())
}
