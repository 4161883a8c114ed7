//! What is wrong with an inventory, where, and how to mend it, in both languages.

use std::fmt;

/// Where a fault stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, serde::Serialize)]
pub struct Place {
    /// File of the folder, or sheet of the workbook.
    pub file: String,
    /// Row as a spreadsheet counts, the heading being row 1; the line in a YAML file. 0: the whole file.
    pub row: u32,
    /// The column's heading; in a YAML file the character position. Empty: the whole row.
    pub column: String,
}

impl Place {
    /// Names the place in a workbook as people do, in English and Persian.
    pub fn of_workbook(&self) -> (String, String) {
        let sheet = self.file.trim_end_matches(".csv").trim_end_matches(".yaml");
        let (mut english, mut persian) = (format!("sheet {sheet}"), format!("برگه {sheet}"));
        if self.row > 0 {
            english.push_str(&format!(", row {}", self.row));
            persian.push_str(&format!("، سطر {}", self.row));
        }
        if !self.column.is_empty() {
            english.push_str(&format!(", column {}", self.column));
            persian.push_str(&format!("، ستون {}", self.column));
        }
        (english, persian)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.row > 0 {
            write!(f, ":{}", self.row)?;
        }
        if !self.column.is_empty() {
            write!(f, ":{}", self.column)?;
        }
        Ok(())
    }
}

/// What is wrong. Each kind knows its sentence and its remedy in English and Persian.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A file, sheet or heading that must be there is not.
    Missing {
        /// What is missing, in English.
        en: String,
        /// In Persian.
        fa: String,
    },
    /// A required cell is empty.
    Empty,
    /// A heading or key nobody knows.
    UnknownColumn {
        /// As found.
        found: String,
        /// The known ones, nearest first.
        nearest: String,
    },
    /// A file or sheet nobody knows.
    UnknownSheet {
        /// As found.
        found: String,
        /// The known ones, nearest first.
        nearest: String,
    },
    /// The same heading twice.
    RepeatedColumn,
    /// A row with more cells than headings.
    ExtraCells,
    /// A value that is not of the column's type.
    BadValue {
        /// As found.
        found: String,
        /// What would be right.
        expected: String,
    },
    /// A reference to something that is not in this inventory.
    UnknownReference {
        /// As found.
        found: String,
        /// The list that was searched.
        list: &'static str,
        /// The most similar entry, empty if none is.
        nearest: String,
    },
    /// A code or name that must be unique is there twice.
    Collision {
        /// The code or name.
        found: String,
        /// Where it stands first.
        first: Place,
    },
    /// A region under a parent that cannot hold it.
    WrongLevel {
        /// The region's kind.
        child: &'static str,
        /// The parent's kind, `none` if it has no parent.
        parent: &'static str,
        /// What the parent may be.
        allowed: &'static str,
    },
    /// Something that, through its parents, depends on itself.
    Cycle {
        /// The chain, first and last the same.
        chain: String,
    },
    /// A file that cannot be read as what it claims to be.
    Unreadable {
        /// The reader's words.
        reason: String,
    },
    /// A bound was passed.
    TooLarge {
        /// What has the bound.
        what: &'static str,
        /// The bound.
        limit: u64,
    },
    /// Two values that contradict each other.
    Contradiction {
        /// In English.
        en: &'static str,
        /// In Persian.
        fa: &'static str,
    },
}

/// A fault of the input. Any fault refuses the whole import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where.
    pub place: Place,
    /// What.
    pub kind: Kind,
}

impl Fault {
    /// Builds a fault at a cell.
    pub fn at(file: &str, row: u32, column: &str, kind: Kind) -> Self {
        Fault { place: Place { file: file.to_owned(), row, column: column.to_owned() }, kind }
    }

    /// Returns what is wrong, in English.
    pub fn english(&self) -> String {
        match &self.kind {
            Kind::Missing { en, .. } => format!("{en} is missing"),
            Kind::Empty => "required value is empty".to_owned(),
            Kind::UnknownColumn { found, .. } => format!("unknown column `{found}`"),
            Kind::UnknownSheet { found, .. } => format!("unknown sheet or file `{found}`"),
            Kind::RepeatedColumn => "the column appears twice".to_owned(),
            Kind::ExtraCells => "the row has more cells than the heading".to_owned(),
            Kind::BadValue { found, expected } => format!("`{found}` is not {expected}"),
            Kind::UnknownReference { found, list, .. } => format!("`{found}` is not in {list}"),
            Kind::Collision { found, first } => format!("`{found}` collides with {first}"),
            Kind::WrongLevel { child, parent, .. } => format!("a {child} cannot stand under {parent}"),
            Kind::Cycle { chain } => format!("depends on itself: {chain}"),
            Kind::Unreadable { reason } => format!("cannot be read: {reason}"),
            Kind::TooLarge { what, limit } => format!("{what} passes the limit of {limit}"),
            Kind::Contradiction { en, .. } => (*en).to_owned(),
        }
    }

    /// Writes it as it is read beside a workbook.
    pub fn of_workbook(&self) -> String {
        let (english, persian) = self.place.of_workbook();
        format!("{english}: {}; {}\n    {persian}: {}؛ {}", self.english(), self.fix(), self.persian(), self.fix_persian())
    }

    /// Returns how to mend it, in English.
    pub fn fix(&self) -> String {
        match &self.kind {
            Kind::Missing { en, .. } => format!("add {en}"),
            Kind::Empty => "fill the cell".to_owned(),
            Kind::UnknownColumn { nearest, .. } => format!("did you mean {nearest}? remove the column if it is not needed"),
            Kind::UnknownSheet { nearest, .. } => format!("did you mean {nearest}? remove it if it is not needed"),
            Kind::RepeatedColumn => "keep one of them".to_owned(),
            Kind::ExtraCells => "put quotes around text that holds the separator".to_owned(),
            Kind::BadValue { expected, .. } => format!("write {expected}"),
            Kind::UnknownReference { list, nearest, .. } if nearest.is_empty() => format!("add it to {list} or correct the code"),
            Kind::UnknownReference { list, nearest, .. } => format!("did you mean `{nearest}`? else add it to {list}"),
            Kind::Collision { .. } => "give each its own; two regions are never merged".to_owned(),
            Kind::WrongLevel { allowed, .. } => format!("its parent must be {allowed}"),
            Kind::Cycle { .. } => "remove one of the parents in the chain".to_owned(),
            Kind::Unreadable { .. } => "save it as CSV UTF-8, XLSX or YAML".to_owned(),
            Kind::TooLarge { .. } => "split it".to_owned(),
            Kind::Contradiction { .. } => "correct one of the two".to_owned(),
        }
    }

    /// Returns what is wrong, in Persian.
    pub fn persian(&self) -> String {
        match &self.kind {
            Kind::Missing { fa, .. } => format!("{fa} وجود ندارد"),
            Kind::Empty => "مقدار الزامی خالی است".to_owned(),
            Kind::UnknownColumn { found, .. } => format!("ستون ناشناخته «{found}»"),
            Kind::UnknownSheet { found, .. } => format!("برگه ناشناخته «{found}»"),
            Kind::RepeatedColumn => "ستون دو بار آمده است".to_owned(),
            Kind::ExtraCells => "تعداد خانه‌های سطر بیشتر از سرستون‌هاست".to_owned(),
            Kind::BadValue { found, .. } => format!("مقدار «{found}» پذیرفتنی نیست"),
            Kind::UnknownReference { found, list, .. } => format!("«{found}» در {list} نیست"),
            Kind::Collision { found, first } => format!("«{found}» با {first} تداخل دارد"),
            Kind::WrongLevel { child, parent, .. } => format!("{child} نمی‌تواند زیر {parent} باشد"),
            Kind::Cycle { chain } => format!("وابستگی حلقوی: {chain}"),
            Kind::Unreadable { reason } => format!("خواندن ممکن نیست: {reason}"),
            Kind::TooLarge { limit, .. } => format!("از حد {limit} بیشتر است"),
            Kind::Contradiction { fa, .. } => (*fa).to_owned(),
        }
    }

    /// Returns how to mend it, in Persian.
    pub fn fix_persian(&self) -> String {
        match &self.kind {
            Kind::Missing { fa, .. } => format!("{fa} را اضافه کنید"),
            Kind::Empty => "خانه را پر کنید".to_owned(),
            Kind::UnknownColumn { nearest, .. } => format!("شاید {nearest}؟ اگر لازم نیست ستون را حذف کنید"),
            Kind::UnknownSheet { nearest, .. } => format!("شاید {nearest}؟ اگر لازم نیست آن را حذف کنید"),
            Kind::RepeatedColumn => "یکی را نگه دارید".to_owned(),
            Kind::ExtraCells => "متنی را که جداکننده دارد در گیومه بگذارید".to_owned(),
            Kind::BadValue { expected, .. } => format!("مقدار درست: {expected}"),
            Kind::UnknownReference { list, nearest, .. } if nearest.is_empty() => format!("آن را به {list} بیفزایید یا کد را اصلاح کنید"),
            Kind::UnknownReference { list, nearest, .. } => format!("شاید «{nearest}»؟ وگرنه آن را به {list} بیفزایید"),
            Kind::Collision { .. } => "برای هر کدام مقدار جداگانه بگذارید؛ دو ناحیه هرگز ادغام نمی‌شوند".to_owned(),
            Kind::WrongLevel { allowed, .. } => format!("والد باید {allowed} باشد"),
            Kind::Cycle { .. } => "یکی از والدهای زنجیره را حذف کنید".to_owned(),
            Kind::Unreadable { .. } => "با قالب CSV UTF-8 یا XLSX یا YAML ذخیره کنید".to_owned(),
            Kind::TooLarge { .. } => "آن را تقسیم کنید".to_owned(),
            Kind::Contradiction { .. } => "یکی از دو مقدار را اصلاح کنید".to_owned(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}\n    {}؛ {}", self.place, self.english(), self.fix(), self.persian(), self.fix_persian())
    }
}

impl serde::Serialize for Fault {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut out = serializer.serialize_struct("Fault", 7)?;
        out.serialize_field("file", &self.place.file)?;
        out.serialize_field("row", &self.place.row)?;
        out.serialize_field("column", &self.place.column)?;
        out.serialize_field("fault", &self.english())?;
        out.serialize_field("fix", &self.fix())?;
        out.serialize_field("fault_fa", &self.persian())?;
        out.serialize_field("fix_fa", &self.fix_persian())?;
        out.end()
    }
}

/// Returns the candidate most like `found`, if one is near enough to be a slip of the hand.
pub fn nearest<'a>(found: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let bound = (found.chars().count() / 3).max(1);
    candidates.map(|c| (distance(found, c, bound), c)).filter(|(d, _)| *d <= bound).min().map(|(_, c)| c)
}

/// How many candidates a person looks through.
const FEW: usize = 5;

/// Returns the candidates like `found`, the most like it first: the same but for case, slips of the hand, and those of which one
/// is the beginning of the other.
pub fn nearest_few<'a>(found: &str, candidates: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let bound = (found.chars().count() / 3).max(1);
    let folded = found.to_lowercase();
    let far = |candidate: &str| {
        let candidate = candidate.to_lowercase();
        let begins = candidate.starts_with(&folded) || folded.starts_with(&candidate);
        let distance = distance(&folded, &candidate, bound);
        if begins { Some(distance.min(bound)) } else { (distance <= bound).then_some(distance) }
    };
    let mut near: Vec<(usize, &str)> = candidates.filter_map(|candidate| Some((far(candidate)?, candidate))).collect();
    near.sort_unstable();
    near.into_iter().take(FEW).map(|(_, candidate)| candidate).collect()
}

/// Counts the edits between two words, giving up past `bound`.
fn distance(a: &str, b: &str, bound: usize) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().abs_diff(b.len()) > bound {
        return bound + 1;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.iter().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let substituted = corner + usize::from(ca != cb);
            corner = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(corner + 1);
        }
    }
    row[b.len()]
}
