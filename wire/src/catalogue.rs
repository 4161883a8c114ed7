//! The metric catalogue: every value the product measures, once, with its name, unit, kind, meaning and standard.
//!
//! Values are integers. A metric's [`Precision`] is what the wire keeps: the encoder rounds to it, and it is chosen so
//! that rounding stays below the measurement's own error. A metric with a `base` is coded as its difference to the base
//! in the same sample, because the two move together. The metrics with a base are those of the first version: a reader that
//! does not know a metric must still know which differences its column holds.

use crate::precision::Precision;

/// What a number of a metric counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MetricKind {
    /// A value at an instant.
    Gauge,
    /// A total that only grows until it is reset.
    Counter,
}

/// A unit's symbol, as pages and exports print it.
pub type Unit = &'static str;

/// One row of the catalogue.
#[derive(Debug, Clone, Copy)]
pub struct MetricInfo {
    /// The stable name in files, JSON and exports.
    pub name: &'static str,
    /// The unit of the integer.
    pub unit: Unit,
    /// Gauge or counter.
    pub kind: MetricKind,
    /// What the wire keeps of a value.
    pub precision: Precision,
    /// The metric this one is coded against, if both are in a sample.
    pub base: Option<Metric>,
    /// One sentence for people.
    pub meaning: &'static str,
    /// Where the definition comes from; `-` when it is ours.
    pub standard: &'static str,
}

/// What is known of a metric of a later version: that its differences are taken to its own value before, and that a code read
/// and written again is the same code.
const UNKNOWN: MetricInfo = MetricInfo {
    name: "unknown",
    unit: "-",
    kind: MetricKind::Gauge,
    precision: Precision::Step(1),
    base: None,
    meaning: "A metric of a later version.",
    standard: "-",
};

macro_rules! catalogue {
    ($($variant:ident $code:literal $name:literal $unit:literal $kind:ident $precision:ident($step:literal) $base:expr, $meaning:literal, $standard:literal;)+) => {
        /// A metric; the number is its wire code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Metric {
            $(#[doc = $meaning] $variant,)+
            /// A metric of a later version. Its values are the wire's codes, to be passed on unchanged.
            Unknown(u16),
        }

        impl Metric {
            /// Lists the whole catalogue of this version in wire order.
            pub const ALL: &'static [Metric] = &[$(Metric::$variant,)+];

            /// Returns the number that stands for this on the wire. It never changes meaning.
            pub const fn code(self) -> u16 {
                match self { $(Metric::$variant => $code,)+ Metric::Unknown(code) => code }
            }

            /// Tells whether this version knows the metric.
            pub const fn is_known(self) -> bool { !matches!(self, Metric::Unknown(_)) }

            /// Reads a wire number; `None` for one this version does not know.
            pub const fn from_code(code: u32) -> Option<Self> {
                match code { $($code => Some(Metric::$variant),)+ _ => None }
            }

            /// Reads a wire number, one of a later version too; `None` for what no version uses.
            pub const fn from_wire(code: u32) -> Option<Self> {
                match Self::from_code(code) {
                    None if code <= u16::MAX as u32 => Some(Metric::Unknown(code as u16)),
                    known => known,
                }
            }

            /// Returns the catalogue row.
            pub const fn info(self) -> &'static MetricInfo {
                match self {
                    $(Metric::$variant => &MetricInfo {
                        name: $name, unit: $unit, kind: MetricKind::$kind, precision: Precision::$precision($step), base: $base,
                        meaning: $meaning, standard: $standard,
                    },)+
                    Metric::Unknown(_) => &UNKNOWN,
                }
            }
        }
    };
}

impl Metric {
    /// Returns the stable name.
    pub const fn name(self) -> &'static str {
        self.info().name
    }

    /// Finds a metric by its stable name.
    pub fn by_name(name: &str) -> Option<Metric> {
        Metric::ALL.iter().copied().find(|m| m.name() == name)
    }
}

catalogue! {
    Sent 1 "sent" "count" Gauge Step(1) None, "Packets sent in the round.", "RFC 2680";
    Received 2 "received" "count" Gauge Step(1) Some(Metric::Sent), "Replies received within the waiting time.", "RFC 2680";
    Duplicates 3 "duplicates" "count" Gauge Step(1) None, "Replies received more than once.", "RFC 5560";
    RttUsMin 10 "rtt_us_min" "us" Gauge Significant(10) None, "Smallest round-trip time of the round.", "RFC 2681";
    RttUsP50 11 "rtt_us_p50" "us" Gauge Significant(10) Some(Metric::RttUsMin), "Median round-trip time of the round.", "RFC 2681";
    RttUsP90 12 "rtt_us_p90" "us" Gauge Significant(10) Some(Metric::RttUsP50), "90th percentile of the round-trip times of the round.", "RFC 2681";
    RttUsMax 13 "rtt_us_max" "us" Gauge Significant(10) Some(Metric::RttUsP50), "Largest round-trip time of the round.", "RFC 2681";
    PdvUsP95 14 "pdv_us_p95" "us" Gauge Significant(10) None, "95th percentile of RTT minus the round's smallest RTT.", "RFC 5481";
    IpdvUsMean 15 "ipdv_us_mean" "us" Gauge Significant(10) None, "Mean absolute difference of consecutive RTTs.", "RFC 3393";
    ResolveUs 20 "resolve_us" "us" Gauge Significant(10) None, "Name resolution phase.", "-";
    ConnectUs 21 "connect_us" "us" Gauge Significant(10) None, "TCP connect phase.", "RFC 9293";
    TlsUs 22 "tls_us" "us" Gauge Significant(10) None, "TLS handshake phase.", "RFC 8446";
    FirstByteUs 23 "first_byte_us" "us" Gauge Significant(10) None, "Request sent to first byte of the answer.", "RFC 9110";
    TransferUs 24 "transfer_us" "us" Gauge Significant(10) None, "First byte to last byte of the answer.", "RFC 9110";
    HttpStatus 25 "http_status" "code" Gauge Step(1) None, "HTTP status code.", "RFC 9110";
    BodyBytes 26 "body_bytes" "bytes" Gauge Step(1) None, "Bytes of body read, up to the limit.", "RFC 9110";
    CertificateS 27 "certificate_s" "s" Gauge Step(3600) None, "Time until the first certificate of the chain expires; negative once expired.", "RFC 5280";
    QueryUs 28 "query_us" "us" Gauge Significant(10) None, "DNS query to answer.", "RFC 1035";
    DnsRcode 29 "dns_rcode" "code" Gauge Step(1) None, "DNS response code.", "RFC 1035";
    Answers 30 "answers" "count" Gauge Step(1) None, "Records in the DNS answer.", "RFC 1035";
    SipStatus 31 "sip_status" "code" Gauge Step(1) None, "SIP status code.", "RFC 3261";
    NtpOffsetUs 32 "ntp_offset_us" "us" Gauge Significant(10) None, "Server clock minus ours.", "RFC 5905";
    NtpStratum 33 "ntp_stratum" "count" Gauge Step(1) None, "Server stratum.", "RFC 5905";
    Hops 34 "hops" "count" Gauge Step(1) None, "Hops to the target or to the last router that answered.", "-";
    PathMtu 35 "path_mtu" "bytes" Gauge Step(1) None, "Largest packet that passes unfragmented.", "RFC 8899";
    LastHop 36 "last_hop" "address" Gauge Step(1) None, "IPv4 address of the last router that answered, as a number.", "-";
    MtuBlackHole 37 "mtu_black_hole" "flag" Gauge Step(1) None, "1 when large packets vanish without an ICMP message.", "RFC 2923";
    IfHcInOctets 40 "ifHCInOctets" "bytes" Counter Step(1) None, "Octets received, 64-bit.", "IF-MIB RFC 2863";
    IfHcOutOctets 41 "ifHCOutOctets" "bytes" Counter Step(1) None, "Octets sent, 64-bit.", "IF-MIB RFC 2863";
    IfInErrors 42 "ifInErrors" "count" Counter Step(1) None, "Inbound packets with errors.", "IF-MIB RFC 2863";
    IfOutErrors 43 "ifOutErrors" "count" Counter Step(1) None, "Outbound packets with errors.", "IF-MIB RFC 2863";
    IfInDiscards 44 "ifInDiscards" "count" Counter Step(1) None, "Inbound packets discarded.", "IF-MIB RFC 2863";
    IfOutDiscards 45 "ifOutDiscards" "count" Counter Step(1) None, "Outbound packets discarded.", "IF-MIB RFC 2863";
    IfOperStatus 46 "ifOperStatus" "code" Gauge Step(1) None, "1 up 2 down 3 testing 4 unknown 5 dormant 6 notPresent 7 lowerLayerDown.", "IF-MIB RFC 2863";
    IfHighSpeed 47 "ifHighSpeed" "Mbps" Gauge Step(1) None, "Nominal speed.", "IF-MIB RFC 2863";
    ReceiveBps 48 "receive_bps" "bps" Gauge Step(1) None, "Rate from octets received, wrap and reset aware.", "RFC 2863";
    TransmitBps 49 "transmit_bps" "bps" Gauge Step(1) None, "Rate from octets sent, wrap and reset aware.", "RFC 2863";
    UptimeS 60 "uptime_s" "s" Gauge Step(1) None, "Time since the device started.", "SNMPv2-MIB RFC 3418";
    Load1Milli 61 "load1_milli" "milli" Gauge Step(1) None, "One-minute load average times 1000.", "-";
    CpuPct 62 "cpu_pct" "percent" Gauge Step(1) None, "Processor load.", "HOST-RESOURCES-MIB RFC 2790";
    MemoryAvailableKib 63 "memory_available_kib" "KiB" Gauge Step(16) None, "Memory available to programs.", "-";
    DiskAvailableKib 64 "disk_available_kib" "KiB" Gauge Step(16) None, "Disk space available for the spool.", "-";
    TemperatureDc 65 "temperature_dc" "0.1degC" Gauge Step(1) None, "Temperature.", "ENTITY-SENSOR-MIB RFC 3433";
    VoltageMv 66 "voltage_mv" "mV" Gauge Step(1) None, "Supply voltage.", "-";
    BootReason 67 "boot_reason" "code" Gauge Step(1) None, "0 unknown 1 power 2 reboot 3 watchdog 4 panic.", "-";
    ClockSynced 68 "clock_synced" "flag" Gauge Step(1) None, "1 when the kernel says its clock is synchronised.", "adjtimex";
    ModemPresent 69 "modem_present" "flag" Gauge Step(1) None, "1 when the modem answers its reader.", "-";
    RsrpDbm 70 "rsrp_dbm" "dBm" Gauge Step(1) None, "Reference signal received power.", "TS 36.133 9.1.4";
    RsrqCb 71 "rsrq_cb" "0.1dB" Gauge Step(1) None, "Reference signal received quality.", "TS 36.133 9.1.7";
    SinrCb 72 "sinr_cb" "0.1dB" Gauge Step(1) None, "Signal to interference and noise ratio.", "TS 36.214";
    RssiDbm 73 "rssi_dbm" "dBm" Gauge Step(1) None, "Received signal strength.", "TS 27.007 8.5";
    Rat 74 "rat" "code" Gauge Step(1) None, "Radio technology: 0 none 2 2G 3 3G 4 LTE 5 NR.", "-";
    Registration 75 "registration" "code" Gauge Step(1) None, "0 not registered 1 home 2 searching 3 denied 4 unknown 5 roaming.", "TS 27.007 10.1.22";
    Plmn 76 "plmn" "code" Gauge Step(1) None, "Mobile country and network code as one number.", "TS 23.003";
    CellId 77 "cell_id" "code" Gauge Step(1) None, "E-UTRAN or UTRAN cell identity.", "TS 23.003";
    Tac 78 "tac" "code" Gauge Step(1) None, "Tracking or location area code.", "TS 23.003";
    SimState 79 "sim_state" "code" Gauge Step(1) None, "0 absent 1 ready 2 PIN needed 3 PUK needed 4 failed.", "TS 27.007 8.3";
    BearerUp 80 "bearer_up" "flag" Gauge Step(1) None, "1 when the bearer has an address.", "TS 27.007 10.1.23";
    Pci 81 "pci" "code" Gauge Step(1) None, "Physical cell identity.", "TS 36.211";
    Band 82 "band" "code" Gauge Step(1) None, "E-UTRA band number.", "TS 36.101";
    UpsSource 90 "ups_source" "code" Gauge Step(1) None, "1 other 2 none 3 normal 4 bypass 5 battery 6 booster 7 reducer.", "UPS-MIB RFC 1628";
    UpsOnBatteryS 91 "ups_on_battery_s" "s" Gauge Step(1) None, "Seconds on battery; 0 on mains.", "UPS-MIB RFC 1628";
    UpsMinutesLeft 92 "ups_minutes_left" "min" Gauge Step(1) None, "Estimated minutes of battery left.", "UPS-MIB RFC 1628";
    UpsChargePct 93 "ups_charge_pct" "percent" Gauge Step(1) None, "Estimated charge left.", "UPS-MIB RFC 1628";
    UpsInputDv 94 "ups_input_dv" "0.1V" Gauge Step(1) None, "Input voltage.", "UPS-MIB RFC 1628";
    UpsLoadPct 95 "ups_load_pct" "percent" Gauge Step(1) None, "Output load.", "UPS-MIB RFC 1628";
    UpsBatteryStatus 96 "ups_battery_status" "code" Gauge Step(1) None, "1 unknown 2 normal 3 low 4 depleted.", "UPS-MIB RFC 1628";
    OpticalRxCdbm 100 "optical_rx_cdbm" "0.01dBm" Gauge Step(1) None, "Optical power received.", "ITU-T G.984.2";
    OpticalTxCdbm 101 "optical_tx_cdbm" "0.01dBm" Gauge Step(1) None, "Optical power sent.", "ITU-T G.984.2";
    DownloadBps 110 "download_bps" "bps" Gauge Step(1000) None, "Throughput towards the site.", "RFC 6349";
    UploadBps 111 "upload_bps" "bps" Gauge Step(1000) None, "Throughput from the site.", "RFC 6349";
    TestBytes 112 "test_bytes" "bytes" Gauge Step(1) None, "Bytes a throughput test moved.", "-";
    ExitCode 120 "exit_code" "code" Gauge Step(1) None, "Plugin result: 0 ok 1 warning 2 critical 3 unknown.", "Monitoring Plugins API";
    PerfValueMilli 121 "perf_value_milli" "milli" Gauge Step(1) None, "One plugin performance value times 1000.", "Monitoring Plugins API";
    UssdBalanceKib 122 "ussd_balance_kib" "KiB" Gauge Step(1) None, "Data left as told by the operator.", "TS 22.090";
    SpoolBytes 140 "spool_bytes" "bytes" Gauge Step(1) None, "Bytes waiting in the spool.", "-";
    SpoolFrames 141 "spool_frames" "count" Gauge Step(1) None, "Frames waiting in the spool.", "-";
    PlanUsedKib 142 "plan_used_kib" "KiB" Gauge Step(1) None, "Bytes the link's interface moved in this billing cycle.", "-";
    PlanOwnKib 143 "plan_own_kib" "KiB" Gauge Step(1) None, "Of those, the agent's own probes and reports.", "-";
    PlanLimitKib 144 "plan_limit_kib" "KiB" Gauge Step(1) None, "The plan's size.", "-";
    PlanStage 145 "plan_stage" "code" Gauge Step(1) None, "Degradation: 0 none 1 no throughput 2 slower probes 3 less detail 4 heartbeat only.", "-";
    BrokenRung 146 "broken_rung" "code" Gauge Step(1) None, "Lowest broken rung of the link; absent when all hold.", "-";
    AgentCpuMs 147 "agent_cpu_ms" "ms" Counter Step(1) None, "Processor time the agent used.", "-";
    AgentRssKib 148 "agent_rss_kib" "KiB" Gauge Step(1) None, "Resident memory of the agent.", "-";
    BatchesRefused 149 "batches_refused" "count" Counter Step(1) None, "Batches a collector refused for good since the agent started; absent while there are none.", "-";
    Rounds 150 "rounds" "count" Gauge Step(1) None, "Rounds a summary sample stands for.", "-";
    RoundsFailed 151 "rounds_failed" "count" Gauge Step(1) None, "Of those, failed ones.", "-";
    SimId 152 "sim_id" "code" Gauge Step(1) None, "Keyed hash of the SIM's ICCID, 24 bits: at one router one card has one number; the ICCID itself stays there.", "TS 31.102 4.2.1";
    SimSwaps 153 "sim_swaps" "count" Counter Step(1) None, "How often this router found another SIM for the link; absent while it never did.", "-";
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_and_codes_are_unique_and_read_back() {
        let names: HashSet<_> = Metric::ALL.iter().map(|m| m.name()).collect();
        assert_eq!(names.len(), Metric::ALL.len());
        for metric in Metric::ALL {
            assert_eq!(Metric::from_code(u32::from(metric.code())), Some(*metric));
            assert_eq!(Metric::by_name(metric.name()), Some(*metric));
            let (Precision::Step(step) | Precision::Significant(step)) = metric.info().precision;
            assert!(step >= 1, "{} has no step", metric.name());
        }
    }

    /// An older reader follows a column only if it knows what the differences are taken to.
    #[test]
    fn no_metric_behind_the_first_version_has_a_base() {
        let with_base: Vec<u16> = Metric::ALL.iter().filter(|m| m.info().base.is_some()).map(|m| m.code()).collect();
        assert_eq!(with_base, [2, 11, 12, 13]);
    }

    #[test]
    fn no_base_has_a_chain_back_to_itself() {
        for metric in Metric::ALL {
            let mut at = *metric;
            for _ in 0..4 {
                let Some(base) = at.info().base else { break };
                assert_ne!(base, *metric);
                at = base;
            }
        }
    }
}
