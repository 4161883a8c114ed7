//! Plausible names of places, Persian and Latin.

use std::collections::HashSet;

use super::dice::Dice;

/// A name in both scripts.
pub type Name = (String, String);

const PEOPLE: &[(&str, &str)] = &[
    ("علی‌آباد", "Aliabad"),
    ("حسن‌آباد", "Hasanabad"),
    ("حسین‌آباد", "Hoseynabad"),
    ("محمدآباد", "Mohammadabad"),
    ("عباس‌آباد", "Abbasabad"),
    ("کریم‌آباد", "Karimabad"),
    ("رحمت‌آباد", "Rahmatabad"),
    ("قاسم‌آباد", "Qasemabad"),
    ("یوسف‌آباد", "Yusefabad"),
    ("ابراهیم‌آباد", "Ebrahimabad"),
    ("اسماعیل‌آباد", "Esmailabad"),
    ("نصرآباد", "Nasrabad"),
    ("شمس‌آباد", "Shamsabad"),
    ("فیض‌آباد", "Feyzabad"),
    ("خیرآباد", "Kheyrabad"),
    ("دولت‌آباد", "Dowlatabad"),
    ("امین‌آباد", "Aminabad"),
    ("سعدآباد", "Sadabad"),
    ("احمدآباد", "Ahmadabad"),
    ("جعفرآباد", "Jafarabad"),
    ("مهدی‌آباد", "Mehdiabad"),
    ("رضاآباد", "Rezaabad"),
    ("تقی‌آباد", "Taqiabad"),
    ("نقی‌آباد", "Naqiabad"),
    ("صفی‌آباد", "Safiabad"),
    ("شریف‌آباد", "Sharifabad"),
    ("اکبرآباد", "Akbarabad"),
    ("سلطان‌آباد", "Soltanabad"),
];
const THINGS: &[(&str, &str)] = &[
    ("کلاته", "Kalateh-ye"),
    ("چشمه", "Cheshmeh"),
    ("قلعه", "Qaleh"),
    ("مزرعه", "Mazraeh-ye"),
    ("باغ", "Bagh-e"),
    ("دره", "Darreh"),
    ("سرآب", "Sarab-e"),
    ("ده", "Deh-e"),
    ("گردنه", "Gardaneh-ye"),
    ("دشت", "Dasht-e"),
];
const LIKE: &[(&str, &str)] = &[
    ("سفید", "Sefid"),
    ("سیاه", "Siah"),
    ("نو", "Now"),
    ("کهنه", "Kohneh"),
    ("گل", "Gol"),
    ("شور", "Shur"),
    ("سبز", "Sabz"),
    ("انار", "Anar"),
    ("بید", "Bid"),
    ("چنار", "Chenar"),
    ("سنگ", "Sang"),
    ("گردو", "Gerdu"),
    ("بادام", "Badam"),
    ("آهو", "Ahu"),
    ("کبود", "Kabud"),
    ("زرد", "Zard"),
    ("سرخ", "Sorkh"),
    ("بلند", "Boland"),
    ("خشک", "Khoshk"),
    ("شیرین", "Shirin"),
];
const PART: &[(&str, &str)] =
    &[("", ""), ("", ""), ("", ""), ("علیا", "Olya"), ("سفلی", "Sofla"), ("وسطی", "Vosta"), ("بالا", "Bala"), ("پایین", "Pain")];

/// Makes up names, unique in one parent.
#[derive(Debug, Default)]
pub struct Namer {
    used: HashSet<String>,
}

impl Namer {
    /// Keeps a name from being drawn.
    pub fn reserve(&mut self, name: &str) {
        self.used.insert(name.to_owned());
    }

    /// Returns a name nobody under this parent has yet.
    pub fn next(&mut self, dice: &mut Dice) -> Name {
        loop {
            let (mut fa, mut en) = base(dice);
            let (part_fa, part_en) = dice.pick(PART);
            if !part_fa.is_empty() {
                fa = format!("{fa} {part_fa}");
                en = format!("{en}-e {part_en}");
            }
            if self.used.len() > EASY {
                let number = self.used.len();
                fa = format!("{fa} {number}");
                en = format!("{en} {number}");
            }
            if self.used.insert(fa.clone()) {
                return (fa, en);
            }
        }
    }
}

/// Beyond this many names under one parent, drawing unused ones would take long; a number makes them unique at once.
const EASY: usize = 400;

fn base(dice: &mut Dice) -> Name {
    if dice.below(2) == 0 {
        let (fa, en) = dice.pick(PEOPLE);
        return ((*fa).to_owned(), (*en).to_owned());
    }
    let ((thing_fa, thing_en), (like_fa, like_en)) = (dice.pick(THINGS), dice.pick(LIKE));
    (format!("{thing_fa} {like_fa}"), format!("{thing_en} {like_en}"))
}
