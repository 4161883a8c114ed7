//! One decoder under libFuzzer: the one with this program's name.
#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use rusta_tests::decoders::{Decoder, all};

static DECODER: LazyLock<Decoder> = LazyLock::new(|| {
    let name = env!("CARGO_BIN_NAME");
    all().into_iter().find(|decoder| decoder.name == name).unwrap_or_else(|| panic!("no decoder is called {name}"))
});

/// Puts the decoder's seeds where the search starts from.
fn plant() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(DECODER.name);
    std::fs::create_dir_all(&folder).unwrap();
    for (n, seed) in DECODER.seeds.iter().enumerate() {
        std::fs::write(folder.join(format!("seed-{n}")), seed).unwrap();
    }
}

fuzz_target!(init: plant(), |input: &[u8]| (DECODER.run)(input));
