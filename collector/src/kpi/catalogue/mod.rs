//! The catalogue: every row of `kpis.md`, one file each.

pub mod alert_load;
pub mod availability;
pub mod catalogue_health;
pub mod connected_share_now;
pub mod connected_share_period;
pub mod coverage;
pub mod data_plan_use;
pub mod declared_gap;
pub mod dehyari_connected_share;
pub mod digital_divide_gap;
pub mod election_readiness;
pub mod fibre_share;
pub mod fixed_line_share;
pub mod g4_share;
pub mod gov_buildings_connected;
pub mod ict_office_online_share;
pub mod jitter;
pub mod loss_ratio;
pub mod meaningful_share;
pub mod mos_est;
pub mod mttr;
pub mod new_county_readiness;
pub mod nin_share;
pub mod outage_count;
pub mod outage_minutes;
pub mod pop_covered;
pub mod quality_ok_share;
pub mod radio_band_share;
pub mod registry_completeness;
pub mod reporting_completeness;
pub mod rtt;
pub mod saidi;
pub mod service_latency;
pub mod service_reachability;
pub mod single_window_share;
pub mod sla_pass_share;
pub mod target_progress;
pub mod throughput;
pub mod villages_connected_month;

use super::Kpi;

/// Every definition, in the order pages list them.
pub const CATALOGUE: &[Kpi] = &[
    connected_share_now::KPI,
    connected_share_period::KPI,
    villages_connected_month::KPI,
    coverage::KPI,
    pop_covered::KPI_2G,
    pop_covered::KPI_3G,
    pop_covered::KPI_4G,
    g4_share::KPI,
    fixed_line_share::KPI,
    fibre_share::KPI,
    nin_share::KPI_20_PLUS,
    nin_share::KPI_10_19,
    nin_share::KPI_10_15,
    gov_buildings_connected::KPI,
    dehyari_connected_share::KPI,
    availability::KPI,
    availability::KPI_CONTRACT,
    availability::KPI_USER,
    availability::KPI_LINK,
    availability::KPI_LINK_CONTRACT,
    availability::KPI_LINK_USER,
    sla_pass_share::KPI,
    outage_count::KPI,
    outage_count::KPI_MTBF,
    mttr::KPI,
    mttr::KPI_DETECT,
    mttr::KPI_ACKNOWLEDGE,
    mttr::KPI_RESTORE,
    outage_minutes::KPI,
    saidi::KPI,
    saidi::KPI_SAIFI,
    service_reachability::KPI,
    service_reachability::KPI_SERVICE_ONLY,
    catalogue_health::KPI,
    single_window_share::KPI,
    service_latency::KPI,
    rtt::KPI_P50,
    rtt::KPI_P95,
    loss_ratio::KPI,
    jitter::KPI,
    throughput::KPI_DL,
    throughput::KPI_UL,
    mos_est::KPI,
    quality_ok_share::KPI,
    meaningful_share::KPI,
    radio_band_share::KPI,
    data_plan_use::KPI,
    reporting_completeness::KPI,
    declared_gap::KPI,
    target_progress::KPI,
    digital_divide_gap::KPI,
    new_county_readiness::KPI,
    election_readiness::KPI,
    ict_office_online_share::KPI,
    registry_completeness::KPI,
    alert_load::KPI,
];

/// Finds a definition.
pub fn by_id(id: &str) -> Option<&'static Kpi> {
    CATALOGUE.iter().find(|kpi| kpi.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_definition_is_complete_and_has_its_own_id() {
        let ids: std::collections::HashSet<_> = CATALOGUE.iter().map(|k| k.id).collect();
        assert_eq!(ids.len(), CATALOGUE.len());
        for kpi in CATALOGUE {
            let filled = [kpi.id, kpi.names.0, kpi.names.1, kpi.formula.0, kpi.formula.1, kpi.basis].iter().all(|t| !t.is_empty());
            assert!(filled && !kpi.measures.is_empty() && !kpi.weights.is_empty() && !kpi.by.is_empty(), "{} is not complete", kpi.id);
            assert!(kpi.version >= 1);
            assert_eq!(by_id(kpi.id).map(|k| k.id), Some(kpi.id));
        }
    }
}
