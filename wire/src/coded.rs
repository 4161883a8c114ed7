//! One macro for the small enums of the contract: a stable number on the wire, a stable word for people and files.
//!
//! Reading is total: a code of a later version is kept as it came, so that an older program stores and passes on what it
//! does not understand. A code is at most 65,535; anything above is no code.

/// Declares an enum whose variants carry a wire code and a text name, with both directions of both. `Unknown` comes first: where
/// the order means better or worse, what nobody knows is the worst.
macro_rules! coded_enum {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $code:literal, $text:literal;)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name {
            /// A code of a later version, as it came. It means nothing here and is passed on unchanged.
            Unknown(u16),
            $($(#[$vmeta])* $variant,)+
        }

        impl $name {
            /// Lists every variant this version knows, in wire order.
            pub const ALL: &'static [$name] = &[$($name::$variant,)+];

            /// Returns the number that stands for this on the wire. It never changes meaning.
            pub const fn code(self) -> u16 {
                match self { $($name::$variant => $code,)+ $name::Unknown(code) => code }
            }

            /// Tells whether this version knows what the code means.
            pub const fn is_known(self) -> bool { !matches!(self, $name::Unknown(_)) }

            /// Reads a wire number; `None` for one this version does not know.
            pub const fn from_code(code: u32) -> Option<Self> {
                match code { $($code => Some($name::$variant),)+ _ => None }
            }

            /// Reads a wire number, one of a later version too; `None` for what no version uses.
            pub const fn from_wire(code: u32) -> Option<Self> {
                match Self::from_code(code) {
                    None if code <= u16::MAX as u32 => Some($name::Unknown(code as u16)),
                    known => known,
                }
            }

            /// Returns the word used in files, URLs and JSON.
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text,)+ $name::Unknown(_) => "unknown" }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.pad(self.as_str()) }
        }

        impl std::str::FromStr for $name {
            type Err = String;
            /// Reads the word; the error lists the words there are.
            fn from_str(text: &str) -> Result<Self, String> {
                Self::ALL.iter().copied().find(|v| v.as_str() == text).ok_or_else(|| {
                    let known: Vec<_> = Self::ALL.iter().map(|v| v.as_str()).collect();
                    format!("`{text}` is none of {}", known.join(", "))
                })
            }
        }
    };
}
pub(crate) use coded_enum;
