//! What a decree may change of a definition: its limits and the village policy.

use crate::engine::VillagePolicy;
use crate::inventory::{Criticality, word_enum};

word_enum! {
    /// The name of a term.
    Term {
        /// Which paths connect a village: `either`, `mobile_public` or `dehyari_uplink`.
        Policy = "policy",
        /// Share of known time in which a thing must work to count as connected.
        Connected = "connected",
        /// Share of time that must be known to judge at all.
        Measured = "measured",
        /// Share of attempts that must be good for a service to work.
        Works = "works",
        /// Availability of a village with a meaningful connection.
        Available = "available",
        /// Its download, Mbps.
        DownloadMbps = "download_mbps",
        /// Its upload, Mbps.
        UploadMbps = "upload_mbps",
        /// Availability promised to class A.
        SlaA = "sla_a",
        /// Availability promised to class B.
        SlaB = "sla_b",
        /// Availability promised to class C.
        SlaC = "sla_c",
    }
}

word_enum! {
    /// Which text of the catalogue a version stands on.
    Rules {
        /// The catalogue's first text.
        First = "1",
        /// The text decided after an independent recomputation (`kpis.md`, "Version 2").
        Second = "2",
    }
}

/// The terms a version of a definition stands on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Terms {
    /// Which text of the catalogue is computed; no decree changes it.
    pub rules: Rules,
    /// Which paths connect a village.
    pub policy: VillagePolicy,
    /// Share of known time in which a thing must work to count as connected.
    pub connected: f64,
    /// Share of time that must be known to judge at all.
    pub measured: f64,
    /// Share of attempts that must be good for a service to work.
    pub works: f64,
    /// Availability of a village with a meaningful connection.
    pub available: f64,
    /// Its download and upload, Mbps.
    pub mbps: (f64, f64),
    /// Availability promised to classes A, B and C.
    pub sla: [f64; 3],
}

impl Terms {
    /// The terms of every first version (`kpis.md`).
    pub const FIRST: Terms = Terms {
        rules: Rules::First,
        policy: VillagePolicy::Either,
        connected: 0.90,
        measured: 0.50,
        works: 0.95,
        available: 0.95,
        mbps: (5.0, 1.0),
        sla: [0.995, 0.990, 0.950],
    };

    /// Returns the availability a class promises.
    pub const fn promised(&self, class: Criticality) -> f64 {
        match class {
            Criticality::A => self.sla[0],
            Criticality::B => self.sla[1],
            Criticality::C => self.sla[2],
        }
    }

    /// Writes a term as [`Terms::set`] reads it.
    pub fn get(&self, term: Term) -> String {
        match term {
            Term::Policy => self.policy.to_string(),
            Term::Connected => self.connected.to_string(),
            Term::Measured => self.measured.to_string(),
            Term::Works => self.works.to_string(),
            Term::Available => self.available.to_string(),
            Term::DownloadMbps => self.mbps.0.to_string(),
            Term::UploadMbps => self.mbps.1.to_string(),
            Term::SlaA => self.sla[0].to_string(),
            Term::SlaB => self.sla[1].to_string(),
            Term::SlaC => self.sla[2].to_string(),
        }
    }

    /// Sets a term.
    ///
    /// # Errors
    /// What is wrong with the value, and what it may be.
    pub fn set(&mut self, term: Term, text: &str) -> Result<(), String> {
        let (place, most) = match term {
            Term::Policy => {
                self.policy = text.parse()?;
                return Ok(());
            }
            Term::Connected => (&mut self.connected, 1.0),
            Term::Measured => (&mut self.measured, 1.0),
            Term::Works => (&mut self.works, 1.0),
            Term::Available => (&mut self.available, 1.0),
            // A village behind one mast is not promised more than the mast carries.
            Term::DownloadMbps => (&mut self.mbps.0, 10_000.0),
            Term::UploadMbps => (&mut self.mbps.1, 10_000.0),
            Term::SlaA => (&mut self.sla[0], 1.0),
            Term::SlaB => (&mut self.sla[1], 1.0),
            Term::SlaC => (&mut self.sla[2], 1.0),
        };
        let value = text.parse::<f64>().ok().filter(|value| (0.0..=most).contains(value));
        *place = value.ok_or_else(|| format!("`{text}` is no value of {term}: a number from 0 to {most}"))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_term_reads_back_and_refuses_nonsense() {
        for term in Term::ALL {
            let mut terms = Terms::FIRST;
            terms.set(*term, &Terms::FIRST.get(*term)).unwrap();
            assert_eq!(terms, Terms::FIRST);
            for wrong in ["", "-0.1", "20000", "NaN", "everything"] {
                assert!(
                    terms.set(*term, wrong).unwrap_err().contains(if *term == Term::Policy { "either" } else { "from 0" }),
                    "{term} {wrong}"
                );
            }
            terms.set(*term, if *term == Term::Policy { "dehyari_uplink" } else { "0.25" }).unwrap();
            assert_ne!(terms, Terms::FIRST, "{term}");
        }
    }
}
