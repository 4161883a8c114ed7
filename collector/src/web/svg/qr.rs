//! QR codes (ISO/IEC 18004), dark on white in either theme: that is what cameras read.

use std::fmt::Write;

use qrcode::{Color, QrCode};

use super::super::html::Html;

/// White around it, in modules, as the standard asks for.
const QUIET: usize = 4;

/// Draws a text; `None` if it is longer than a code holds.
pub fn qr(text: &str) -> Option<Html> {
    let code = QrCode::new(text).ok()?;
    let (width, mut dark) = (code.width(), String::new());
    for (at, color) in code.to_colors().into_iter().enumerate() {
        if color == Color::Dark {
            // Writing to a `String` cannot fail.
            let _ = write!(dark, "M{} {}h1v1h-1z", at % width + QUIET, at / width + QUIET);
        }
    }
    let side = width + 2 * QUIET;
    Some(Html(format!(
        "<svg class=\"qr\" width=\"220\" height=\"220\" viewBox=\"0 0 {side} {side}\" shape-rendering=\"crispEdges\" role=\"img\" aria-label=\"QR\">\
         <rect width=\"{side}\" height=\"{side}\" fill=\"#fff\"/><path d=\"{dark}\" fill=\"#000\"/></svg>"
    )))
}
