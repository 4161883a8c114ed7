//! The sums a synthetic province reproduces exactly (`inventory.md`).

use crate::inventory::Access;

/// Villages of a household band, and how many of them are declared connected to the national network.
#[derive(Debug, Clone, Copy)]
pub struct BandSum {
    /// Fewest and most households; the last band is open and gets a long tail.
    pub households: (u32, u32),
    /// Villages.
    pub villages: usize,
    /// Declared connected.
    pub declared: usize,
}

/// Everything counted in one province.
#[derive(Debug, Clone)]
pub struct Sums {
    /// Statistical Centre code.
    pub code: String,
    /// Names, Persian and Latin.
    pub names: (&'static str, &'static str),
    /// County names, Persian and Latin; numbered names where there are more counties.
    pub county_names: &'static [(&'static str, &'static str)],
    /// Counties.
    pub counties: usize,
    /// Districts.
    pub districts: usize,
    /// Rural districts.
    pub rural_districts: usize,
    /// Cities; each has a municipality.
    pub cities: usize,
    /// Inhabited villages by household band.
    pub bands: [BandSum; 8],
    /// Villages without inhabitants.
    pub uninhabited: usize,
    /// Percent of villages whose best technology is 4G, 3G, 2G, none.
    pub technology: [f64; 4],
    /// Villages with a fixed line.
    pub fixed_lines: usize,
    /// Dehyaris by grade 1 to 6.
    pub dehyaris: [usize; 6],
    /// Governorate headquarters.
    pub headquarters: usize,
    /// County offices of agencies.
    pub county_offices: usize,
    /// Provincial directorates.
    pub provincial_offices: usize,
    /// Public bodies.
    pub public_bodies: usize,
    /// Rural ICT offices.
    pub ict_offices: usize,
    /// Percent of dehyari uplinks by technology.
    pub uplinks: [(Access, f64); 8],
    /// Percent of mobile links by operator.
    pub operators: &'static [(&'static str, f64)],
    /// South, north, west, east in degrees.
    pub bounds: (f64, f64, f64, f64),
}

const LIMITS: [(u32, u32); 8] = [(1, 4), (5, 9), (10, 15), (16, 19), (20, 30), (31, 70), (71, 100), (101, 1_500)];

fn bands(villages: [usize; 8], declared: [usize; 8]) -> [BandSum; 8] {
    std::array::from_fn(|at| BandSum { households: LIMITS[at], villages: villages[at], declared: declared[at] })
}

fn uplinks(percent: [f64; 8]) -> [(Access, f64); 8] {
    use Access::{Dsl, Fibre, Gsm, Lte, Radio, TdLte, Umts, Vsat};
    let kinds = [Lte, Umts, Gsm, TdLte, Dsl, Fibre, Radio, Vsat];
    std::array::from_fn(|at| (kinds[at], percent[at]))
}

/// A province of the size of Khorasan Razavi.
pub fn kr() -> Sums {
    Sums {
        code: "09".to_owned(),
        names: ("خراسان رضوی", "Khorasan Razavi"),
        county_names: KR_COUNTIES,
        counties: 34,
        districts: 83,
        rural_districts: 182,
        cities: 113,
        bands: bands([562, 400, 326, 192, 386, 841, 322, 1_011], [20, 50, 95, 90, 243, 718, 312, 1_005]),
        uninhabited: 0,
        technology: [80.0, 10.0, 3.0, 7.0],
        fixed_lines: 3_151,
        dehyaris: [1_164, 533, 271, 226, 205, 16],
        headquarters: 5,
        county_offices: 1_290,
        provincial_offices: 140,
        public_bodies: 120,
        ict_offices: 300,
        uplinks: uplinks([62.0, 8.0, 2.0, 5.0, 10.0, 6.0, 6.0, 1.0]),
        operators: &[("mci", 58.0), ("irancell", 40.0), ("rightel", 2.0)],
        bounds: (33.9, 37.6, 56.4, 61.2),
    }
}

/// A province of the size of Lorestan.
pub fn lorestan() -> Sums {
    Sums {
        code: "15".to_owned(),
        names: ("لرستان", "Lorestan"),
        county_names: LORESTAN_COUNTIES,
        counties: 12,
        districts: 36,
        rural_districts: 90,
        cities: 39,
        bands: bands([449, 319, 260, 153, 237, 516, 197, 619], [0, 0, 45, 15, 78, 326, 181, 600]),
        uninhabited: 3_407 - 2_750,
        technology: [76.0, 12.0, 3.0, 9.0],
        fixed_lines: 2_255,
        dehyaris: [655, 300, 153, 127, 115, 9],
        headquarters: 4,
        county_offices: 480,
        provincial_offices: 60,
        public_bodies: 36,
        ict_offices: 115,
        uplinks: uplinks([66.0, 10.0, 3.0, 3.0, 7.0, 3.0, 7.0, 1.0]),
        operators: &[("mci", 65.0), ("irancell", 34.0), ("rightel", 1.0)],
        bounds: (32.7, 34.3, 46.9, 50.0),
    }
}

/// One county with a dozen villages, for a first look.
pub fn demo() -> Sums {
    Sums {
        counties: 1,
        districts: 2,
        rural_districts: 3,
        cities: 2,
        bands: bands([0, 1, 1, 1, 2, 3, 2, 2], [0, 0, 0, 1, 1, 3, 2, 2]),
        fixed_lines: 9,
        dehyaris: [3, 2, 1, 1, 1, 0],
        headquarters: 1,
        county_offices: 2,
        provincial_offices: 1,
        public_bodies: 1,
        ict_offices: 1,
        ..kr()
    }
}

/// Three counties of some two hundred sites, for tests that follow each of them.
pub fn small() -> Sums {
    Sums {
        counties: 3,
        districts: 7,
        rural_districts: 14,
        cities: 5,
        bands: bands([14, 10, 8, 5, 10, 21, 8, 25], [0, 1, 2, 2, 6, 18, 8, 25]),
        fixed_lines: 79,
        dehyaris: [29, 13, 7, 6, 5, 0],
        headquarters: 1,
        county_offices: 30,
        provincial_offices: 4,
        public_bodies: 3,
        ict_offices: 8,
        ..kr()
    }
}

/// Villages of the country by household band, under 20 households in one band (census of 1395).
pub const NATIONAL_BANDS: [usize; 5] = [22_819, 5_950, 12_971, 4_967, 15_577];

/// The other provinces: code, names, counties. Their offices are only those of the counties and districts.
pub fn others(dice: &mut super::dice::Dice) -> Vec<Sums> {
    let (kr, lorestan) = (kr(), lorestan());
    let taken = |at: usize| kr.bands[at].villages + lorestan.bands[at].villages;
    let small = super::dice::apportion(NATIONAL_BANDS[0] - (0..4).map(taken).sum::<usize>(), &[562.0, 400.0, 326.0, 192.0]);
    let rest: Vec<usize> = small.into_iter().chain((4..8).map(|at| NATIONAL_BANDS[at - 3] - taken(at))).collect();
    let shares: Vec<Vec<usize>> = rest.iter().map(|total| dice.divide(*total, PROVINCES.len(), 1)).collect();
    let mut all = Vec::new();
    for (at, &(code, fa, en)) in PROVINCES.iter().enumerate() {
        let villages: [usize; 8] = std::array::from_fn(|band| shares[band][at]);
        let declared = std::array::from_fn(|band| villages[band] * kr.bands[band].declared / kr.bands[band].villages);
        let total: usize = villages.iter().sum();
        let counties = dice.between(8, 22) as usize;
        let (row, column) = (at / 6, at % 6);
        let (south, west) = (26.0 + row as f64 * 2.4, 45.0 + column as f64 * 2.8);
        all.push(Sums {
            code: code.to_owned(),
            names: (fa, en),
            county_names: &[],
            counties,
            districts: counties * 5 / 2,
            rural_districts: (total / 24).max(counties * 5 / 2),
            cities: counties * 2,
            bands: bands(villages, declared),
            fixed_lines: total * 8 / 10,
            dehyaris: [0; 6],
            headquarters: 1,
            county_offices: 0,
            provincial_offices: 0,
            public_bodies: 0,
            ict_offices: 0,
            bounds: (south, south + 2.4, west, west + 2.8),
            ..kr.clone()
        });
    }
    all
}

const KR_COUNTIES: &[(&str, &str)] = &[
    ("مشهد", "Mashhad"),
    ("نیشابور", "Neyshabur"),
    ("سبزوار", "Sabzevar"),
    ("تربت حیدریه", "Torbat-e Heydarieh"),
    ("تربت جام", "Torbat-e Jam"),
    ("قوچان", "Quchan"),
    ("کاشمر", "Kashmar"),
    ("چناران", "Chenaran"),
    ("سرخس", "Sarakhs"),
    ("فریمان", "Fariman"),
    ("گناباد", "Gonabad"),
    ("درگز", "Dargaz"),
    ("تایباد", "Taybad"),
    ("خواف", "Khaf"),
    ("بردسکن", "Bardaskan"),
    ("خلیل‌آباد", "Khalilabad"),
    ("مه‌ولات", "Mahvelat"),
    ("رشتخوار", "Roshtkhar"),
    ("جغتای", "Joghatai"),
    ("جوین", "Joveyn"),
    ("بجستان", "Bajestan"),
    ("فیروزه", "Firuzeh"),
    ("باخرز", "Bakharz"),
    ("زاوه", "Zaveh"),
    ("کلات", "Kalat"),
    ("داورزن", "Davarzan"),
    ("خوشاب", "Khoshab"),
    ("بینالود", "Binalud"),
    ("صالح‌آباد", "Salehabad"),
    ("ششتمد", "Sheshtamad"),
    ("کوهسرخ", "Kuhsorkh"),
    ("گلبهار", "Golbahar"),
    ("میان‌جلگه", "Miyan Jolgeh"),
    ("زبرخان", "Zeberkhan"),
];

const LORESTAN_COUNTIES: &[(&str, &str)] = &[
    ("خرم‌آباد", "Khorramabad"),
    ("بروجرد", "Borujerd"),
    ("دورود", "Dorud"),
    ("کوهدشت", "Kuhdasht"),
    ("الیگودرز", "Aligudarz"),
    ("ازنا", "Azna"),
    ("دلفان", "Delfan"),
    ("سلسله", "Selseleh"),
    ("پلدختر", "Poldokhtar"),
    ("رومشکان", "Rumeshkan"),
    ("چگنی", "Chegeni"),
    ("معمولان", "Mamulan"),
];

const PROVINCES: &[(&str, &str, &str)] = &[
    ("00", "مرکزی", "Markazi"),
    ("01", "گیلان", "Gilan"),
    ("02", "مازندران", "Mazandaran"),
    ("03", "آذربایجان شرقی", "East Azerbaijan"),
    ("04", "آذربایجان غربی", "West Azerbaijan"),
    ("05", "کرمانشاه", "Kermanshah"),
    ("06", "خوزستان", "Khuzestan"),
    ("07", "فارس", "Fars"),
    ("08", "کرمان", "Kerman"),
    ("10", "اصفهان", "Isfahan"),
    ("11", "سیستان و بلوچستان", "Sistan and Baluchestan"),
    ("12", "کردستان", "Kurdistan"),
    ("13", "همدان", "Hamadan"),
    ("14", "چهارمحال و بختیاری", "Chaharmahal and Bakhtiari"),
    ("16", "ایلام", "Ilam"),
    ("17", "کهگیلویه و بویراحمد", "Kohgiluyeh and Boyer-Ahmad"),
    ("18", "بوشهر", "Bushehr"),
    ("19", "زنجان", "Zanjan"),
    ("20", "سمنان", "Semnan"),
    ("21", "یزد", "Yazd"),
    ("22", "هرمزگان", "Hormozgan"),
    ("23", "تهران", "Tehran"),
    ("24", "اردبیل", "Ardabil"),
    ("25", "قم", "Qom"),
    ("26", "قزوین", "Qazvin"),
    ("27", "گلستان", "Golestan"),
    ("28", "خراسان شمالی", "North Khorasan"),
    ("29", "خراسان جنوبی", "South Khorasan"),
    ("30", "البرز", "Alborz"),
];
