//! `mos_est`: how speech would sound over the link.

use crate::history::Histogram;
use crate::kpi::facts::Rounds;
use crate::kpi::{Breakdown, Counted, Form, Kpi, LinkFact, Measure, Tally, Unit};

/// The definition.
pub const KPI: Kpi = Kpi {
    id: "mos_est",
    names: ("کیفیت صدای برآوردی", "estimated voice quality"),
    formula: (
        "میانه برآورد MOS لینک‌ها از میانه تأخیر، میانه لرزش و اتلاف، با کوتاه‌شده مدل E",
        "median over links of MOS from their median delay, median delay variation and loss, by the short form of the E-model",
    ),
    unit: Unit::Mos,
    form: Form::Median,
    by: &[Breakdown::Region, Breakdown::Operator],
    basis: "G.107 shortcut",
    needs: ("پینگ پاسخ‌دار با لرزش", "answered pings with delay variation"),
    counts: (Counted::Nothing, Counted::Links),
    measures: &[Measure::Link(|link| measure(link, |rounds| (&rounds.rtt_us, &rounds.pdv_us)))],
    second: Some(|first| Kpi {
        formula: (
            "میانه برآورد MOS لینک‌ها از میانه تأخیر (RTT) و میانه لرزش بسته‌ها به م‌ث و اتلاف به درصد، با کوتاه‌شده مدل E: eff = RTT/2 + 2·jitter + 10؛ R = 93.2 − eff/40 اگر eff < 160، وگرنه 93.2 − (eff − 120)/10، منهای 2.5·loss؛ R به بازه 0 تا 100 بریده می‌شود؛ MOS = 1 + 0.035·R + 0.000007·R·(R − 60)·(100 − R)، بریده به 1 تا 4.5؛ لینک بی‌پاسخ یا بی‌لرزش شمرده نمی‌شود",
            "median over links of MOS from their packets' median delay (RTT) and median delay variation (jitter), ms, and from loss, percent, by the short form of the E-model: eff = RTT/2 + 2·jitter + 10; R = 93.2 − eff/40 if eff < 160, else 93.2 − (eff − 120)/10, less 2.5·loss; R is cut to 0 to 100; MOS = 1 + 0.035·R + 0.000007·R·(R − 60)·(100 − R), cut to 1 to 4.5; a link without answers or without delay variation is not counted",
        ),
        whole: true,
        measures: &[Measure::Link(|link| measure(link, |rounds| (&rounds.packet_rtt_us, &rounds.packet_pdv_us)))],
        ..*first
    }),
    ..Kpi::BASE
};

/// Estimates MOS from round-trip time and jitter in milliseconds and loss as a ratio (`kpis.md`).
pub fn mos(rtt_ms: f64, jitter_ms: f64, loss: f64) -> f64 {
    let effective = rtt_ms / 2.0 + 2.0 * jitter_ms + 10.0;
    let delay = if effective < 160.0 { effective / 40.0 } else { (effective - 120.0) / 10.0 };
    let r = (93.2 - delay - 2.5 * loss * 100.0).clamp(0.0, 100.0);
    (1.0 + 0.035 * r + 7e-6 * r * (r - 60.0) * (100.0 - r)).clamp(1.0, 4.5)
}

/// Picks the distributions of delay and of delay variation.
type Pick = fn(&Rounds) -> (&Histogram, &Histogram);

fn measure(link: &LinkFact<'_>, pick: Pick) -> Option<Tally> {
    let rounds = link.facts.rounds.as_ref()?;
    let (delay, variation) = pick(rounds);
    let ms = |us: i64| us as f64 / 1_000.0;
    let rtt = ms(delay.quantile(0.5)?);
    let jitter = ms(variation.quantile(0.5)?);
    let loss = if rounds.sent > 0 { rounds.lost as f64 / rounds.sent as f64 } else { 0.0 };
    let seconds = link.facts.state;
    Some(Tally::mean(0.0, 1.0, (seconds.known() as f64, seconds.unknown as f64)).with_value(mos(rtt, jitter, loss)))
}

#[cfg(test)]
mod tests {
    use super::mos;

    #[test]
    fn good_links_sound_good_and_the_worst_is_one() {
        // RTT 40 ms, jitter 5 ms: effective 40 ms, R 92.2, MOS 1 + 3.227 + 7e-6·92.2·32.2·7.8 = 4.389.
        assert!((mos(40.0, 5.0, 0.0) - 4.389).abs() < 0.001);
        // RTT 600 ms, jitter 50 ms: effective 410 ms, R 93.2 − 29 = 64.2; 10 % loss: 39.2, MOS 2.018.
        assert!((mos(600.0, 50.0, 0.1) - (1.0 + 0.035 * 39.2 + 7e-6 * 39.2 * (39.2 - 60.0) * 60.8)).abs() < 1e-9);
        assert_eq!(mos(600.0, 50.0, 1.0), 1.0);
    }
}
