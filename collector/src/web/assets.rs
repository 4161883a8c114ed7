//! The style sheet, the script, the icon and the typeface, compiled in and named by their content.

use axum::extract::Path;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

struct Asset {
    name: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
}

const ASSETS: [Asset; 5] = [
    Asset { name: "app.css", kind: "text/css; charset=utf-8", bytes: include_bytes!("static/app.css") },
    Asset { name: "dark.css", kind: "text/css; charset=utf-8", bytes: include_bytes!("static/dark.css") },
    Asset { name: "app.js", kind: "text/javascript; charset=utf-8", bytes: include_bytes!("static/app.js") },
    Asset { name: "icon.svg", kind: "image/svg+xml", bytes: include_bytes!("static/icon.svg") },
    Asset { name: "vazirmatn.woff2", kind: "font/woff2", bytes: include_bytes!("static/vazirmatn.woff2") },
];

/// Changes when any asset changes, so that browsers may keep them for ever.
pub const VERSION: u64 = {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut at = 0;
    while at < ASSETS.len() {
        let mut byte = 0;
        while byte < ASSETS[at].bytes.len() {
            hash = (hash ^ ASSETS[at].bytes[byte] as u64).wrapping_mul(0x100_0000_01b3);
            byte += 1;
        }
        at += 1;
    }
    hash
};

/// Serves an asset.
pub async fn serve(Path(name): Path<String>) -> Response {
    match ASSETS.iter().find(|asset| asset.name == name) {
        Some(asset) => ([(CONTENT_TYPE, asset.kind), (CACHE_CONTROL, "public, max-age=31536000, immutable")], asset.bytes).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
