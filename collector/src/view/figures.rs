//! KPI figures as pages and the API show them.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::{Place, Time, place};
use crate::inventory::{Inventory, RegionId};
use crate::kpi::dictionary::Entry;
use crate::kpi::{Definition, Figure, Standing, Unit, Weight};
use crate::persian::Lang;

/// One figure with everything needed to defend it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct FigureView {
    /// The KPI.
    #[schema(example = "connected_share_now")]
    pub id: &'static str,
    /// Where.
    pub region: Place,
    /// The window asked for: `now`, `24h`, `1405`, `1405-q3`, `1405-08`, `1405-08-30` or `1405-08-30w`.
    #[schema(example = "now")]
    pub period: String,
    /// When it was computed from.
    pub at: Time,
    /// What one object counts for.
    #[schema(value_type = String, example = "village")]
    pub weight: Weight,
    /// The part of a breakdown, such as `operator=mci`; `null` if not broken down.
    pub part: Option<String>,
    /// The value over what is known; `null` unless `standing` is `known`.
    pub value: Option<f64>,
    /// The value if everything unknown were bad.
    pub lo: Option<f64>,
    /// The value if everything unknown were good.
    pub hi: Option<f64>,
    /// Of an availability, the value with what is unknown weighted by the share of down that late data showed in it, between
    /// `lo` and `hi`; `null` where nothing came late.
    pub estimate: Option<f64>,
    /// How far the estimate may be off, 95 % of the time.
    pub estimate_error: Option<f64>,
    /// Known share of what should be known.
    pub known_ratio: Option<f64>,
    /// What was counted.
    pub numerator: f64,
    /// Of what is known.
    pub denominator: f64,
    /// What is not known, in the denominator's unit.
    pub unknown: f64,
    /// The value's unit.
    #[schema(value_type = String, example = "ratio")]
    pub unit: Unit,
    /// What the numerator counts under the weight.
    #[schema(example = "villages")]
    pub numerator_unit: String,
    /// What the denominator counts under the weight.
    #[schema(example = "villages")]
    pub denominator_unit: String,
    /// Numbers beside the value, by name: counts of parts, medians, percentiles.
    pub details: BTreeMap<&'static str, Option<f64>>,
    /// `live`, `provisional` or `revision N`.
    pub status: String,
    /// Whether there is a number, and if not, why.
    #[schema(value_type = String, example = "known")]
    pub standing: Standing,
    /// The version of the definition.
    pub definition_version: u32,
}

impl FigureView {
    /// Describes a figure of a region of this inventory.
    pub fn of(inventory: &Inventory, region: RegionId, figure: &Figure, at: Time) -> Self {
        FigureView {
            id: figure.id,
            region: place(inventory, region),
            period: figure.period.to_string(),
            at,
            weight: figure.weight,
            part: figure.part.as_ref().map(|(by, part)| format!("{by}={part}")),
            value: figure.value,
            lo: figure.lo,
            hi: figure.hi,
            estimate: figure.estimate.map(|estimate| estimate.value),
            estimate_error: figure.estimate.map(|estimate| estimate.error),
            known_ratio: figure.known_ratio,
            numerator: figure.numerator,
            denominator: figure.denominator,
            unknown: figure.unknown,
            unit: figure.unit,
            numerator_unit: figure.counts.0.weighted(figure.weight),
            denominator_unit: figure.counts.1.weighted(figure.weight),
            details: figure.details.iter().map(|detail| (detail.name, detail.value)).collect(),
            status: figure.status.to_string(),
            standing: figure.standing,
            definition_version: figure.definition_version,
        }
    }
}

/// A version of a definition.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DefinitionView {
    /// The KPI.
    #[schema(example = "villages_connected_month")]
    pub id: &'static str,
    /// Counts up from 1; `id@version` asks for it.
    pub version: u32,
    /// From when on it is the definition; `null` for the first.
    pub effective_from: Option<Time>,
    /// What ordered it; empty for the first.
    pub decree: String,
    /// Its Persian name.
    pub name_fa: &'static str,
    /// Its English name.
    pub name_en: &'static str,
    /// The formula in Persian.
    pub formula_fa: &'static str,
    /// The formula in English.
    pub formula_en: &'static str,
    /// The value's unit.
    #[schema(value_type = String, example = "ratio")]
    pub unit: Unit,
    /// Breakdowns it can be asked for.
    pub by: Vec<&'static str>,
    /// Weights it can be asked for.
    pub weights: Vec<&'static str>,
    /// What a decree can change, as this version has it.
    pub terms: BTreeMap<&'static str, String>,
    /// Everything else of it in Persian: what numerator and denominator count, how unknown time, announced work and late data
    /// enter, rounding, the least window, and a worked example.
    pub dictionary_fa: Entry,
    /// The same in English.
    pub dictionary_en: Entry,
}

impl From<&Definition> for DefinitionView {
    fn from(definition: &Definition) -> Self {
        let kpi = definition.text();
        DefinitionView {
            id: kpi.id,
            version: definition.version,
            effective_from: definition.effective_from.map(Time),
            decree: definition.decree.clone(),
            name_fa: kpi.names.0,
            name_en: kpi.names.1,
            formula_fa: kpi.formula.0,
            formula_en: kpi.formula.1,
            unit: kpi.unit,
            by: kpi.by.iter().map(|by| by.as_str()).collect(),
            weights: kpi.weights.iter().map(|weight| weight.as_str()).collect(),
            terms: kpi.stands_on.iter().map(|term| (term.as_str(), definition.terms.get(*term))).collect(),
            dictionary_fa: Entry::of(definition, Lang::Fa),
            dictionary_en: Entry::of(definition, Lang::En),
        }
    }
}
