//! A sample: the immutable result of one round of one target.

use crate::coded::coded_enum;
use crate::time::MonoMs;

coded_enum! {
    /// The network a link belongs to, or a target stands for.
    Network {
        /// شبکه دولت, the government network.
        Gov = 1, "gov";
        /// شبکه APN روستایی, the rural APN over 4G SIMs.
        Apn = 2, "apn";
        /// شبکه ملی اطلاعات, the national information network.
        Nin = 3, "nin";
        /// The international internet.
        Internet = 4, "internet";
    }
}

coded_enum! {
    /// A rung of the fault ladder; the number is its height, the lowest broken rung wins.
    Rung {
        /// Our own collector (`COL`).
        Collector = 0, "collector";
        /// Mains power, UPS, battery (`PWR`).
        Power = 1, "power";
        /// Router or agent (`DEV`).
        Device = 2, "device";
        /// Modem (`MDM`).
        Modem = 3, "modem";
        /// SIM or data plan (`SIM`).
        Sim = 4, "sim";
        /// Radio and BTS (`RAD`).
        Radio = 5, "radio";
        /// Bearer and APN (`APN`).
        Bearer = 6, "bearer";
        /// APN gateway and tunnel (`GWY`).
        Gateway = 7, "gateway";
        /// County PoP and last-mile government link (`POP`).
        Pop = 8, "pop";
        /// Provincial core (`COR`).
        Core = 9, "core";
        /// National information network (`NIN`).
        Nin = 10, "nin";
        /// International internet (`INT`).
        International = 11, "international";
        /// Names and certificates: DNS, TLS, clock (`NAM`).
        Naming = 12, "naming";
        /// Service or exchange (`SVC`).
        Service = 13, "service";
    }
}

impl Rung {
    /// Returns the three-letter cause code of `domain.md`'s fault ladder.
    pub const fn cause_code(self) -> &'static str {
        match self {
            Rung::Collector => "COL",
            Rung::Power => "PWR",
            Rung::Device => "DEV",
            Rung::Modem => "MDM",
            Rung::Sim => "SIM",
            Rung::Radio => "RAD",
            Rung::Bearer => "APN",
            Rung::Gateway => "GWY",
            Rung::Pop => "POP",
            Rung::Core => "COR",
            Rung::Nin => "NIN",
            Rung::International => "INT",
            Rung::Naming => "NAM",
            Rung::Service => "SVC",
            Rung::Unknown(_) => "UNK",
        }
    }

    /// Tells whether a target on this rung is an anchor: a place on `network`'s own path whose answer proves that a
    /// link of that network carries traffic. The international rung is an anchor only of the internet itself.
    pub const fn is_anchor_of(self, network: Network) -> bool {
        match self {
            Rung::Gateway | Rung::Pop | Rung::Core | Rung::Nin => true,
            Rung::International => matches!(network, Network::Internet),
            _ => false,
        }
    }
}

coded_enum! {
    /// The method of a probe.
    ProbeKind {
        /// ICMP echo.
        Icmp = 1, "icmp";
        /// TCP connect.
        Tcp = 2, "tcp";
        /// DNS query.
        Dns = 3, "dns";
        /// HTTP or HTTPS request.
        Http = 4, "http";
        /// TLS handshake without HTTP.
        Tls = 5, "tls";
        /// SIP OPTIONS.
        Sip = 6, "sip";
        /// NTP offset.
        Ntp = 7, "ntp";
        /// Traceroute and path MTU.
        Path = 8, "path";
        /// SNMP read of a device.
        Snmp = 9, "snmp";
        /// Modem, by AT, uqmi, mmcli, HiLink or ubus.
        Modem = 10, "modem";
        /// The router or node itself.
        Host = 11, "host";
        /// Throughput test.
        Throughput = 12, "throughput";
        /// USSD request.
        Ussd = 13, "ussd";
        /// A Nagios-compatible plugin.
        Exec = 14, "exec";
        /// The agent about itself: spool, plan, clock.
        Agent = 15, "agent";
    }
}

coded_enum! {
    /// What came of a round.
    Outcome {
        /// The target answered as expected (`measurement`).
        Ok = 0, "ok";
        /// No answer before the deadline.
        Timeout = 1, "timeout";
        /// The target refused: TCP reset, ICMP port unreachable.
        Refused = 2, "refused";
        /// The network said it cannot reach the target.
        Unreachable = 3, "unreachable";
        /// The name did not resolve.
        ResolveFailed = 4, "resolve_failed";
        /// The TLS handshake or the certificate chain failed.
        TlsFailed = 5, "tls_failed";
        /// The certificate is outside its validity because our clock is wrong, not the certificate.
        ClockFault = 6, "clock_fault";
        /// The target answered something else: status, keyword, address, code.
        Unexpected = 7, "unexpected";
        /// The answer could not be read.
        Malformed = 8, "malformed";
        /// The link's interface or source address is not there.
        LinkGone = 9, "link_gone";
        /// The agent lacks the privilege for this probe.
        NotPermitted = 10, "not_permitted";
        /// The round was postponed or skipped: budget, busy line, shutdown.
        NotRun = 11, "not_run";
        /// The operating system failed in another way.
        SystemError = 12, "system_error";
    }
}

/// What an outcome says about the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The target works.
    Success,
    /// The target or the way to it does not.
    Failure,
    /// Nothing was learnt; it counts neither way.
    NoEvidence,
}

impl Outcome {
    /// Returns what this outcome proves.
    pub const fn verdict(self) -> Verdict {
        match self {
            Outcome::Ok => Verdict::Success,
            Outcome::NotPermitted | Outcome::NotRun | Outcome::SystemError | Outcome::Unknown(_) => Verdict::NoEvidence,
            _ => Verdict::Failure,
        }
    }

    /// Tells whether packets came back from the target although the answer was not what was asked for, so the path
    /// itself carries traffic.
    pub const fn proves_path(self) -> bool {
        matches!(self, Outcome::Ok | Outcome::Refused | Outcome::TlsFailed | Outcome::ClockFault | Outcome::Unexpected | Outcome::Malformed)
    }
}

/// A series' place in its [`crate::SeriesTable`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeriesIndex(pub u16);

/// The immutable result of one round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Which target, in the batch's series table.
    pub series: SeriesIndex,
    /// When the round was due, monotonic; carried at 100 ms resolution.
    pub at: MonoMs,
    /// What came of it.
    pub outcome: Outcome,
    /// One place for each metric of the series, in the series' order; `None` where there was no reply to measure.
    pub values: Vec<Option<i64>>,
}

/// A sample wherever its values lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampleRef<'a> {
    /// Which target, in the batch's series table.
    pub series: SeriesIndex,
    /// When the round was due.
    pub at: MonoMs,
    /// What came of it.
    pub outcome: Outcome,
    /// One place for each metric of the series.
    pub values: &'a [Option<i64>],
}

impl<'a> From<&'a Sample> for SampleRef<'a> {
    fn from(sample: &'a Sample) -> Self {
        SampleRef { series: sample.series, at: sample.at, outcome: sample.outcome, values: &sample.values }
    }
}

/// Samples whose values lie in one piece: for who reads thousands of batches, where an allocation for each sample shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Samples {
    pub(crate) rounds: Vec<(SeriesIndex, MonoMs, Outcome)>,
    /// Where the values of each end; those of the next begin there.
    pub(crate) ends: Vec<usize>,
    pub(crate) values: Vec<Option<i64>>,
}

impl Samples {
    /// Makes room for so many samples and values.
    pub fn with_capacity(samples: usize, values: usize) -> Self {
        Samples { rounds: Vec::with_capacity(samples), ends: Vec::with_capacity(samples), values: Vec::with_capacity(values) }
    }

    /// Returns how many samples there are.
    pub fn count(&self) -> usize {
        self.rounds.len()
    }

    /// Adds a sample.
    pub fn push(&mut self, sample: SampleRef<'_>) {
        self.values.extend_from_slice(sample.values);
        self.rounds.push((sample.series, sample.at, sample.outcome));
        self.ends.push(self.values.len());
    }

    /// Lists the samples in the order they came.
    pub fn iter(&self) -> impl Iterator<Item = SampleRef<'_>> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let values = starts.zip(&self.ends).map(|(start, end)| &self.values[start..*end]);
        self.rounds.iter().zip(values).map(|((series, at, outcome), values)| SampleRef {
            series: *series,
            at: *at,
            outcome: *outcome,
            values,
        })
    }
}

impl<'a> FromIterator<SampleRef<'a>> for Samples {
    fn from_iter<I: IntoIterator<Item = SampleRef<'a>>>(samples: I) -> Self {
        let mut all = Samples::default();
        samples.into_iter().for_each(|sample| all.push(sample));
        all
    }
}

impl From<SampleRef<'_>> for Sample {
    fn from(sample: SampleRef<'_>) -> Self {
        Sample { series: sample.series, at: sample.at, outcome: sample.outcome, values: sample.values.to_vec() }
    }
}
