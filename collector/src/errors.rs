//! What lies at the root of an error: the operating system's word, without the addresses and names of what stands above it.

/// Returns the last word of an error's chain, such as `Connection refused (os error 111)`.
pub fn root_of(error: &(dyn std::error::Error + 'static)) -> String {
    let mut root = error;
    while let Some(deeper) = root.source() {
        root = deeper;
    }
    root.to_string()
}
